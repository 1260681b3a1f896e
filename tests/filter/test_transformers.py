from __future__ import annotations

import json
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
import yaml
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from scripts.filter.detect_people import main
from scripts.filter.detectors.transformers import import_offline, load_detector, read_outputs
from scripts.filter.settings import DetectSettings, TransformersDetector
from scripts.lib.errors import UserError
from scripts.lib.files import write_json
from tests.conftest import ROOT
from tests.filter.made import detector_recipe, flags, picture, png, write_part

LABELS = {0: "bicycle", 1: "person", 2: "car"}
SIDE = 64


def hgnet() -> Any:
    return transformers.HGNetV2Config(
        depths=[1, 1, 1, 1],
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, 8, 16, 16],
        stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[8, 16, 16, 16],
        stage_num_blocks=[1, 1, 1, 1],
        stage_downsample=[False, True, True, True],
        stage_light_block=[False, False, True, True],
        stage_kernel_size=[3, 3, 3, 3],
        stage_numb_of_layers=[1, 1, 1, 1],
        hidden_sizes=[8, 16, 16, 16],
        embedding_size=8,
        hidden_act="relu",
        out_indices=[2, 3, 4],
        out_features=["stage2", "stage3", "stage4"],
    )


def config_of(kind: str) -> Any:
    """Return a tiny config of an architecture."""
    shared = {"id2label": LABELS, "d_model": 16, "num_queries": 12, "decoder_layers": 2, "decoder_ffn_dim": 16}
    hybrid = {
        **shared,
        "encoder_hidden_dim": 16,
        "encoder_ffn_dim": 16,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_in_channels": [16, 16, 16],
        "decoder_in_channels": [16, 16, 16],
        "num_denoising": 0,
    }
    if kind == "d_fine":
        return transformers.DFineConfig(backbone_config=hgnet(), decoder_n_points=[2, 2, 2], **hybrid)
    if kind == "rf_detr":
        backbone = transformers.RfDetrDinov2Config(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=16,
            num_windows=2,
            out_indices=[1, 2],
        )
        return transformers.RfDetrConfig(
            backbone_config=backbone,
            decoder_self_attention_heads=2,
            decoder_cross_attention_heads=2,
            group_detr=2,
            **shared,
        )
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 16, 16],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config_class = {"rt_detr": transformers.RTDetrConfig, "rt_detr_v2": transformers.RTDetrV2Config}[kind]
    return config_class(backbone_config=backbone, **hybrid)


NETWORKS = {
    "d_fine": transformers.DFineForObjectDetection,
    "rf_detr": transformers.RfDetrForObjectDetection,
    "rt_detr": transformers.RTDetrForObjectDetection,
    "rt_detr_v2": transformers.RTDetrV2ForObjectDetection,
}


def made(folder: Path, kind: str) -> tuple[Any, list[Path]]:
    """Return a seeded network and its two files as `save_pretrained` writes them."""
    torch.manual_seed(0)
    network = NETWORKS[kind](config_of(kind)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
        example = torch.from_numpy(picture("a", SIDE, SIDE) / np.float32(255)).permute(2, 0, 1)[None]
        logits = network(example).logits[0]
    # The class that an untrained network likes best is the person.
    best = int(logits.max(dim=0).values.argmax())
    network.config.id2label = {number: "person" if number == best else f"other {number}" for number in range(3)}
    network.save_pretrained(folder)
    return network, [folder / "model.safetensors", folder / "config.json"]


def settings_of(**values: Any) -> TransformersDetector:
    file = {"path": "", "sha256": "0" * 64}
    recipe = detector_recipe("transformers", **{"config": file, "input_size": SIDE, **values})
    detector = DetectSettings.model_validate_json(recipe).detector
    assert isinstance(detector, TransformersDetector)
    return detector


@pytest.mark.parametrize("kind", list(NETWORKS))
def test_boxes_are_those_of_the_published_processor(tmp_path: Path, kind: str):
    network, files = made(tmp_path, kind)
    floor = 0.005
    detector = load_detector(settings_of(score_floor=floor), files, 1)
    size = {"height": SIDE, "width": SIDE}
    processor = (
        transformers.RfDetrImageProcessor(size=size, do_pad=False)
        if kind == "rf_detr"
        else transformers.RTDetrImageProcessor(size=size)
    )
    images = [picture(name, 60, 90) for name in "ab"]
    inputs = processor(images, return_tensors="pt")["pixel_values"]
    assert torch.allclose(detector.prepare(images), inputs, atol=1e-6)
    with torch.no_grad():
        outputs = network(inputs)
    theirs = processor.post_process_object_detection(outputs, threshold=floor, target_sizes=[(60, 90)] * 2)
    found = detector.detect(images)
    person = detector.person
    people = 0
    for boxes, expected in zip(found, theirs, strict=True):
        mine = expected["labels"] == person
        people += int(mine.sum())
        assert len(boxes) == int(mine.sum())
        assert np.allclose(boxes[:, 4], expected["scores"][mine].numpy(), atol=1e-5)
        assert np.allclose(boxes[:, :4], expected["boxes"][mine].numpy(), atol=0.01)
    assert people > 0
    for image, boxes in zip(images, found, strict=True):
        assert np.allclose(detector.detect([image])[0], boxes, atol=1e-3)


def test_the_best_pairs_of_query_and_class_are_read_by_hand():
    logits = torch.tensor([[[0.0, 2.0], [1.0, -3.0]]])  # two queries, two classes
    places = torch.tensor([[[0.5, 0.5, 0.2, 0.4], [0.1, 0.2, 0.2, 0.2]]])
    corners, scores = read_outputs(logits, places, 1)
    # The best two of the four pairs: query 0 as class 1, query 1 as class 0, which is another class.
    assert np.allclose(scores, [[1 / (1 + np.exp(-2.0)), 0.0]])
    assert np.allclose(corners[0, 0], [0.4, 0.3, 0.6, 0.7])


def test_what_is_not_the_files_of_a_known_detector_is_named(tmp_path: Path):
    _, (weights, config) = made(tmp_path, "rt_detr_v2")
    settings = settings_of()
    with pytest.raises(UserError, match="needs two files"):
        load_detector(settings, [weights], 1)
    with pytest.raises(UserError, match=r"is not a config\.json"):
        load_detector(settings, [weights, weights], 1)
    with pytest.raises(UserError, match="no safetensors file"):
        load_detector(settings, [config, config], 1)
    values = json.loads(config.read_text())
    for wrong, message in (
        ({"model_type": "owlvit"}, "is a owlvit; this step knows d_fine, rf_detr"),
        ({"id2label": {"0": "cat"}}, "names 0 classes `person`"),
        ({"d_model": 32}, "made"),
    ):
        write_json(tmp_path / "other.json", {**values, **wrong})
        with pytest.raises(UserError, match=message):
            load_detector(settings, [weights, tmp_path / "other.json"], 1)
    state = load_file(weights)
    save_file({name: value for name, value in state.items() if "enc_score_head" not in name}, tmp_path / "short")
    with pytest.raises(UserError, match=r"missing keys .*enc_score_head"):
        load_detector(settings, [tmp_path / "short", config], 1)
    save_file({**state, "more": torch.zeros(1)}, tmp_path / "long")
    with pytest.raises(UserError, match="unexpected keys more"):
        load_detector(settings, [tmp_path / "long", config], 1)
    views = {"scales": [2.0], "tiles": 1, "overlap": 0.2, "nms": 0.5}
    with pytest.raises(UserError, match=r"give it views\.tiles"):
        load_detector(settings_of(views=views), [weights, config], 1)


def test_the_package_is_imported_with_its_way_to_servers_shut(monkeypatch: pytest.MonkeyPatch):
    for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    package = import_offline()
    assert package is sys.modules["transformers"]
    import os

    assert os.environ["HF_HUB_OFFLINE"] == os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"


def test_the_entry_of_the_shipped_config_wants_its_digests_and_nothing_else():
    lines = (ROOT / "config.yaml").read_text().splitlines()
    first = next(index for index, line in enumerate(lines) if "- name: dfine_x" in line)
    block = list(takewhile(lambda line: line.lstrip().startswith("#"), lines[first:]))
    (entry,) = yaml.safe_load("\n".join(line.replace("# ", "", 1) for line in block))
    with pytest.raises(ValidationError, match=r"64 digits.*x-linked-etag"):
        DetectSettings.model_validate({"detector": entry}, strict=False)
    for file in ("weights", "config"):
        entry[file]["sha256"] = "0" * 64
    assert DetectSettings.model_validate({"detector": entry}, strict=False).detector.name == "dfine_x"


def test_a_part_is_measured_with_both_files(tmp_path: Path):
    _, files = made(tmp_path / "model", "d_fine")
    paths = write_part(tmp_path, {"a": png(picture("a", 48, 64))}, {"a": (48, 64)})
    recipe = json.dumps({"detector": json.loads(settings_of(score_floor=0.0).model_dump_json())})
    out = tmp_path / "out.parquet"
    weights = ["--weights", *map(str, files)]
    main(["--recipe", recipe, *flags(paths), *weights, "--threads", "1", "--out", str(out)])
    import pyarrow.parquet as pq

    row = pq.read_table(out).to_pylist()[0]
    assert row["reason"] == ""
    assert row["count"] > 0
