"""What the rules ask of `evaluate.encoders`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.lib.errors import UserError
from tests.conftest import ROOT
from tests.wiring.test_plan import plan
from tests.workflow import planned_jobs, run_snakemake, write_scale

SHOWN = {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2], "image_size": 64, "resize": 72, "interpolation": "bilinear"}
MAPPING = {"section": None, "prefixes": [], "rename": {}, "drop": []}
SWAV = {"name": "pass_swav", "kind": "pass_checkpoint", "checkpoint": "swav_200ep", "path": "/elsewhere/swav.pth.tar"}
DINO = {"name": "pass_dino", "kind": "pass_checkpoint", "checkpoint": "dino_deit_100ep", "download": True}
VISION = {"name": "r50", "kind": "torchvision", "model": "resnet50", "weights": "IMAGENET1K_V1", "download": True}
TIMM = {"name": "vit", "kind": "timm", "model": "vit_small_patch16_224.dino", "download": True}
OWN = {"name": "own", "kind": "state_dict", "architecture": "resnet18", "mapping": MAPPING, "preprocessing": SHOWN}
RANDOM = {"name": "fresh", "kind": "random", "architecture": "resnet50", "seed": 3, "preprocessing": SHOWN}


def strangers(*entries: dict[str, Any]) -> list[str]:
    return plan(evaluate__encoders=list(entries)).strangers


def test_every_architecture_has_a_random_encoder() -> None:
    assert strangers() == []
    assert strangers(SWAV, DINO, VISION, TIMM) == [
        *("pass_swav", "pass_dino", "r50", "vit"),
        *("resnet50-random", "vit_small_16-random", "timm_vit_small_patch16_224-random"),
    ]
    assert strangers(SWAV, RANDOM) == ["pass_swav", "fresh"]  # an entry of the same architecture is it
    assert strangers(DINO, RANDOM) == ["pass_dino", "fresh", "vit_small_16-random"]


def test_a_random_encoder_is_shown_what_the_first_of_its_architecture_is() -> None:
    chosen = plan(evaluate__encoders=[SWAV, VISION])
    like = "results/evaluate/import_encoder/pass_swav.safetensors"
    assert chosen.stranger_like("resnet50-random") == like and chosen.stranger_inputs("resnet50-random") == [like]
    assert json.loads(chosen.import_encoder_recipe("resnet50-random")) == {"encoder": None, "seed": 0}
    assert chosen.stranger_weights("resnet50-random") == chosen.stranger_like("pass_swav") == ""
    assert chosen.architecture_of("resnet50-random") == "resnet50"
    assert json.loads(plan(evaluate__encoders=[RANDOM]).import_encoder_recipe("fresh"))["seed"] == 3


def test_strangers_run_in_every_protocol_and_none_of_them_after_a_head() -> None:
    tables = {tuple(path.split("/")[2:4]) for path in plan(evaluate__encoders=[SWAV, TIMM]).protocol_tables}
    of_swav = {step for step, encoder in tables if encoder == "pass_swav"}
    assert of_swav == {step for step, encoder in tables if encoder == "swav_r50_200"}
    assert of_swav - {"finetune_detector", "finetune_segmenter"} == {step for step, name in tables if name == "vit"}
    assert not [name for _, name in tables if name in ("pass_swav-head", "vit-head")]


def test_only_what_lies_there_or_is_fetched_is_an_input(tmp_path: Path) -> None:
    here = {**SWAV, "name": "here", "path": str(tmp_path / "file")}
    (tmp_path / "file").write_bytes(b"")
    chosen = plan(evaluate__encoders=[SWAV, here, DINO])
    assert chosen.stranger_inputs("pass_swav") == [] and chosen.stranger_weights("pass_swav") == SWAV["path"]
    assert chosen.stranger_inputs("here") == [here["path"]]
    assert chosen.stranger_inputs("pass_dino") == ["results/evaluate/fetch_encoder/pass_dino.weights"]
    assert "elsewhere" not in chosen.import_encoder_recipe("pass_swav")


def test_a_network_of_timm_is_fingerprinted_with_its_own_family() -> None:
    chosen = plan(evaluate__encoders=[TIMM, DINO])
    codes = [
        chosen.code("evaluate.embed", "torch", encoder=chosen.architecture_of(name))
        for name in ("vit", "timm_vit_small_patch16_224-random", "pass_dino", "dino_vits16_100")
    ]
    assert codes[0] == codes[1] != codes[2] == codes[3]


def test_runs_say_how_their_pictures_are_resized() -> None:
    ways = {run: plan().run(run).interpolation for run in plan().runs}
    assert {run for run, way in ways.items() if way == "bicubic"} == {"dino_vits16_100", "dino_vits16_300"}


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({**SWAV, "checkpoint": "swav"}, r"evaluate\.encoders\.0\.checkpoint: .*there are moco_v2_180ep_of200ep, "),
        ({**SWAV, "name": "swav_r50_200"}, r"the name swav_r50_200 is used 2 times"),
        ({**SWAV, "name": "resnet50-random"}, r"evaluate\.encoders\.0\.name: "),
        ({**SWAV, "download": True}, r"evaluate\.encoders\.0: give the `path` .*not both"),
        ({**DINO, "download": False}, r"evaluate\.encoders\.0: give the `path` "),
        ({**SWAV, "sha256": "what"}, r"evaluate\.encoders\.0\.sha256: should be 64 digits"),
        ({**SWAV, "sum": "what"}, r"evaluate\.encoders\.0\.sum: unknown key"),
        ({**VISION, "model": "resnet51"}, r"evaluate\.encoders\.0\.model: "),
        ({**VISION, "weights": None}, r"weights: null names none of torchvision's weights, so nothing says"),
        ({**VISION, "weights": None, "download": False, "path": "x"}, r"so `preprocessing` must be given"),
        ({**TIMM, "model": "../x"}, r"evaluate\.encoders\.0\.model: "),
        (
            {**OWN, "path": "x", "architecture": "resnet101"},
            r"architecture: there is no such network here: .*torchvision/",
        ),
        ({**OWN, "download": True}, r"a state dict has no publisher here"),
        ({**RANDOM, "preprocessing": {**SHOWN, "resize": 60}}, r"image_size 64 is larger than resize 60"),
        ({**RANDOM, "kind": "fresh"}, r"evaluate\.encoders\.0: .*'pass_checkpoint', 'torchvision', 'timm'"),
    ],
)
def test_mistakes_are_named(entry: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        plan(evaluate__encoders=[entry])


def test_the_commented_entries_of_the_config_are_valid() -> None:
    text = (ROOT / "config.yaml").read_text()
    block = text[text.index("  encoders: []") :].split("\n  # Whose sizes")[0].splitlines()[1:]
    entries = yaml.safe_load("\n".join(line.replace("    # ", "", 1) for line in block))
    chosen = plan(evaluate__encoders=entries)
    assert {entry["kind"] for entry in entries} == {"pass_checkpoint", "torchvision", "timm", "state_dict", "random"}
    assert chosen.random_of("pass_swav") == "random_r50_seed1" and "vit_small_16-random" in chosen.strangers


def test_the_workflow_plans_them_without_torch(tmp_path: Path) -> None:
    entries = [SWAV, DINO, TIMM]
    scale = write_scale(tmp_path / "scale.yaml", {"evaluate": {"encoders": entries}})
    target = "results/evaluate/collect_results.csv"
    files = ["--configfile", str(ROOT / "scales/demo.yaml"), str(scale), "--"]
    result = run_snakemake("-n", *files, target, folder=tmp_path, without_torch=True)
    assert result.returncode == 0, result.stdout + result.stderr
    jobs = planned_jobs(result.stdout)
    assert jobs["import_encoder"] == 6 and jobs["fetch_encoder"] == 2 and jobs["embed"] == 2 + 6
