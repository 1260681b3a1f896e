"""Images per CPU-second of `detect_people` for each kind of detector, as whole processes without their start-up.

There is no peer: PASS runs detectron2 on GPUs. Small detectors have their own weights (`data/weights` of the shared
folder, OpenCV's HOG); large ones get made weights of the shape of the published ones, so that their time is right and
what they find is not. One CPU thread; the start-up is that of a process on the first photographs, taken off.

    python -m benchmarks.detect_people --photos 100 --detectors nanodet rtmdet
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.photo_part import DATA, chosen_photos, cpu_seconds, write_part
from scripts.filter.settings import DetectSettings
from scripts.lib.recipe import canonical_json

FEW = 2  # photographs of the process that measures the start-up
SLOW = 12  # photographs for the large detectors
FILE = {"path": "", "sha256": "0" * 64}
ONNX = {"kind": "onnx", "target": "person", "nms": 0.6, "weights": FILE}
TILES = {"scales": [1.0], "tiles": 2, "overlap": 0.2, "nms": 0.6}
DETECTORS: dict[str, dict[str, Any]] = {
    "nanodet": {**ONNX, "layout": "nanodet", "input_size": 416},
    "nanodet_tiles": {**ONNX, "layout": "nanodet", "input_size": 416, "views": TILES},
    "rtmdet": {**ONNX, "layout": "rtmdet", "input_size": 320},
    "rtmdet_640": {**ONNX, "layout": "rtmdet", "input_size": 640},
    "hog": {"kind": "hog", "max_side": 400},
    "ssdlite": {"kind": "torchvision", "model": "ssdlite320_mobilenet_v3_large", "min_side": 320, "max_side": 320},
    "fasterrcnn_v2": {"kind": "torchvision", "model": "fasterrcnn_resnet50_fpn_v2", "min_side": 800, "max_side": 1333},
    "dfine_x": {"kind": "transformers", "input_size": 640, "config": FILE},
}
ONNX_FILES = {"nanodet": "nanodet_m_416.onnx", "rtmdet": "rtmdet_nano_person.onnx"}
BIG = ("ssdlite", "fasterrcnn_v2", "dfine_x")
# D-FINE-X as published: HGNetV2-B5, wider encoder and feed-forward layers (configs/dfine/dfine_hgnetv2_x_coco.yml)
DFINE_X = {
    "encoder_in_channels": [512, 1024, 2048],
    "encoder_hidden_dim": 384,
    "encoder_ffn_dim": 2048,
    "decoder_in_channels": [384, 384, 384],
    "decoder_n_points": [3, 6, 3],
    "decoder_layers": 6,
    "num_denoising": 0,
    "id2label": {number: "person" if number == 0 else f"class {number}" for number in range(80)},
}


def make_weights(folder: Path, name: str) -> list[str]:
    """Return the files of a detector, made where they are not at hand."""
    layout = DETECTORS[name].get("layout")
    if layout:
        return [str(DATA / "weights" / ONNX_FILES[layout])]
    if DETECTORS[name]["kind"] == "torchvision":
        import torch
        import torchvision

        network = torchvision.models.get_model(DETECTORS[name]["model"], weights=None, weights_backbone=None)
        torch.save(network.state_dict(), folder / f"{name}.pth")
        return [str(folder / f"{name}.pth")]
    if DETECTORS[name]["kind"] == "transformers":
        import transformers

        backbone = transformers.HGNetV2Config(**HGNET_B5)
        config = transformers.DFineConfig(backbone_config=backbone, **DFINE_X)
        transformers.DFineForObjectDetection(config).save_pretrained(folder / name)
        return [str(folder / name / file) for file in ("model.safetensors", "config.json")]
    return []


HGNET_B5 = {
    "stem_channels": [3, 32, 64],
    "stage_in_channels": [64, 128, 512, 1024],
    "stage_mid_channels": [64, 128, 256, 512],
    "stage_out_channels": [128, 512, 1024, 2048],
    "stage_num_blocks": [1, 2, 5, 2],
    "stage_downsample": [False, True, True, True],
    "stage_light_block": [False, False, True, True],
    "stage_kernel_size": [3, 3, 5, 5],
    "stage_numb_of_layers": [6, 6, 6, 6],
    "out_features": ["stage2", "stage3", "stage4"],
}


def rate(folder: Path, name: str, photos: list[Path]) -> tuple[float, float]:
    """Return images per CPU-second beyond the first few, and the CPU-seconds of a process on the first few."""
    shared = {"name": name, "score_floor": 0.05, "batch_size": 4, "views": None, "demo_grade": True, "weights": FILE}
    entry = {**shared, **DETECTORS[name]}
    if entry["kind"] == "hog":
        del entry["weights"]
    recipe = canonical_json({"detector": entry})
    DetectSettings.model_validate_json(recipe)
    files = make_weights(folder, name)
    photos = photos[:: max(1, len(photos) // SLOW)][:SLOW] if name in BIG else photos
    seconds = []
    for part in (photos[:FEW], photos):
        step = [
            sys.executable,
            "-m",
            "scripts.filter.detect_people",
            "--recipe",
            recipe,
            *write_part(folder / name, part),
        ]
        seconds.append(
            cpu_seconds([*step, "--weights", *files, "--threads", "1", "--out", str(folder / "out.parquet")])
        )
    return (len(photos) - FEW) / (seconds[1] - seconds[0]), seconds[0]


def main() -> None:
    """Print a line for each detector, and the JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--detectors", nargs="+", choices=list(DETECTORS), default=list(DETECTORS))
    args = parser.parse_args()
    photos, rates = chosen_photos(args.photos), {}
    with tempfile.TemporaryDirectory() as name:
        for detector in args.detectors:
            rates[detector], start = rate(Path(name), detector, photos)
            print(f"{detector:15} {rates[detector]:7.2f} images per CPU-second, start-up {start:.1f} CPU-s", flush=True)
    print(
        json.dumps({"name": "detect_people", "images_per_cpu_second": {key: round(v, 2) for key, v in rates.items()}})
    )


if __name__ == "__main__":
    main()
