"""What the rules of fine-tuning ask of the configuration."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.lib.errors import UserError
from tests.wiring.test_config import merged
from tests.wiring.test_plan import plan

FINETUNED = "evaluate__finetuned__"


def edited(group: str, **values: Any) -> dict[str, Any]:
    """Return an edit of the first recipe of a group."""
    recipes = json.loads(json.dumps(merged()["evaluate"]["finetuned"][group]))
    recipes[0] |= values
    return {FINETUNED + group: recipes}


def encoders_of(step: str, recipe: str, **edits: Any) -> set[str]:
    tables = (path.split("/") for path in plan(**edits).protocol_tables)
    return {parts[3] for parts in tables if parts[2] == step and parts[4] == recipe}


def test_random_initialisation_and_published_weights_run_beside_ours() -> None:
    runs = {run["name"] for run in merged()["pretrain"]["runs"]}
    entry = {"name": "imagenet_r50", "kind": "torchvision", "model": "resnet50", "weights": "IMAGENET1K_V1"}
    found = encoders_of("finetune_classifier", "semi_1", evaluate__encoders=[{**entry, "download": True}])
    assert found == {*runs, *(f"{run}-untrained" for run in runs), "imagenet_r50", "resnet50-random"}


def test_transformers_have_no_detectors_and_shallow_networks_no_dilation() -> None:
    detectors = encoders_of("finetune_detector", "coco_fpn_1x")
    assert "moco_v2_r18_800" in detectors and not any("vit" in each for each in detectors)
    assert encoders_of("finetune_segmenter", "voc_fcn_30k") == {each for each in detectors if "r18" not in each}
    with pytest.raises(UserError, match="dino_vits16_100 is a vit_small_16, and detectors and"):
        plan(**edited("detectors", encoders=["dino_vits16_100"]))
    with pytest.raises(UserError, match="there is no encoder nobody; there are moco_v2_r50_200"):
        plan(**edited("classifiers", encoders=["nobody"]))


def test_recipes_hold_what_a_result_depends_on_and_no_more() -> None:
    def text(**values: Any) -> str:
        edits = edited("detectors", **values) if values else {}
        return plan(**edits).finetune_dense_recipe("coco_fpn_1x", "coco_instances", "0")

    assert text() == text(devices=2, seeds=[0, 5], encoders=["swav_r50_200"]) != text(box_width=512)
    recipe = json.loads(text())
    assert recipe["recipe"]["devices"] == 1 and recipe["task"]["train"] == "" and recipe["seed"] == 0


@pytest.mark.parametrize(
    ("edits", "told"),
    [
        (edited("detectors", tasks=["nothing"]), "finetuned.tasks has no task nothing of kind coco"),
        (edited("detectors", tasks=["voc12_masks"]), "has no task voc12_masks of kind coco"),
        (edited("detectors", devices=3), "batch_size 16 does not divide among 3 devices"),
        (edited("classifiers", tasks=["nothing"]), "evaluate.tasks has no task nothing"),
        (edited("classifiers", name="coco_fpn_1x"), "the name coco_fpn_1x is used more than once"),
        (
            {"evaluate__near_duplicates__tasks": ["nothing"]},
            "near_duplicates.tasks: evaluate.tasks has no task nothing",
        ),
    ],
)
def test_what_contradicts_itself_is_found_before_a_job_runs(edits: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        plan(**edits)


def test_near_duplicates_are_searched_where_the_config_says() -> None:
    assert json.loads(plan().list_task_recipe("imagenet1k"))["near_duplicates"] is None
    photos = plan("photos")
    assert json.loads(photos.list_task_recipe("cifar10"))["near_duplicates"] is None
    assert json.loads(photos.list_task_recipe("flowers"))["near_duplicates"]["near_distance"] == 6
