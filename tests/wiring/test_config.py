"""config.yaml and every scale are valid; mistakes are named with the path of their key."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from scripts.config import load_config
from scripts.lib.errors import UserError
from tests.conftest import ROOT

SCALES = sorted((ROOT / "scales").glob("*.yaml"))


def merged(scale: Path | None = None) -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    if scale is not None:
        update_config(raw, yaml.safe_load(scale.read_text()))
    return raw


@pytest.mark.parametrize("scale", [None, *SCALES], ids=lambda scale: scale.stem if scale else "paper")
def test_every_shipped_configuration_is_valid(scale: Path | None) -> None:
    load_config(merged(scale))


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: scale.stem)
def test_a_scale_only_replaces_keys_of_the_paper(scale: Path) -> None:
    paper = merged()
    for key in yaml.safe_load(scale.read_text()):
        assert key in paper


def set_at(raw: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    raw = copy.deepcopy(raw)
    *parents, last = path.split(".")
    node: Any = raw
    for key in parents:
        node = node[int(key)] if key.isdigit() else node[key]
    node[int(last) if last.isdigit() else last] = value
    return raw


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("filter.judge.min_sides", 3, r"filter\.judge\.min_sides: unknown key"),
        ("filter.judge.min_side", "64px", r"filter\.judge\.min_side: .*64px"),
        ("partition_bits", 20, r"partition_bits: .*less than or equal to 12"),
        ("curate.licences", ["CC-BY"], r"curate\.licences\.0: .*CC-BY-2\.0"),
        ("curate.sources.0.kind", "flickr", r"curate\.sources\.0"),
        ("curate.sources.0.files", [], r"curate\.sources\.0.*files"),
        ("curate.sources.0.files.0", {}, r"curate\.sources\.yfcc100m\.files\.0: give either path or url"),
        (
            "filter.rules.0.drop",
            {"retinaface_mobilenet": 0.01},
            r"rules\.face: drop 0\.01 .* is below .* score_floor 0\.02",
        ),
        ("filter.rules.0.review", {"retinaface_mobilenet": 0.01}, r"rules\.face: review 0\.01 .* is below"),
        (
            "filter.rules.0.review",
            {"retinaface_mobilenet": 0.5},
            r"rules\.face: review 0\.5 .* must be below its drop 0\.5",
        ),
        ("filter.rules.0.drop", {}, r"rules\.face: it names no detector"),
        (
            "filter.rules.0.drop",
            {"nanodet": 0.5},
            r"rules\.face: there is no detector nanodet; .* fasterrcnn_v2, retina",
        ),
        ("filter.rules.1.name", "face", r"filter\.rules: the name face is used 2 times"),
        ("filter.rules", [], r"filter\.rules: .*at least 1"),
        ("filter.rules.1.drop", {"retinaface_mobilenet": 0.7}, "no rule asks the detector fasterrcnn_v2"),
        ("filter.rules.1.combine", "all", r"filter\.rules\.1"),
        ("filter.person_detectors.0.name", "retinaface_mobilenet", "used 2 times"),
        ("filter.face_detectors.0.weights.url", None, "give a path or an url"),
        ("pretrain.runs.0.queue_size", 65_000, r"pretrain\.runs\.0: queue_size 65000 is not a multiple"),
        ("pretrain.runs.0.bn_splits", 7, r"batch_size 256 is not a multiple of bn_splits 7"),
        ("pretrain.runs.4.queue_size", 3841, r"pretrain\.runs\.4: queue_size 3841 is not a multiple"),
        (
            "pretrain.runs.4.augmentation.crops.1.size",
            96,
            r"pretrain\.runs\.4\.augmentation\.crops\.1\.size: unknown key",
        ),
        ("pretrain.runs.4.augmentation.crops", [], r"pretrain\.runs\.4\.augmentation\.crops: the first two crops must"),
        ("pretrain.runs.5.encoder", "resnet50", r"pretrain\.runs\.5: drop_path 0\.1 needs a ViT, resnet50 has no path"),
        ("pretrain.runs.1.name", "moco_v2_r50_200", "used 2 times"),
        ("pretrain.runs.0.learning_rate", "3e-2", r"learning_rate: .*3e-2"),
        ("pretrain.runs.0.clusters", 120, r"pretrain\.runs\.0\.clusters: unknown key"),
        (
            "pretrain.runs.0.images",
            "imagenet",
            r"pretrain: runs\.moco_v2_r50_200: there is no image set imagenet; .* shards",
        ),
        ("pretrain.image_sets", [{"name": "a", "kind": "tar", "path": "x"}], r"image_sets\.0: .*'folder', 'tars'"),
        (
            "pretrain.image_sets",
            [{"name": "a", "kind": "folder", "path": path} for path in "xy"],
            r"pretrain\.image_sets: the name a is used 2 times",
        ),
        ("pretrain.image_sets", [{"name": "shards", "kind": "folder", "path": "x"}], r"sets\.0.*choose another name"),
        ("pretrain.runs.0.method", "moco_v3", r"pretrain\.runs\.0: .*moco_v3.*moco_v2_cld"),
        (
            "pretrain.runs.3.cluster_splits",
            7,
            r"runs\.3: batch_size 512 is not a multiple of cluster_splits 7",
        ),
        ("pretrain.runs.0.accumulation_steps", 16, r"runs\.moco_v2_r50_200: micro-batches of 16 .*whole groups of 32"),
        ("pretrain.runs.0.accumulation_steps", 8, r"leaves one of 8 bn_splits to a micro-batch, so that keys have no"),
        ("pretrain.runs.0.accumulation_steps", 7, r"batch_size 256 is not a multiple of accumulation_steps 7"),
        ("evaluate.tasks.0.crop", 300, r"evaluate\.tasks\.0.*crop 300 is larger than resize 256"),
    ],
)
def test_mistakes_are_named(path: str, value: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_config(set_at(merged(), path, value))


def committee(**values: object) -> dict[str, object]:
    voices = [{"detector": name, "score": 1.0, "area": 0.0} for name in ("nanodet", "rtmdet", "retinaface_mobilenet")]
    rule = {"name": "c", "reason": "person", "combine": "logistic", "bias": 0.0, "voices": voices}
    return {**rule, "score_range": [0.05, 0.99], "drop": 0.9, "review": 0.2, **values}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("filter.rules", [committee(review=0.9)], r"rules\.c: review 0\.9 must be below drop 0\.9"),
        (
            "filter.rules",
            [committee(score_range=[0.03, 0.99])],
            r"rules\.c: score_range starts at 0\.03, below .* nanodet",
        ),
        ("filter.rules", [committee(score_range=[0.9, 0.1])], r"rules\.c: score_range must be two scores"),
        ("filter.rules", [committee(score_range=[0.05, 1.0])], r"rules\.c: score_range must be two scores"),
        ("filter.rules", [committee(voices=committee()["voices"] * 2)], r"rules\.c: a detector has two voices"),
        ("filter.rules.1.voices.0.detector", "yunet", r"rules\.committee: there is no detector yunet"),
        ("filter.tune.reference.0.drop", {"yunet": 0.5}, r"filter\.tune\.reference\.pass: there is no detector yunet"),
        ("filter.tune.committees.0.scores", ["yunet"], r"committees\.committee: there is no detector yunet"),
        (
            "filter.tune.committees.0.scores",
            ["rtmdet"],
            r"committees\.committee: areas names nanodet, which scores does",
        ),
        ("filter.labels.match", "name", r"filter\.labels\.match: .*image_id"),
    ],
)
def test_mistakes_of_a_committee_are_named(path: str, value: object, message: str) -> None:
    load_config(merged(ROOT / "scales/photos.yaml"))
    with pytest.raises(UserError, match=message):
        load_config(set_at(merged(ROOT / "scales/photos.yaml"), path, value))


def test_a_scale_leaves_no_rule_of_the_paper_behind() -> None:
    paper = {rule.name for rule in load_config(merged()).filter.rules}
    photos = load_config(merged(ROOT / "scales/photos.yaml")).filter
    assert "person" in paper
    assert [rule.name for rule in photos.rules] == ["face", "committee"]
    assert "fasterrcnn_v2" not in str(photos)


def test_missing_keys_are_named() -> None:
    raw = merged()
    del raw["filter"]["judge"]["min_side"]
    with pytest.raises(UserError, match=r"filter\.judge\.min_side: missing"):
        load_config(raw)
    raw = merged()
    del raw["pretrain"]["runs"][3]["clusters"]
    with pytest.raises(UserError, match=r"pretrain\.runs\.3\.clusters: missing"):
        load_config(raw)
    # A key of its member's name: path without the tag that pydantic puts before it, and not without both.
    with pytest.raises(UserError, match=r"evaluate\.tasks\.0\.table: missing"):
        load_config(set_at(merged(), "evaluate.tasks.0", {"kind": "table"}))


def test_environment_variables_are_replaced() -> None:
    raw = set_at(merged(), "filter.human_verdicts", "${REVIEWS:-reviews}/${NAME}.csv")
    assert load_config(raw, {"NAME": "x"}).filter.human_verdicts == "reviews/x.csv"
    assert load_config(raw, {"NAME": "x", "REVIEWS": "/r"}).filter.human_verdicts == "/r/x.csv"
    with pytest.raises(UserError, match=r"filter\.human_verdicts: the environment variable NAME is not set"):
        load_config(raw, {})


def test_the_fields_of_a_store_are_no_variables() -> None:
    url = "https://example.org/{key:3}/{key:3:6}/{key}.jpg"
    config = load_config(set_at(merged(), "curate.sources.0.stores.0.url", url), {})
    store = config.curate.sources[0].stores[0]  # type: ignore[union-attr]
    assert store.url == url  # type: ignore[union-attr]
