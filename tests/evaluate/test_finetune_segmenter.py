from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from scripts.evaluate import finetune_segmenter, list_annotations
from scripts.evaluate.dense import loop
from scripts.evaluate.dense.masks import SegmenterViews
from scripts.evaluate.dense.pictures import Listed, read_listed
from scripts.evaluate.dense.segmenter import IGNORED
from scripts.evaluate.settings_annotated import SemanticTask
from scripts.evaluate.settings_finetuned import SegmenterRecipe
from scripts.lib.errors import UserError
from tests.evaluate.made_dense import SCHEDULE, read_rows, save_resnet18

TINY = SegmenterRecipe(
    name="tiny_fcn", tasks=("t",), encoders=None, seeds=(0,), schedule=SCHEDULE, norm="synchronised", devices=1,
    checkpoint_every_steps=2, output_stride=32, head_channels=8, head_dilation=1, crop=64, scales=(0.8, 1.5),
    flip_probability=0.5,
)  # fmt: skip


def semantic_task(**values: Any) -> dict[str, Any]:
    task = {"name": "t", "max_train": None, "max_test": None, "seed": 0, "kind": "semantic", "images": "", "masks": "",
            "image_prefix": "", "classes": 3, "ignore": 255, "train_list": None,
            "test": {"test_share": 0.4, "seed": 0}}  # fmt: skip
    return {**task, **values}


def made_masks(folder: Path, pictures: int = 8) -> None:
    """Write pictures of a coloured block on grey, with masks: the block's class, and a rim that does not count."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    random = np.random.default_rng(0)
    for number in range(pictures):
        label = 1 + number % 2
        pixels, mask = np.full((60, 80, 3), 100, np.uint8), np.zeros((60, 80), np.uint8)
        x, y = int(random.integers(5, 40)), int(random.integers(5, 25))
        mask[y - 2 : y + 32, x - 2 : x + 37] = 255
        mask[y : y + 30, x : x + 35], pixels[y : y + 30, x : x + 35, label] = label, 255
        Image.fromarray(pixels).save(folder / "images" / f"{number}.jpg", quality=95)
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")


def run(folder: Path, task: dict[str, Any], recipe: SegmenterRecipe, paths: list[Path], name: str = "first") -> list[dict[str, str]]:  # fmt: skip  # noqa: E501
    listed = [str(folder / each) for each in ("p.parquet", "p.json", "p.csv")]
    flags = [each for pair in zip(("--out", "--facts", "--left-out"), listed, strict=True) for each in pair]
    places = ["--paths", *map(str, paths)]
    list_annotations.main(["--recipe", json.dumps({"task": task}), *places, *flags])
    save_resnet18(folder / "e.safetensors")
    text = json.dumps({"task": task, "recipe": recipe.model_dump(mode="json"), "seed": 1})
    finetune_segmenter.main([
        "--recipe", text, "--run", "r", "--encoder", str(folder / "e.safetensors"), "--pictures", listed[0],
        "--facts", listed[1], *places, "--threads", "1", "--out", str(folder / f"{name}.csv"),
        "--losses", str(folder / f"{name}.losses.csv"),
    ])  # fmt: skip
    return read_rows(folder / f"{name}.csv")


def test_figures_chance_and_the_same_bits_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made_masks(tmp_path)
    paths = [tmp_path / "images", tmp_path / "masks"]
    rows = run(tmp_path, semantic_task(), TINY, paths)
    assert [row["metric"] for row in rows] == ["miou", "pixel_accuracy"]
    tested = [each for each in read_listed(str(tmp_path / "p.parquet")) if each.split == "test"]
    masks = [np.array(Image.open(tmp_path / "masks" / each.mask)) for each in tested]
    background = sum(int((mask == 0).sum()) for mask in masks) / sum(int((mask != 255).sum()) for mask in masks)
    assert float(rows[1]["chance"]) == pytest.approx(100 * background, abs=1e-3)
    present = len({label for mask in masks for label in np.unique(mask).tolist()} - {255})
    assert float(rows[0]["chance"]) == pytest.approx(100 * background / present, abs=1e-3)
    assert int(rows[0]["n"]) == len(tested)
    step_rate = loop.step_rate

    def killed(schedule: Any, step: int) -> float:
        if step == 3:
            raise KeyboardInterrupt
        return step_rate(schedule, step)

    monkeypatch.setattr(loop, "step_rate", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, semantic_task(), TINY, paths, "second")
    monkeypatch.setattr(loop, "step_rate", step_rate)
    run(tmp_path, semantic_task(), TINY, paths, "second")
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()
    assert (tmp_path / "first.losses.csv").read_bytes() == (tmp_path / "second.losses.csv").read_bytes()


def test_picture_and_labels_stay_together_and_what_lies_outside_does_not_count(tmp_path: Path):
    made_masks(tmp_path, 2)
    folders = {"train": tmp_path / "images", "masks": tmp_path / "masks"}
    size = (tmp_path / "images" / "1.jpg").stat().st_size
    listed = [Listed("train", "1.jpg", "1.png", size, 80, 60, [])]
    task = SemanticTask.model_validate_json(json.dumps(semantic_task()))
    views = SegmenterViews(listed, folders, (task, TINY.model_copy(update={"crop": 100})), 0)
    for step in range(6):
        image, labels = views.train(step, 0)
        blue = (image[2] > 0.9) & (image[0] < 0.6)
        marked = labels == 2
        assert marked.sum() > 100 and (marked & blue).sum() > 0.85 * marked.sum()  # the edge is mixed
        assert not (blue & (labels == 0)).any()
        outside = image.sum(dim=0) == 0
        assert outside.any() and (labels[outside] == IGNORED).all()
    assert torch.equal(views.train(0, 0)[1], views.train(0, 0)[1])
    assert not torch.equal(views.train(0, 0)[1], views.train(1, 0)[1])


@pytest.mark.slow
def test_shuffled_masks_give_chance(tmp_path: Path):
    """The same pictures and masks, paired by chance: what was far above chance is at it."""
    longer = SCHEDULE.model_copy(update={"steps": 250, "batch_size": 4, "learning_rate": 0.1, "milestones": (200,)})
    recipe = TINY.model_copy(update={"schedule": longer, "scales": (1.0, 1.0), "head_channels": 32})
    above = {}
    for name in ("paired", "shuffled"):
        folder = tmp_path / name
        folder.mkdir()
        made_masks(folder, 24)
        if name == "shuffled":
            masks = [folder / "masks" / f"{number}.png" for number in range(24)]
            contents = [mask.read_bytes() for mask in masks]
            for mask, place in zip(masks, np.random.default_rng(5).permutation(24), strict=True):
                mask.write_bytes(contents[place])
        miou = run(folder, semantic_task(), recipe, [folder / "images", folder / "masks"])[0]
        above[name] = float(miou["value"]) - float(miou["chance"])
    assert above["paired"] > 15
    assert above["shuffled"] < above["paired"] / 3


def test_a_class_that_the_set_has_not_is_one_paragraph(tmp_path: Path):
    made_masks(tmp_path)
    paths = [tmp_path / "images", tmp_path / "masks"]
    with pytest.raises(UserError, match=r"classes up to 2, where.*less than 2 are expected"):
        run(tmp_path, semantic_task(classes=2), TINY, paths)


@pytest.mark.slow
def test_four_pictures_are_over_fitted(tmp_path: Path, shared: Path):
    for name in ("i", "masks"):
        (tmp_path / name).mkdir()
    stems = sorted(path.stem for path in (shared / "coco/masks").glob("*.png"))[:4]
    for stem in stems:  # two copies under other names: a picture is never in both splits
        for copy in ("a", "b"):
            shutil.copy(shared / f"photos/coco_{stem}.jpg", tmp_path / "i" / f"{copy}{stem}.jpg")
            shutil.copy(shared / f"coco/masks/{stem}.png", tmp_path / "masks" / f"{copy}{stem}.png")
    (tmp_path / "train.txt").write_text("".join(f"a{stem}\n" for stem in stems))
    (tmp_path / "test.txt").write_text("".join(f"b{stem}\n" for stem in stems))
    schedule = SCHEDULE.model_copy(
        update={"steps": 100, "learning_rate": 0.05, "warm_up_steps": 10, "milestones": (80,), "batch_size": 4}
    )
    recipe = TINY.model_copy(
        update={"schedule": schedule, "head_channels": 64, "crop": 320, "scales": (0.5, 0.5), "flip_probability": 0.0,
                "checkpoint_every_steps": 1000}
    )  # fmt: skip
    task = semantic_task(classes=201, ignore=0, train_list="", test="")
    paths = [tmp_path / "i", tmp_path / "masks", tmp_path / "train.txt", tmp_path / "test.txt"]
    values = {row["metric"]: float(row["value"]) for row in run(tmp_path, task, recipe, paths)}
    assert values["miou"] >= 50, values
