from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts.evaluate import finetune_classifier, list_task
from scripts.evaluate.classifier_fit import Labelled, Pair, draw_part, epoch_batches, pairs_of, plan_for
from scripts.evaluate.items import Item
from scripts.evaluate.settings_finetuned import ClassifierRecipe
from scripts.lib.encoders import IMAGENET_MEAN, IMAGENET_STD, build_encoder, save_encoder
from tests.evaluate.made_dense import read_rows

SWAV = ClassifierRecipe(
    name="semi", tasks=None, encoders=None, seeds=(0,), share=0.5, epochs=20, steps=None, batch_size=8,
    learning_rates=(0.02,), head_factor=250.0, weight_decays=(0.0,), decay_over_rate=False, holdout_share=0.25,
    momentum=0.9, nesterov=False, milestones=(12, 16), factor=0.2, checkpoint_every_steps=2,
)  # fmt: skip


def recipe(**values: Any) -> ClassifierRecipe:
    return SWAV.model_copy(update=values)


def labelled(*counts: int) -> Labelled:
    labels = np.repeat(np.arange(len(counts)), counts)
    return Labelled([Item("train", f"{n}.png", str(label), 0, 0) for n, label in enumerate(labels)], labels)


def test_a_part_takes_the_same_share_of_each_class_and_grows():
    data = labelled(100, 40, 3)
    small, large = draw_part(data, 0.1, seed=1), draw_part(data, 0.5, seed=1)
    assert Counter(small.labels.tolist()) == {0: 10, 1: 4, 2: 1} and Counter(large.labels.tolist())[0] == 50
    assert {item.name for item in small.items} <= {item.name for item in large.items}
    assert {item.name for item in small.items} != {item.name for item in draw_part(data, 0.1, seed=2).items}
    assert len(draw_part(data, 1.0, seed=1).items) == 143


def test_the_official_schedule():
    plan = plan_for(recipe(), Pair(0.02, 0.0), 100, seed=0)  # 13 batches an epoch, the last of four
    assert plan.steps == 260
    assert [plan.rate_of(step) for step in (0, 155, 156, 207, 208)] == pytest.approx([0.02, 0.02, 0.004, 0.004, 0.0008])
    assert sorted(index for step in range(13) for index in plan.batch_of(step)) == list(range(100))
    assert len(epoch_batches(17, 8, 0, 0)) == 2  # one image alone has no batch statistics
    cosine = plan_for(recipe(epochs=None, steps=50, milestones=None), Pair(0.1, 0.0), 100, seed=0)
    assert cosine.steps == 50 and cosine.rate_of(25) == pytest.approx(0.05)


def test_pairs_of_a_grid():
    grid = recipe(learning_rates=(0.1, 0.01), weight_decays=(0.0, 0.001), decay_over_rate=True)
    assert pairs_of(grid) == [Pair(0.1, 0.0), Pair(0.1, 0.01), Pair(0.01, 0.0), Pair(0.01, 0.1)]


class Bench:
    def __init__(self, folder: Path, test_per_class: int = 4) -> None:
        self.folder = folder
        name = "vit_tiny_test"  # classifiers take any encoder
        description = {"encoder": name, "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}
        save_encoder(folder / "e.safetensors", build_encoder(name, 0), description)
        self.task = {"name": "fractals", "kind": "fractal", "classes": 3, "train_per_class": 12,
                     "test_per_class": test_per_class, "image_size": 40, "iterations": 4000, "fractal_seed": 7,
                     "resize": 36, "crop": 32,
                     "max_train": None, "max_test": None, "seed": 0}  # fmt: skip
        text = json.dumps({"task": self.task, "near_duplicates": None})
        list_task.main(["--recipe", text, "--out", str(folder / "items.parquet"), "--left-out", str(folder / "l.csv")])

    def run(self, chosen: ClassifierRecipe, name: str, seed: int = 0) -> list[dict[str, str]]:
        text = json.dumps(
            {"task": self.task, "preprocess": "encoder", "recipe": chosen.model_dump(mode="json"), "seed": seed}
        )
        out = self.folder / f"{name}.csv"
        finetune_classifier.main([
            "--recipe", text, "--run", "r", "--encoder", str(self.folder / "e.safetensors"),
            "--items", str(self.folder / "items.parquet"), "--threads", "1", "--out", str(out),
            "--predictions", str(self.folder / f"{name}.parquet"),
        ])  # fmt: skip
        return read_rows(out)


def test_one_rate_is_tested_once_and_repeats(tmp_path: Path):
    bench, short = Bench(tmp_path), recipe(epochs=3, milestones=(1, 2))
    rows = bench.run(short, "first")
    assert [row["metric"] for row in rows] == ["top1", "mean_per_class"]
    assert (rows[0]["n"], rows[0]["protocol"], rows[0]["selected_on"]) == ("12", "semi", "")
    assert json.loads(rows[0]["settings"])["train_images"] == 18
    (predicted,) = pq.read_table(tmp_path / "first.parquet").to_pylist()
    assert np.mean(predicted["right"]) * 100 == pytest.approx(float(rows[0]["value"]), abs=1e-3)
    bench.run(short, "second")
    for suffix in (".csv", ".parquet"):
        assert (tmp_path / f"first{suffix}").read_bytes() == (tmp_path / f"second{suffix}").read_bytes()
    assert not (tmp_path / "first.csv.state").exists()


def test_shuffled_labels_give_chance(tmp_path: Path):
    """Train labels that say nothing of the pictures: what is learnt by heart is of no use on others."""
    bench = Bench(tmp_path, test_per_class=60)
    table = pq.read_table(tmp_path / "items.parquet")
    rows = table.to_pylist()
    train = [row for row in rows if row["split"] == "train"]
    shuffled = np.random.default_rng(1).permutation([row["label"] for row in train]).tolist()
    for row, label in zip(train, shuffled, strict=True):
        row.update(label=label, accepted=[label])
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), tmp_path / "items.parquet")
    values = [
        float(row["value"])
        for seed in (0, 1, 2)
        for row in bench.run(recipe(epochs=3, milestones=(1, 2), share=1.0), f"s{seed}", seed)
        if row["metric"] == "top1"
    ]
    # 180 test images at a third: a standard deviation of one fit is 3.5 points, and fits on one set go together.
    assert abs(np.mean(values) - 100 / 3) < 4 * 3.5


def test_a_killed_choice_continues_and_rests_on_train_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bench = Bench(tmp_path)
    grid = recipe(epochs=None, steps=3, milestones=None, learning_rates=(0.0001, 0.01), share=1.0)
    rows = bench.run(grid, "first")
    assert rows[0]["selected_on"] == "9 held-out train images"
    settings = json.loads(rows[0]["settings"])
    assert settings["chosen"]["rate"] in (0.0001, 0.01) and len(settings["tried"]) == 2
    answers, calls = finetune_classifier.Trainer.answers, []

    def killed(self: Any, model: Any, data: Labelled) -> Any:
        calls.append({item.split for item in data.items})
        if len(calls) == 2:
            raise KeyboardInterrupt
        return answers(self, model, data)

    monkeypatch.setattr(finetune_classifier.Trainer, "answers", killed)
    with pytest.raises(KeyboardInterrupt):
        bench.run(grid, "second")
    bench.run(grid, "second")
    # The first choice is not made again; the test split is looked at once, last.
    assert calls == [{"train"}, {"train"}, {"train"}, {"test"}]
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()


def test_lengths_are_epochs_or_steps():
    for values in ({"steps": 5}, {"epochs": None}, {"milestones": (12, 20)}, {"epochs": None, "steps": 5}):
        with pytest.raises(ValueError, match=r"either epochs or steps|are epochs and must end"):
            ClassifierRecipe(**{**SWAV.model_dump(), **values})
