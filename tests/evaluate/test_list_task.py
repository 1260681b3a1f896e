from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from scripts.evaluate.items import Item, class_of, named_paths, split_of
from scripts.evaluate.list_task import balanced_part, list_task, main, quotas
from scripts.evaluate.settings import ListTaskSettings
from scripts.evaluate.settings_split import HashSplit
from scripts.evaluate.tasks import image_folder, tar
from scripts.lib.errors import UserError
from scripts.lib.tables import TASK_ITEMS
from scripts.lib.tars import TarWriter

COMMON = {"name": "toy", "resize": 8, "crop": 8, "max_train": None, "max_test": None, "seed": 0}
HALF = {"test_share": 0.5, "seed": 0}


def settings_of(kind: str, **values: Any) -> ListTaskSettings:
    return ListTaskSettings.model_validate_json(
        json.dumps({"task": {"kind": kind, **COMMON, **values}, "near_duplicates": None})
    )


def folder_of(root: Path, names: list[str]) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def tar_of(path: Path, names: list[str]) -> Path:
    with TarWriter(path) as writer:
        for name in names:
            writer.add(name, name.encode())
    return path


TRAIN_NAMES = ["b/2.jpg", "a/x.JPEG", "b/1.png", "b/.hidden.jpg", "._a/x.jpg", "b/notes.txt", "README"]
TEST_NAMES = ["b/9.webp", "a/x.JPEG"]
EXPECTED = [
    ("test", "a/x.JPEG", 0, "a"),
    ("test", "b/9.webp", 1, "b"),
    ("train", "a/x.JPEG", 0, "a"),
    ("train", "b/1.png", 1, "b"),
    ("train", "b/2.jpg", 1, "b"),
]


@pytest.mark.parametrize("kind", ["image_folder", "tar"])
def test_two_paths(tmp_path: Path, kind: str):
    make = folder_of if kind == "image_folder" else tar_of
    paths = [str(make(tmp_path / "one", TRAIN_NAMES)), str(make(tmp_path / "two", TEST_NAMES))]
    settings = settings_of(kind, train="", test="")
    listed = list_task(settings, paths)
    assert listed.schema == TASK_ITEMS
    rows = listed.to_pylist()
    assert [(row["split"], row["name"], row["label"], row["class_name"]) for row in rows] == EXPECTED
    # The reader tells train's a/x.JPEG from test's by the split; here the bytes of a file are its name.
    module = image_folder if kind == "image_folder" else tar
    reader = module.open_reader(settings.task, paths)  # type: ignore[arg-type]
    for row in rows:
        item = Item(row["split"], row["name"], row["class_name"], row["offset"], row["size"])
        assert reader.read(item) == row["name"].encode()
        assert row["size"] == len(row["name"])
        assert (row["offset"] >= 512) == (kind == "tar")


def test_reader_takes_the_test_split_from_the_test_data(tmp_path: Path):
    one, two = folder_of(tmp_path / "one", ["a/1.jpg", "b/1.jpg"]), folder_of(tmp_path / "two", ["a/1.jpg", "b/1.jpg"])
    (two / "a/1.jpg").write_bytes(b"test picture")
    reader = image_folder.open_reader(settings_of("image_folder", train="", test="").task, [str(one), str(two)])  # type: ignore[arg-type]
    assert reader.read(Item("test", "a/1.jpg", "a", -1, 12)) == b"test picture"
    assert reader.read(Item("train", "a/1.jpg", "a", -1, 7)) == b"a/1.jpg"


def test_folder_and_tar_with_a_hash_split_agree(tmp_path: Path):
    names = [f"{label}/{index}.jpg" for label in "abc" for index in range(40)]
    folder, archive = folder_of(tmp_path / "set", names), tar_of(tmp_path / "set.tar", names)
    by_folder = list_task(settings_of("image_folder", train="", test=HALF), [str(folder)])
    by_tar = list_task(settings_of("tar", train="", test=HALF), [str(archive)])
    columns = ["split", "name", "label", "class_name", "size"]
    assert by_folder.select(columns) == by_tar.select(columns)
    assert by_folder.num_rows == len(names)


def test_hash_split_has_its_share_and_moves_no_image():
    names = [f"c/{index}.jpg" for index in range(20_000)]
    for share in (0.1, 0.25, 0.9):
        split = HashSplit(test_share=share, seed=3)
        count = sum(split_of(name, split) == "test" for name in names)
        assert abs(count - 20_000 * share) < 4 * (20_000 * share * (1 - share)) ** 0.5  # four standard deviations
    # What is in test at a small share is in test at a larger one, and another seed gives another split.
    small, large, other = (HashSplit(test_share=share, seed=seed) for share, seed in ((0.1, 0), (0.3, 0), (0.1, 1)))
    assert all(split_of(name, large) == "test" for name in names if split_of(name, small) == "test")
    assert any(split_of(name, small) != split_of(name, other) for name in names)


@pytest.mark.parametrize(
    ("counts", "total", "expected"),
    [
        ({"a": 10, "b": 10, "c": 10}, 9, {"a": 3, "b": 3, "c": 3}),
        ({"a": 10, "b": 10, "c": 10}, 11, {"a": 4, "b": 4, "c": 3}),
        ({"a": 1, "b": 10, "c": 10}, 12, {"a": 1, "b": 6, "c": 5}),
        ({"a": 1, "b": 2, "c": 3}, 100, {"a": 1, "b": 2, "c": 3}),
        ({"a": 5, "b": 5}, 1, {"a": 1, "b": 0}),
    ],
)
def test_quotas(counts: dict[str, int], total: int, expected: dict[str, int]):
    assert quotas(counts, total) == expected


def test_quotas_grow_with_the_total():
    counts = {"a": 3, "b": 17, "c": 8, "d": 1}
    before = quotas(counts, 0)
    for total in range(1, 30):
        now = quotas(counts, total)
        assert sum(now.values()) == total
        assert all(now[name] >= before[name] for name in counts)
        before = now


def test_balanced_part_is_nested_seeded_and_blind_to_order():
    items = [Item("train", f"{label}/{index}", label, -1, 0) for label in "ab" for index in range(50)]
    small, large = balanced_part(items, 20, 0), balanced_part(items, 60, 0)
    assert Counter(item.class_name for item in small) == {"a": 10, "b": 10}
    assert set(small) < set(large)
    assert set(balanced_part(items[::-1], 20, 0)) == set(small)
    assert set(balanced_part(items, 20, 1)) != set(small)
    assert balanced_part(items, 100, 0) == items
    assert balanced_part(items, None, 0) == items


def test_missing_data_says_what_to_put_where(tmp_path: Path):
    with pytest.raises(UserError) as caught:
        list_task(settings_of("tar", train="", test=HALF), [str(tmp_path / "no.tar")])
    text = str(caught.value)
    for part in ("task toy", str(tmp_path / "no.tar"), "key `train`", "<class>/<file>", "Put "):
        assert part in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (["a/1.jpg"], ["a/2.jpg"], "has one class, 'a'"),
        (["a/1.jpg", "b/1.jpg"], ["notes.txt"], "the test split of the task toy is empty"),
        (["README"], ["a/1.jpg"], "the train split of the task toy is empty"),
        (["a/1.jpg", "b/1.jpg"], ["c/1.jpg"], "1 classes of the test split .* the first is 'c'"),
        (["1.jpg"], ["a/1.jpg"], "lies in no class folder"),
        (["a/1.bmp"], ["a/1.jpg"], "is a .bmp file"),
    ],
)
def test_unusable_sets(tmp_path: Path, train: list[str], test: list[str], message: str):
    paths = [str(folder_of(tmp_path / "one", train)), str(folder_of(tmp_path / "two", test))]
    with pytest.raises(UserError, match=message):
        list_task(settings_of("image_folder", train="", test=""), paths)


def test_same_data_for_both_splits_is_refused(tmp_path: Path):
    path = str(tar_of(tmp_path / "set.tar", ["a/1.jpg", "b/1.jpg"]))
    with pytest.raises(UserError, match="are the same"):
        list_task(settings_of("tar", train="", test=""), [path, path])


def test_max_train_below_the_number_of_classes(tmp_path: Path):
    paths = [str(folder_of(tmp_path / name, ["a/1.jpg", "b/1.jpg", "c/1.jpg"])) for name in ("one", "two")]
    with pytest.raises(UserError, match="max_train of the task toy is 2, but it has 3 classes"):
        list_task(settings_of("image_folder", train="", test="", max_train=2), paths)


def test_compressed_tar_is_a_user_error(tmp_path: Path):
    path = tmp_path / "set.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("a/1.jpg")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    with pytest.raises(UserError, match=r"cannot be read as a tar .* decompress it"):
        list_task(settings_of("tar", train="", test=HALF), [str(path)])


def test_name_that_is_not_utf8(tmp_path: Path):
    path = tmp_path / "set.tar"
    with TarWriter(path) as writer:
        writer.add("a/caf\udce9.jpg", b"")
        for index in range(20):
            writer.add(f"{'ab'[index % 2]}/{index}.jpg", b"")
    with pytest.raises(UserError, match=r"the name 'a/caf\\udce9.jpg' .* is not UTF-8"):
        list_task(settings_of("tar", train="", test=HALF), [str(path)])


def test_paths_must_fit_the_task():
    task = settings_of("image_folder", train="", test="").task
    with pytest.raises(UserError, match=r"--paths of the task toy has 1 values where 2 are expected \(train, test\)"):
        named_paths(task, ["only"])
    generated = settings_of(
        "fractal", classes=2, train_per_class=1, test_per_class=1, image_size=8, iterations=9, fractal_seed=0
    )
    with pytest.raises(UserError, match=r"where 0 are expected \(none\)"):
        named_paths(generated.task, ["extra"])


def test_class_is_the_first_folder():
    task = settings_of("tar", train="", test="").task
    assert class_of(task, "cat/deep/er/1.jpg") == "cat"
    assert class_of(task, "cat/labels.csv") is None
    assert class_of(task, ".cache/1.jpg") is None


def test_crop_larger_than_resize_is_refused():
    with pytest.raises(ValidationError, match="crop 9 is larger than resize 8"):
        settings_of("tar", train="", test="", crop=9)


def test_main_writes_equal_bytes(tmp_path: Path):
    paths = [str(folder_of(tmp_path / "one", TRAIN_NAMES)), str(folder_of(tmp_path / "two", TEST_NAMES))]
    recipe = settings_of("image_folder", train="", test="").model_dump_json()
    for name in ("first", "second"):
        main(
            [
                "--recipe",
                recipe,
                "--paths",
                *paths,
                "--out",
                str(tmp_path / name),
                "--left-out",
                str(tmp_path / "l.csv"),
            ]
        )
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert pq.read_table(tmp_path / "first").num_rows == len(EXPECTED)


def test_cifar10_tars(shared: Path):
    paths = [str(shared / f"cifar10_{split}.tar") for split in ("train", "test")]
    rows = list_task(settings_of("tar", train="", test="", max_train=200, max_test=50), paths).to_pylist()
    assert Counter((row["split"], row["label"]) for row in rows) == {
        (split, label): count for split, count in (("train", 20), ("test", 5)) for label in range(10)
    }
    assert {row["class_name"]: row["label"] for row in rows}["airplane"] == 0
