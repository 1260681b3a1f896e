"""What the rules ask of the configuration."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scripts.config import load_config
from scripts.lib.errors import UserError
from scripts.lib.fingerprint import code_files
from scripts.plan import Plan, present
from tests.conftest import ROOT
from tests.wiring.test_config import merged, set_at

ENCODERS = ("resnet18", "resnet50", "vit_small_16")


def plan(scale: str | None = None, **edits: object) -> Plan:
    raw = merged(ROOT / f"scales/{scale}.yaml" if scale else None)
    for path, value in edits.items():
        raw = set_at(raw, path.replace("__", "."), value)
    return Plan(load_config(raw))


def before_reversed() -> list[object]:
    return list(reversed(merged()["filter"]["rules"]))


def test_a_detector_that_no_rule_asks_is_measured_for_tuning_alone() -> None:
    labelled = plan("labelled")
    assert {"yunet", "centerface"} < set(labelled.face_detectors)
    assert labelled.asked(labelled.face_detectors) == ["retinaface_mobilenet"]
    assert json.loads(labelled.tune_recipe())["detectors"] == [*labelled.face_detectors, *labelled.person_detectors]
    assert json.loads(labelled.tune_recipe())["labels"]["table"] == ""
    assert labelled.tuned("a", "b") == ["a", "b"]
    assert labelled.labels_by_path(["c"]) == ["c"] and plan("photos").labels_by_path(["c"]) == []


def test_without_labels_nothing_is_tuned() -> None:
    assert plan().tuned("a") == [] and plan().labels == ""
    with pytest.raises(UserError, match=r"filter\.labels is null"):
        plan().tune_recipe()


def test_tuning_changes_no_verdict() -> None:
    before, after = plan("photos"), plan("photos", filter__tune__wanted_recall=0.9, filter__labels__strata=[])
    assert before.tune_recipe() != after.tune_recipe()
    assert before.judge_recipe() == after.judge_recipe()


def test_a_threshold_is_in_the_recipe_of_judge_and_of_nothing_else() -> None:
    before, after = plan(), plan(filter__rules__0__drop={"retinaface_mobilenet": 0.6})
    assert before.judge_recipe() != after.judge_recipe()
    assert plan(filter__rules=before_reversed()).judge_recipe() != before.judge_recipe()  # the order counts
    for name in (*before.face_detectors, *before.person_detectors):
        assert before.detect_recipe(name) == after.detect_recipe(name)
    assert before.select_recipe() == after.select_recipe()


def test_recipes_hold_no_path() -> None:
    photos = plan("photos")
    texts = [
        *(photos.select_candidates_recipe(file) for file in photos.files),
        *(photos.detect_recipe(name) for name in (*photos.face_detectors, *photos.person_detectors)),
        *(photos.list_task_recipe(task) for task in photos.tasks),
        *(photos.embed_recipe(task) for task in photos.tasks),
    ]
    assert texts
    for text in texts:
        json.loads(text)
        assert "shared" not in text


def test_a_note_for_the_reader_retrains_nothing() -> None:
    before, after = plan(), plan(pretrain__runs__0__cost="a week", pretrain__runs__0__expected="much")
    assert before.train_recipe("moco_v2_r50_200") == after.train_recipe("moco_v2_r50_200")
    assert before.write_report_recipe() != after.write_report_recipe()


def test_another_machine_retrains_nothing() -> None:
    before = plan()
    after = plan(pretrain__runs__0__devices=2, pretrain__runs__0__nodes=4, pretrain__runs__0__threads=3)
    assert before.train_recipe("moco_v2_r50_200") == after.train_recipe("moco_v2_r50_200")
    several = {run for run in after.runs if re.fullmatch(after.runs_on(several_nodes=True), run)}
    assert several == {"moco_v2_r50_200", "dino_vits16_300"}
    assert {run for run in after.runs if re.fullmatch(after.runs_on(several_nodes=False), run)} == {
        *after.runs
    } - several


def test_local_stores_come_in_the_order_of_the_config() -> None:
    folders = [{"folder": "b"}, {"url": "http://x/{key}"}, {"tar": "a.tar"}]
    assert plan(curate__sources__0__stores=folders).local_stores() == ["yfcc100m=b", "yfcc100m=a.tar"]


def test_planted_data_need_their_settings() -> None:
    with pytest.raises(UserError, match="plant_hazards is null"):
        plan().plant_hazards_recipe()


def test_untrained_encoders_are_evaluated_when_asked_for() -> None:
    runs = [run.name for run in plan().config.pretrain.runs]
    assert plan().encoders == [*runs, *(f"{run}-untrained" for run in runs)]
    first = ["moco_v2_r50_200", "moco_v2_r18_800", "dino_vits16_100"]  # with each of the architectures
    assert plan(evaluate__untrained=False).encoders == [*runs, *(f"{run}-untrained" for run in first)]
    assert plan().encoder_path("moco_v2_r50_200-untrained").endswith("moco_v2_r50_200/untrained_encoder.safetensors")


def test_only_what_lies_there_is_an_input(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    assert present(str(tmp_path / "a"), str(tmp_path / "b"), None, "") == [str(tmp_path / "a")]


def test_a_run_is_fingerprinted_with_its_own_method_and_family_of_encoders() -> None:
    modules = ("pretrain.train", "pretrain.methods.moco_v2", "lib.architectures.resnet")
    names = {path.name for path in code_files(*(f"scripts.{module}" for module in modules))}
    assert {"resnet.py", "moco_v2.py", "momentum.py"} <= names
    assert not {"vit.py", "dino.py", "swav.py", "simclr.py", "moco_v2_cld.py"} & names
    hashes = [
        plan().code("pretrain.train", "torch", "pretrain.methods", ["moco_v2"], encoder=encoder) for encoder in ENCODERS
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_protocol_that_is_off_or_has_other_tasks_makes_no_file() -> None:
    encoders = len(plan().encoders)
    assert not [path for path in plan(evaluate__knn=None).protocol_tables if "/knn/" in path]
    assert len(plan(evaluate__few_shot=None).protocol_tables) == len(plan().protocol_tables) - 2 * encoders
    one = plan(evaluate__cluster__tasks=["places205"])
    assert [path for path in one.protocol_tables if "/cluster/" in path] == sorted(
        f"results/evaluate/cluster/{encoder}/places205.csv" for encoder in one.encoders
    )
    assert not [path for path in plan().protocol_predictions if "/few_shot/" in path or "/rank_me/" in path]
    with pytest.raises(UserError, match=r"evaluate\.few_shot is null"):
        plan(evaluate__few_shot=None).protocol_recipe("few_shot")


def test_what_runs_after_the_head_reads_other_features_of_the_same_encoder() -> None:
    before, after = plan(evaluate__after_head=[]), plan(evaluate__after_head=["cluster"])
    fresh = set(after.protocol_tables) - set(before.protocol_tables)
    assert fresh == {f"results/evaluate/cluster/{run}-head/{task}.csv" for run in after.runs for task in after.tasks}
    assert not set(before.protocol_tables) - set(after.protocol_tables)
    assert after.protocol_recipe("cluster") == before.protocol_recipe("cluster")
    run = after.runs[0]
    assert after.features_path(f"{run}-head", "t") == f"results/evaluate/apply_head/{run}/t.safetensors"
    for encoder in (run, f"{run}-untrained"):
        assert after.features_path(encoder, "t") == f"results/evaluate/embed/{encoder}/t.safetensors"
    with pytest.raises(UserError, match=r"evaluate\.after_head\.0: .*finetune"):
        plan(evaluate__after_head=["finetune"])


def test_where_a_protocol_runs_is_not_in_its_recipe() -> None:
    assert plan(evaluate__cluster__tasks=["places205"]).protocol_recipe("cluster") == plan().protocol_recipe("cluster")


def test_which_figure_leads_is_in_the_recipe_of_the_report_alone() -> None:
    before = plan("demo")
    task = {**merged(ROOT / "scales/demo.yaml")["evaluate"]["tasks"][0], "metric": "mean_per_class"}
    after = plan("demo", evaluate__tasks=[task])
    assert (before.figures, after.figures) == ({"fractals": ("top1",)}, {"fractals": ("mean_per_class",)})
    assert after.list_task_recipe("fractals") == before.list_task_recipe("fractals")
    assert after.embed_recipe("fractals") == before.embed_recipe("fractals")
    assert after.finetune_classifier_recipe("semi_25", "fractals", "0") == before.finetune_classifier_recipe("semi_25", "fractals", "0")  # fmt: skip  # noqa: E501
    assert json.loads(after.write_report_recipe())["figures"] == {"fractals": ["mean_per_class"]}
    paper = plan().figures
    assert paper["imagenet1k"] == ("top1",) and paper["coco_instances"] == ("box_ap", "mask_ap", "keypoint_ap")
    assert (paper["voc07_12"], paper["voc12_masks"]) == (("box_ap50",), ("miou",))


def test_a_protocol_cannot_name_a_task_that_is_not_there() -> None:
    with pytest.raises(UserError, match=r"knn\.tasks: evaluate\.tasks has no task cifar10"):
        plan(evaluate__knn__tasks=["cifar10"])


def test_a_run_on_an_image_set_needs_no_shards() -> None:
    sets = [
        {"name": "imagenet1k", "kind": "folder", "path": "/somewhere"},
        {"name": "release", "kind": "tars", "path": "/tars", "files": ["0.tar"]},
    ]
    chosen = plan(pretrain__image_sets=sets, pretrain__runs__0__images="imagenet1k")
    name = "moco_v2_r50_200"
    assert chosen.train_shards(name) == [] and chosen.images_root("imagenet1k") == "/somewhere"
    assert chosen.train_indexes(name) == ["results/pretrain/index_images/imagenet1k.parquet"]
    assert chosen.train_recipe(name) != plan().train_recipe(name)
    for images in ("imagenet1k", "release"):
        assert "/somewhere" not in chosen.index_images_recipe(images) and "/tars" not in chosen.index_images_recipe(
            images
        )
    other = "moco_v2_r50_800"
    assert (
        len(chosen.train_shards(other)) == len(chosen.train_indexes(other)) == 256
        and chosen.images_root("shards") == ""
    )
    assert chosen.train_recipe(other) == plan().train_recipe(other)
    with pytest.raises(UserError, match=r"pretrain\.image_sets has no entry pass"):
        chosen.index_images_recipe("pass")
