from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from scripts.lib.errors import UserError
from scripts.pretrain import index_images, shard_images
from scripts.pretrain.backends.pil import to_tensor
from scripts.pretrain.contract import ViewDraws
from scripts.pretrain.epoch_batches import WHOLE, EpochBatches, epoch_order
from scripts.pretrain.settings import MocoAugmentation
from scripts.pretrain.shard_images import ShardImages, list_image_set, list_images
from scripts.pretrain.views import IndependentViews
from tests.pretrain.made import RUN, drawing, make_shards
from tests.pretrain.made_images import folder_of, recipe_of, tar_of

VIEWS = IndependentViews(MocoAugmentation.model_validate_json(json.dumps(RUN["augmentation"])), "pil", count=2)


def batches(folder: Path, workers: int, start: int = 0, seed: int = 0) -> list[list[Tensor]]:
    images = list_images(*make_shards(folder, 20))
    sampler = EpochBatches(len(images), 8, 2, seed=seed, start_step=start, share=WHOLE)
    return list(DataLoader(ShardImages(images, VIEWS, seed), batch_sampler=sampler, num_workers=workers))


def same(first: list[list[Tensor]], second: list[list[Tensor]]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(torch.equal(a, b) for one, two in pairs for a, b in zip(one, two, strict=True))


def test_images_are_sorted_by_id_whatever_the_order_of_shards(tmp_path: Path) -> None:
    tars, indexes = make_shards(tmp_path, 20, count=3)
    images, reversed_images = list_images(tars, indexes), list_images(tars[::-1], indexes[::-1])
    ids = images.table["image_id"].to_pylist()
    assert ids == sorted(ids) and len(images) == 20
    assert images.table.equals(reversed_images.table)
    other = list_images(*make_shards(tmp_path / "other", 20, count=1))
    assert images.digest == reversed_images.digest == other.digest  # independent of the sharding
    assert images.digest != list_images(*make_shards(tmp_path / "more", 21)).digest


def test_reads_the_files_that_were_written(tmp_path: Path) -> None:
    dataset = ShardImages(list_images(*make_shards(tmp_path, 6)), VIEWS, 0)
    assert {dataset.read(index) for index in range(6)} == {drawing(number) for number in range(6)}
    assert pickle.loads(pickle.dumps(dataset)).read(3) == dataset.read(3)


def test_batches_do_not_depend_on_workers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    expected = batches(tmp_path, 0)
    torch.manual_seed(1)
    assert len(expected) == 4 and expected[0][0].shape == (8, 3, 32, 32) and expected[0][0].dtype == torch.uint8
    assert same(expected, batches(tmp_path, 1)) and same(expected, batches(tmp_path, 2))
    assert not same(expected, batches(tmp_path, 0, seed=1))


@pytest.mark.parametrize("start", [1, 2, 3, 4])
def test_batches_from_a_step_on_are_the_same(tmp_path: Path, start: int) -> None:
    assert same(batches(tmp_path, 0)[start:], batches(tmp_path, 0, start))


def test_views_differ_between_epochs_views_and_images(tmp_path: Path) -> None:
    dataset = ShardImages(list_images(*make_shards(tmp_path, 4)), VIEWS, 0)
    views = [view for epoch in (0, 1) for index in range(4) for view in dataset[epoch, index]]
    assert len({view.numpy().tobytes() for view in views}) == 16


def test_every_epoch_sees_each_image_once_and_drops_the_rest() -> None:
    steps = list(EpochBatches(20, 8, 3, seed=0, start_step=0, share=WHOLE))
    assert len(steps) == len(EpochBatches(20, 8, 3, seed=0, start_step=0, share=WHOLE)) == 6
    for epoch in range(3):
        items = [item for step in steps[2 * epoch : 2 * epoch + 2] for item in step]
        assert {each for each, _ in items} == {epoch} and len({index for _, index in items}) == 16
    assert sorted(epoch_order(20, 0, 0)) == list(range(20))
    assert epoch_order(20, 0, 0).tolist() != epoch_order(20, 0, 1).tolist() != epoch_order(20, 1, 1).tolist()


def _plain(image: object, draws: ViewDraws) -> list[Tensor]:
    return [to_tensor(image)]  # type: ignore[arg-type]


def test_damaged_image_names_the_shard(tmp_path: Path) -> None:
    tars, indexes = make_shards(tmp_path, 3, count=1)
    images = list_images(tars, indexes)
    row = images.table.to_pylist()[1]
    content = bytearray(tars[0].read_bytes())
    content[row["offset"] : row["offset"] + 50] = bytes(50)
    tars[0].write_bytes(content)
    dataset = ShardImages(images, _plain, 0)
    assert len(dataset[0, 0]) == 1
    with pytest.raises(UserError, match=rf"{row['image_id']} in .*00000\.tar does not decode .*Remake it"):
        dataset[0, 1]


def test_shard_that_is_short_or_missing(tmp_path: Path) -> None:
    tars, indexes = make_shards(tmp_path, 4, count=1)
    tars[0].write_bytes(tars[0].read_bytes()[:2000])
    with pytest.raises(UserError, match=r"00000\.tar is missing or shorter than its index says"):
        list_images(tars, indexes)
    with pytest.raises(UserError, match=r"names shard 00000, but --shards has no 00000\.tar"):
        list_images([], indexes)


def indexed(folder: Path, root: Path, kind: str, **values: object) -> Path:
    recipe = recipe_of(kind, **values)
    index_images.main(["--recipe", recipe, "--root", str(root), "--out", str(folder / "other.parquet")])
    return folder / "other.parquet"


@pytest.mark.parametrize("kind", ["folder", "tars"])
def test_an_image_set_is_read_like_shards(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {f"{number % 3}/{number}.jpg": drawing(number) for number in range(12)} | {"notes.txt": b"no picture"}
    root = tmp_path / "set"
    if kind == "folder":
        index = indexed(tmp_path, folder_of(root, contents), kind)
    else:
        names = sorted(contents)
        tar_of(root / "a.tar", {name: contents[name] for name in names[:5]})
        tar_of(root / "b.tar", {name: contents[name] for name in names[5:]})
        index = indexed(tmp_path, root, kind, files=["a.tar", "b.tar"])
    images = list_image_set("other", root, index)
    ids = images.table["image_id"].to_pylist()
    assert len(images) == 12 and ids == sorted(ids)
    monkeypatch.setattr(shard_images, "MAX_OPEN", 3)
    dataset = ShardImages(images, VIEWS, 0)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert {dataset.read(index) for index in range(12)} == {drawing(number) for number in range(12)}
    assert dataset.read(0) == pickle.loads(pickle.dumps(dataset)).read(0)
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 3
    sampler = EpochBatches(len(images), 4, 1, 0, 0)
    loaded = [list(DataLoader(dataset, batch_sampler=sampler, num_workers=workers)) for workers in (0, 2)]
    assert same(loaded[0], loaded[1]) and len(loaded[0]) == 3
    # The place of the set changes nothing.
    expected = dataset[0, 4][1]
    root.rename(tmp_path / "moved")
    moved = list_image_set("other", tmp_path / "moved", index)
    assert moved.digest == images.digest
    assert torch.equal(ShardImages(moved, VIEWS, 0)[0, 4][1], expected)
    with pytest.raises(UserError, match=r"no folder .*set \(key `path`"):
        list_image_set("other", root, index)


def test_an_image_set_that_changed(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", {f"{number}.jpg": drawing(number) for number in range(3)})
    index = indexed(tmp_path, root, "folder")
    images = list_image_set("other", root, index)
    first = images.table["container"].to_pylist()[0]
    (root / first).write_bytes(bytes(len(drawing(int(first[0])))))
    with pytest.raises(UserError, match=rf"{first} does not decode .*the set other changed since.*delete .*other\.par"):
        ShardImages(images, _plain, 0)[0, 0]
    (root / first).unlink()
    with pytest.raises(UserError, match=rf"{first} does not decode .*No such file"):
        ShardImages(images, _plain, 0)[0, 0]
    with pytest.raises(UserError, match=rf"{first} is missing or shorter than the \d+ bytes .* index the set anew"):
        list_image_set("other", root, index)
