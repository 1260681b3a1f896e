"""What the rules of the detectors ask of the configuration."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.config import load_config
from scripts.lib.errors import UserError
from scripts.plan import Plan
from tests.wiring.test_config import merged, set_at

FILE = {"url": "https://example.org/file", "sha256": "0" * 64}
SHARED: dict[str, Any] = {"score_floor": 0.05, "batch_size": 1, "views": None, "demo_grade": False}


def plan(**edits: object) -> Plan:
    raw = merged()
    for path, value in edits.items():
        raw = set_at(raw, path.replace("__", "."), value)
    return Plan(load_config(raw))


def test_an_engine_decides_which_file_and_which_machine_a_detector_needs() -> None:
    fast = plan(filter__face_detectors__0__engine="onnxruntime")
    assert fast.weights_inputs("retinaface_mobilenet") == ["results/filter/convert_weights/retinaface_mobilenet.onnx"]
    assert fast.convert_weights_recipe("retinaface_mobilenet") == '{"backbone":"mobilenet0.25"}'
    assert fast.detector_gpus("retinaface_mobilenet") == 0
    exact = plan(filter__face_detectors__0__engine="torch")
    assert exact.weights_inputs("retinaface_mobilenet") == ["results/filter/fetch_weights/retinaface_mobilenet.weights"]
    assert exact.detector_gpus("retinaface_mobilenet") == 1
    assert exact.detector_gpus("fasterrcnn_v2") == 1
    with pytest.raises(UserError, match="no weights to convert"):
        exact.convert_weights_recipe("fasterrcnn_v2")


def test_a_detection_transformer_has_two_files() -> None:
    config = {**FILE, "sha256": "1" * 64}
    entry = {
        **SHARED,
        "kind": "transformers",
        "name": "fasterrcnn_v2",
        "weights": FILE,
        "config": config,
        "input_size": 640,
    }
    transformer = plan(filter__person_detectors__0=entry)
    folder = "results/filter/fetch_weights"
    files = [f"{folder}/fasterrcnn_v2.weights", f"{folder}/fasterrcnn_v2__config.weights"]
    assert transformer.weights_inputs("fasterrcnn_v2") == files
    assert transformer.weights("fasterrcnn_v2").sha256 == "0" * 64
    assert transformer.weights("fasterrcnn_v2__config").sha256 == "1" * 64
    with pytest.raises(UserError, match=r"person_detectors\.fasterrcnn_v2\.config: give a path or an url"):
        plan(filter__person_detectors__0={**entry, "config": {"sha256": "1" * 64}})
