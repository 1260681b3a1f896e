"""Where two files part."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy

from scripts.audit.differences import differing_paths, first_difference


def tar(members: dict[str, bytes], time: int = 0) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as handle:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), time
            handle.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def parquet(values: dict[str, list[object]], **options: object) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table(values), content, **options)
    return content.getvalue()


def tensors(**values: object) -> bytes:
    return safetensors.numpy.save({name: np.asarray(value) for name, value in values.items()})


IDS = ["a", "b", "c"]
NAN = float("nan")
CASES = [
    ("x.bin", b"abc", b"abd", "byte 2 (of 3 and 3)"),
    ("x.bin", b"abc", b"abcd", "byte 3 (of 3 and 4)"),
    ("x.bin", b"x" * 3_000_000 + b"y", b"x" * 3_000_000 + b"z", "byte 3,000,000"),
    ("x.parquet", parquet({"id": IDS, "v": [1, 2, 3]}), parquet({"id": IDS, "v": [1, 2, 4]}),
     "row 3 (id c), column v: 3 and 4"),
    ("x.parquet", parquet({"id": IDS}), parquet({"id": ["a", "x", "c"]}), "row 2, column id: b and x"),
    ("x.parquet", parquet({"id": IDS}), parquet({"id": IDS[:2]}), "row 3 (id c): the second has no such row"),
    ("x.parquet", parquet({"id": IDS}), parquet({"name": IDS}), "columns: ['id'] and ['name']"),
    ("x.parquet", parquet({"id": IDS}), parquet({"id": IDS}, compression="zstd"), "the same content in other bytes"),
    ("x.parquet", parquet({"id": IDS, "v": [NAN, 1.0, 2.0]}), parquet({"id": IDS, "v": [NAN, 1.0, 3.0]}),
     "row 3 (id c), column v"),
    ("x.parquet", parquet({"id": IDS}), b"PAR1 no", "one of them cannot be read as parquet"),
    ("x.csv", b"id,v\na,1\nb,2\n", b"id,v\na,1\nb,3\n", "row 2 (id b), column v: 2 and 3"),
    ("x.csv", b"id\na\n", b"id\na\nb\n", "row 2 (id b): the first has no such row"),
    ("x.json", b'{"a":{"b":[1,2]}}', b'{"a":{"b":[1,3]}}', "a.b.1: 2 and 3"),
    ("x.json", b'{"a":1}', b'{"a":1,"b":2}', "b: nothing and 2"),
    ("x.json", b'{"a":1}', b'{"a": 1}', "the same content in other bytes"),
    ("x.tar", tar({"one": b"1", "two": b"2"}), tar({"one": b"1", "two": b"3"}),
     "the bytes of member two (1 and 1 bytes)"),
    ("x.tar", tar({"one": b"1"}), tar({"one": b"1", "two": b"3"}), "member none and two"),
    ("x.tar", tar({"one": b"1"}), tar({"one": b"1"}, time=5), "the header of member one: (0, 420, 0, 0, '')"),
    ("x.safetensors", tensors(w=[[1.0, 2.0], [3.0, 4.0]]), tensors(w=[[1.0, 2.0], [5.0, 4.0]]),
     "tensor w at [1, 0]: 3.0 and 5.0"),
    ("x.safetensors", tensors(w=[1.0]), tensors(w=[1.0], v=[1.0]), "['v'] are in one file only"),
    ("x.safetensors", tensors(w=[1.0]), tensors(w=[1.0, 2.0]), "tensor w: float64 (1,) and float64 (2,)"),
    ("x.html", b"a\nbcd\n", b"a\nbxd\n", "line 2, column 2: bcd and bxd"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "left", "right", "place"), CASES)
def test_the_first_difference_is_named(name: str, left: bytes, right: bytes, place: str, tmp_path: Path) -> None:
    one, other = tmp_path / f"one-{name}", tmp_path / f"other-{name}"
    one.write_bytes(left)
    other.write_bytes(right)
    assert place in first_difference(one, other)
    assert first_difference(one, one) == ""


def test_a_row_behind_the_first_block_is_found(tmp_path: Path) -> None:
    count = 200_000
    for name, odd in (("one", -1), ("other", 150_000)):
        values = [0 if row != odd else 1 for row in range(count)]
        table = pa.table({"id": list(range(count)), "v": values})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    place = first_difference(tmp_path / "one.parquet", tmp_path / "other.parquet")
    assert place == "in rows from 131,073 on, row 18,929 (id 150000), column v: 0 and 1"


def test_text_from_outside_cannot_act(tmp_path: Path) -> None:
    for name, title in (("one", "x"), ("other", "\x1b[31m\u202e" + "y" * 500)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"title": title}))
    place = first_difference(tmp_path / "one.json", tmp_path / "other.json")
    assert "\x1b" not in place and "\u202e" not in place and len(place) < 200


def test_differing_paths_are_all_of_them() -> None:
    left, right = {"a": [1, {"b": 2}], "c": 1, "d": True}, {"a": [1, {"b": 3}], "c": 1.0, "d": 1}
    assert [path for path, _, _ in differing_paths(left, right)] == ["a.1.b", "c", "d"]
