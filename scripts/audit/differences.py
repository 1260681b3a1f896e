"""Where two files part: the first row and column of a table, the member of a tar, the tensor, the line, the byte."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors

from scripts.lib.plain_text import printable

_LONGEST = 80  # characters of a value in a sentence
_BLOCK = 1 << 20
_ROWS = 65_536


def first_difference(one: Path, other: Path) -> str:
    """Return where two files first differ, as the end of a sentence; "" when their bytes are the same."""
    at = _first_byte(one, other)
    if at < 0:
        return ""
    reader = _READERS.get(one.suffix.lower())
    if reader is not None and one.suffix == other.suffix:
        try:
            found = reader(one, other)
        except (OSError, ValueError, KeyError, tarfile.TarError, pa.ArrowException, safetensors.SafetensorError) as bad:
            found = f"one of them cannot be read as {one.suffix.lstrip('.')} ({type(bad).__name__}); byte {at:,}"
        return found or f"the same content in other bytes, from byte {at:,} on (its writer or its options differ)"
    return f"byte {at:,} (of {one.stat().st_size:,} and {other.stat().st_size:,})"


def _first_byte(one: Path, other: Path) -> int:
    done = 0
    with one.open("rb") as left, other.open("rb") as right:
        while True:
            parts = left.read(_BLOCK), right.read(_BLOCK)
            if parts[0] != parts[1]:
                least = min(map(len, parts))
                same = np.frombuffer(parts[0][:least], np.uint8) == np.frombuffer(parts[1][:least], np.uint8)
                return done + (least if bool(same.all()) else int(np.argmin(same)))
            if not parts[0]:
                return -1
            done += len(parts[0])


def _show(value: Any) -> str:
    return printable(value.hex() if isinstance(value, bytes) else str(value), _LONGEST) or "nothing"


def _two(left: Any, right: Any) -> str:
    return f"{_show(left)} and {_show(right)}"


def _first_row(left: Iterator[Mapping[str, Any]], right: Iterator[Mapping[str, Any]], key: str) -> str:
    for number, (a, b) in enumerate(zip_longest(left, right), start=1):
        if a == b:
            continue
        if a is None or b is None:
            one, name = ("second", a) if b is None else ("first", b)
            assert name is not None
            return f"row {number:,} ({key} {_show(name[key])}): the {one} has no such row"
        if a[key] != b[key]:
            return f"row {number:,}, column {key}: {_two(a[key], b[key])}"
        column = next((column for column in a if not _equal(a[column], b[column])), None)
        if column is None:
            continue
        return f"row {number:,} ({key} {_show(a[key])}), column {column}: {_two(a[column], b[column])}"
    return ""


def _equal(left: Any, right: Any) -> bool:
    numbers = isinstance(left, float) and isinstance(right, float)
    return bool(left == right) or (numbers and math.isnan(left) and math.isnan(right))


def _parquet(one: Path, other: Path) -> str:
    left, right = pq.ParquetFile(one), pq.ParquetFile(other)
    if left.schema_arrow != right.schema_arrow:
        return f"columns: {_two(left.schema_arrow.names, right.schema_arrow.names)}, or their types"
    key = left.schema_arrow.names[0]
    if left.metadata.num_rows == right.metadata.num_rows:  # look for the first block that differs, then inside it
        blocks = zip(left.iter_batches(_ROWS), right.iter_batches(_ROWS), strict=True)
        for number, (a, b) in enumerate(blocks):
            if not a.equals(b):
                found = _first_row(iter(a.to_pylist()), iter(b.to_pylist()), key)
                return found if number == 0 else f"in rows from {number * _ROWS + 1:,} on, {found}"
        return ""
    return _first_row(_rows(left), _rows(right), key)


def _rows(file: pq.ParquetFile) -> Iterator[Mapping[str, Any]]:
    for batch in file.iter_batches(_ROWS):
        yield from batch.to_pylist()


def _csv(one: Path, other: Path) -> str:
    with one.open(newline="", encoding="utf-8") as left, other.open(newline="", encoding="utf-8") as right:
        readers = csv.DictReader(left), csv.DictReader(right)
        names = [list(reader.fieldnames or []) for reader in readers]
        if names[0] != names[1] or not names[0]:
            return f"columns: {_two(names[0], names[1])}"
        return _first_row(iter(readers[0]), iter(readers[1]), names[0][0])


def _json(one: Path, other: Path) -> str:
    left, right = (json.loads(path.read_text(encoding="utf-8")) for path in (one, other))
    return first_of(differing_paths(left, right))


def differing_paths(left: Any, right: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (path, left value, right value) of each place where two JSON values differ, in the order of the keys."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for name in sorted({*left, *right}):
            here = f"{path}.{name}".lstrip(".")
            if name not in left or name not in right:
                yield here, left.get(name, _ABSENT), right.get(name, _ABSENT)
            else:
                yield from differing_paths(left[name], right[name], here)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (a, b) in enumerate(zip(left, right, strict=True)):
            yield from differing_paths(a, b, f"{path}.{index}".lstrip("."))
    elif not _equal(left, right) or type(left) is not type(right):
        yield path, left, right


_ABSENT = "nothing"


def first_of(found: Iterable[tuple[str, Any, Any]]) -> str:
    """Return the first place that `differing_paths` found in words; "" for none."""
    return next((f"{path or 'the whole'}: {_two(left, right)}" for path, left, right in found), "")


def _tar(one: Path, other: Path) -> str:
    with tarfile.open(one) as left, tarfile.open(other) as right:
        for a, b in zip_longest(left, right):
            if a is None or b is None or a.name != b.name:
                return f"member {_two(getattr(a, 'name', 'none'), getattr(b, 'name', 'none'))}"
            digests = [_member_digest(tar, member) for tar, member in ((left, a), (right, b))]
            if digests[0] != digests[1]:
                return f"the bytes of member {_show(a.name)} ({a.size:,} and {b.size:,} bytes)"
            headers = [(member.mtime, member.mode, member.uid, member.gid, member.uname) for member in (a, b)]
            if headers[0] != headers[1]:
                return f"the header of member {_show(a.name)}: {_two(*headers)}"
    return ""


def _member_digest(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    handle = tar.extractfile(member) if member.isreg() else None
    return hashlib.sha256(handle.read() if handle else b"").hexdigest()


def _safetensors(one: Path, other: Path) -> str:
    with safetensors.safe_open(one, framework="np") as left, safetensors.safe_open(other, framework="np") as right:
        names = [sorted(each.keys()) for each in (left, right)]
        if names[0] != names[1]:
            return f"tensors: {_two(*[sorted({*names[i]} - {*names[1 - i]}) for i in (0, 1)])} are in one file only"
        for name in names[0]:
            a, b = left.get_tensor(name), right.get_tensor(name)
            if a.shape != b.shape or a.dtype != b.dtype:
                return f"tensor {name}: {_two(f'{a.dtype} {a.shape}', f'{b.dtype} {b.shape}')}"
            if a.tobytes() != b.tobytes():
                at = np.unravel_index(int(np.argmax(a.ravel() != b.ravel())), a.shape)
                place = ", ".join(str(int(each)) for each in at)
                return f"tensor {name} at [{place}]: {_two(a[at], b[at])}"
        if left.metadata() != right.metadata():
            return first_of(differing_paths(_described(left.metadata() or {}), _described(right.metadata() or {})))
    return ""


def _described(metadata: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in metadata.items():
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def _text(one: Path, other: Path) -> str:
    with one.open(encoding="utf-8") as left, other.open(encoding="utf-8") as right:
        for number, (a, b) in enumerate(zip_longest(left, right, fillvalue=""), start=1):
            if a != b:
                at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
                start = max(0, at - 20)
                return f"line {number:,}, column {at + 1}: {_two(a[start : at + 40], b[start : at + 40])}"
    return ""


_READERS: Mapping[str, Callable[[Path, Path], str]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".json": _json,
    ".tar": _tar,
    ".safetensors": _safetensors,
    **dict.fromkeys((".html", ".md", ".svg", ".tsv", ".txt"), _text),
}
