from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import yaml
from torch import nn

from scripts.config import load_config
from scripts.lib.encoders import build_encoder, save_encoder
from scripts.lib.errors import UserError
from scripts.lib.files import sha256_file, table_of, write_json, write_table
from scripts.lib.heads import save_head
from scripts.lib.identity import content_digest
from scripts.lib.tables import METADATA
from scripts.plan import Plan
from scripts.pretrain.card_sections import LOADERS, METHODS, flat
from scripts.pretrain.deviations import DEVIATIONS, deviations_of
from scripts.pretrain.run_base import RunBase
from scripts.pretrain.train import load_run
from scripts.pretrain.write_model_card import main
from tests.conftest import ROOT
from tests.pretrain import made, made_multicrop
from tests.wiring.test_config import SCALES, merged

IDS = ["a" * 64, "b" * 64, "c" * 64]
ABOUT = {"encoder": "resnet18_cifar", "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2], "image_size": 32, "images": 3}
COST = {
    "devices": [{"device": "GPU | <b>x", "processes": 8, "wall_seconds": 7200.0}],
    "device_hours": 16.0,
    "sessions": 3,
    "images_seen": 1234567,
    "software": {"torch": "2.9"},
}


def metadata_row(image_id: str, licence: str) -> dict[str, Any]:
    row = {field.name: "" if str(field.type) == "string" else 0 for field in METADATA}
    return {**row, "image_id": image_id, "sha256": image_id[::-1], "licence": licence}


def card_recipe(**changes: Any) -> str:
    run = json.loads(made.recipe(encoder="resnet18_cifar", **changes))["run"]
    settings = {"run": run, "expected": "82.6 [x](y)", "data_title": "Set <i>", "data_version": "1", "contact": "me"}
    return json.dumps(settings)


def run_card(folder: Path, metadata: bool = True, recipe: str | None = None, **about: Any) -> str:
    write_table(
        folder / "metadata.parquet",
        table_of([metadata_row(each, f"CC-BY-{n // 2}.0") for n, each in enumerate(IDS)], METADATA),
    )
    digest = content_digest(IDS, [each[::-1] for each in IDS])
    description = {**ABOUT, "images_digest": digest, **about}
    save_encoder(folder / "encoder.safetensors", build_encoder("resnet18_cifar", 0), description)
    torch.manual_seed(0)
    save_head(folder / "head.safetensors", nn.Sequential(nn.Linear(512, 4)), ABOUT)
    write_json(folder / "cost.json", COST)
    flags = ["--recipe", recipe or card_recipe(), "--encoder", str(folder / "encoder.safetensors")]
    flags += ["--head", str(folder / "head.safetensors"), "--cost", str(folder / "cost.json")]
    flags += [f"--metadata={folder / 'metadata.parquet' if metadata else ''}", "--leak-rate="]
    main([*flags, "--out", str(folder / "card.md")])
    return (folder / "card.md").read_text(encoding="utf-8")


def test_what_a_card_says(tmp_path: Path) -> None:
    card = run_card(tmp_path)
    head, _, body = card.removeprefix("---\n").partition("\n---\n")
    assert yaml.safe_load(head)["datasets"] == ["Set <i>"]
    for text in (
        content_digest(IDS, [each[::-1] for each in IDS]),
        sha256_file(tmp_path / "encoder.safetensors"),
        sha256_file(tmp_path / "head.safetensors"),
        "| CC-BY-0\\.0 | 2 |\n| CC-BY-1\\.0 | 1 |",
        "results/shard/write_metadata/metadata.parquet",
        "Not audited",
        "| `augmentation.crop_scale` | `[0.2, 1.0]` |",
        "| `seed` | `0` |",
        "1,234,567 images seen in 3 sessions, 16.00 device-hours",
        "Improved Baselines with Momentum Contrastive Learning",
        "## Intended use and limits",
        "results/evaluate/collect_results.csv",
        "82\\.6",
    ):
        assert text in body, text
    # What comes from outside is shown, and does nothing.
    assert "<i>" not in body and "<b>" not in body and "[x](y)" not in body
    assert "`cost`" not in body and "`devices`" not in body
    again = run_card(tmp_path)
    assert again == card


def test_images_from_elsewhere_are_said_to_be_unknown(tmp_path: Path) -> None:
    card = run_card(tmp_path, metadata=False, recipe=card_recipe(images="cifar10"))
    assert "not curated by this project" in card and "Not audited" not in card and "CC-BY" not in card
    assert "Image sets: the images are not this project's selection | 80 |" in card


def test_metadata_of_other_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"digest ffff.*the metadata are of .*different selections"):
        run_card(tmp_path, images_digest="f" * 64)


def test_an_encoder_that_does_not_say_its_images_is_refused(tmp_path: Path) -> None:
    run_card(tmp_path)
    save_encoder(tmp_path / "encoder.safetensors", build_encoder("resnet18_cifar", 0), ABOUT)
    flags = ["--recipe", card_recipe(), "--head", "h", "--cost", "c", "--metadata=", "--leak-rate=", "--out", "o"]
    with pytest.raises(UserError, match="lacks images_digest"):
        main([*flags, "--encoder", str(tmp_path / "encoder.safetensors")])
    with pytest.raises(UserError, match="is not an encoder of this project"):
        main([*flags, "--encoder", str(tmp_path / "card.md")])


def test_a_cost_that_cannot_be_read_is_one_paragraph(tmp_path: Path) -> None:
    run_card(tmp_path)
    rest = ["--recipe", card_recipe(), "--metadata=", "--leak-rate=", "--out", str(tmp_path / "o")]
    rest += [f"--{name}={tmp_path / name}.safetensors" for name in ("encoder", "head")]
    for name, message in (("absent", "cannot be read"), ("card.md", "is not what `train` writes")):
        with pytest.raises(UserError, match=message):
            main([*rest, "--cost", str(tmp_path / name)])


def test_every_method_and_encoder_has_its_lines() -> None:
    assert set(METHODS) == {*made.RUNS, *made_multicrop.RUNS}
    assert set(METHODS) == {path.stem for path in (ROOT / "scripts/pretrain/methods").glob("[a-z]*.py")}
    assert set(LOADERS) == set(get_args(RunBase.model_fields["encoder"].annotation))


def test_deviations_are_entries_of_the_decisions_under_their_titles() -> None:
    text = (ROOT / "docs/decisions.md").read_text()
    titles = {int(number): title for number, title in re.findall(r"^(\d+)\. \*\*(.+?)\.?\*\*", text, re.MULTILINE)}
    assert [each.number for each in DEVIATIONS] == sorted({each.number for each in DEVIATIONS})
    for each in DEVIATIONS:
        assert titles[each.number] == each.title
    # Those that the decisions themselves call a deviation of training are all there.
    found = re.findall(r"^(\d+)\. \*\*(.*(?:\n .*)*)", text, re.MULTILINE)
    about_training = {int(number) for number, entry in found if "DEVIATION" in entry and "official" in entry}
    evaluation = {61, 93}
    assert about_training - evaluation <= {each.number for each in DEVIATIONS}


def numbers(text: str) -> list[int]:
    return [each.number for each in deviations_of(load_run(text)[0])]


def test_which_deviations_apply() -> None:
    plain = {"memory_format": "contiguous", "bn_splits": 1}
    assert numbers(made.recipe(**plain)) == []
    assert numbers(made.recipe(**plain, augmentation_backend="opencv", accumulation_steps=2)) == [70, 72]
    assert numbers(made.recipe()) == [14, 29, 71]
    assert numbers(made.recipe(encoder="vit_tiny_test", augmentation_backend="opencv")) == [39, 70, 71]  # no BatchNorm
    assert numbers(made.recipe("moco_v2_cld", **plain)) == [32]
    assert numbers(made.recipe("simclr", memory_format="contiguous", images="x")) == [35, 80]
    assert numbers(made_multicrop.recipe("swav")) == [36, 37, 71]
    assert numbers(made_multicrop.recipe("dino")) == [38, 39, 71]
    assert numbers(made.recipe(**plain, encoder="resnet18_cifar")) == [88]


@pytest.mark.parametrize("scale", [None, *SCALES], ids=lambda scale: scale.stem if scale else "paper")
def test_every_shipped_run_has_a_recipe_of_its_card(scale: Path | None) -> None:
    plan = Plan(load_config(merged(scale)))
    for run in plan.runs:
        recipe = json.loads(plan.write_model_card_recipe(run))
        assert recipe["run"]["name"] == run and recipe["expected"] and recipe["contact"]
        curated = plan.run(run).images == "shards"
        assert recipe["data_title"] == (plan.config.shard.card.title if curated else plan.run(run).images)
        assert bool(plan.if_curated(run, ["x"])) is curated


def test_values_are_listed_one_by_one() -> None:
    nested = {"a": 1, "b": {"c": [1, 2]}, "d": [{"e": None}, {"e": "x"}]}
    assert list(flat(nested)) == [("a", 1), ("b.c", [1, 2]), ("d.0.e", None), ("d.1.e", "x")]


def test_the_lines_that_load_an_encoder_load_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = run_card(tmp_path)
    found = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert found is not None
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(found[1], "card", "exec"), names)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = build_encoder("resnet18_cifar", 0).eval()(images)
        assert torch.equal(names["model"](images), expected)
