"""Images per CPU-second of `detect_faces` against the way of PASS (`benchmarks/pass_way.py`), with the same weights.

Both are whole processes on one thread that read the same photographs and end with a score for each; ours reads them
from a tar and writes all boxes. The two alternate, medians count. `ratio` is of the photographs beyond the first few,
because a job of PASS has 80,000 images; `ratio_whole` has the start-up in it (torch: PASS's in each process; ours once
for all partitions, in `convert_weights`, its CPU-seconds are given). Decisions are compared at PASS's threshold, 0.5.

    python -m benchmarks.detect_faces --photos 978 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.photo_part import DATA, chosen_photos, cpu_seconds, write_part
from scripts.filter.settings import DetectSettings, RetinaFaceDetector, WeightsFile
from scripts.lib.recipe import write_recipe

WEIGHTS = DATA / "weights" / "retinaface_mobilenet0.25.pth"
FEW = 10  # photographs of the process that measures the start-up
THRESHOLD = 0.5


def detector(engine: str) -> RetinaFaceDetector:
    """Return the paper's face detector."""
    return RetinaFaceDetector.model_validate(
        {
            "name": "retinaface_mobilenet",
            "kind": "retinaface",
            "backbone": "mobilenet0.25",
            "engine": engine,
            "weights": WeightsFile(path="", sha256="0" * 64),
            "nms": 0.4,
            "max_side": None,
            "score_floor": 0.02,
            "batch_size": 8,
            "views": None,
            "demo_grade": False,
        }
    )


def convert(folder: Path) -> float:
    """Write the ONNX file of the weights and return the CPU-seconds of that."""
    step = [sys.executable, "-m", "scripts.filter.convert_weights", "--recipe", '{"backbone":"mobilenet0.25"}']
    return cpu_seconds([*step, "--weights", str(WEIGHTS), "--out", str(folder / "weights.onnx")])


def ours(folder: Path, part: list[str], engine: str) -> float:
    """Run our step on a part and return its CPU-seconds; the table is `ours.parquet`."""
    weights = str(folder / "weights.onnx") if engine == "onnxruntime" else str(WEIGHTS)
    recipe = write_recipe(DetectSettings(detector=detector(engine)))
    step = [sys.executable, "-m", "scripts.filter.detect_faces", "--recipe", recipe, *part, "--weights", weights]
    return cpu_seconds([*step, "--threads", "1", "--out", str(folder / "ours.parquet")])


def pass_way(folder: Path, photos: list[Path]) -> float:
    """Run the peer on photographs and return its CPU-seconds; the scores are `peer.json`."""
    step = [sys.executable, "-m", "benchmarks.pass_way", "--weights", str(WEIGHTS)]
    return cpu_seconds([*step, "--out", str(folder / "peer.json"), *map(str, photos)])


def compare(folder: Path) -> tuple[int, float]:
    """Return how many decisions differ, and the largest difference of two scores."""
    peer = json.loads((folder / "peer.json").read_text())
    table = pq.read_table(folder / "ours.parquet", columns=["image_id", "score"]).to_pydict()
    pairs = [(score, peer[name]) for name, score in zip(table["image_id"], table["score"], strict=True)]
    assert len(pairs) == len(peer)
    different = sum((mine > THRESHOLD) != (theirs > THRESHOLD) for mine, theirs in pairs)
    return different, max(abs(mine - theirs) for mine, theirs in pairs)


def main() -> None:
    """Print a line for each round, and the JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", choices=["onnxruntime", "torch"], default="onnxruntime")
    args = parser.parse_args()
    photos = chosen_photos(args.photos)
    times: dict[str, list[float]] = {name: [] for name in ("ours", "peer", "ours_few", "peer_few")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        converting = convert(folder)
        few, part, part_few = photos[:FEW], write_part(folder / "all", photos), write_part(folder / "few", photos[:FEW])
        for number in range(args.rounds):
            times["ours_few"].append(ours(folder, part_few, args.engine))
            times["peer_few"].append(pass_way(folder, few))
            times["peer"].append(pass_way(folder, photos))
            times["ours"].append(ours(folder, part, args.engine))
            print(f"round {number}: " + ", ".join(f"{key} {values[-1]:.2f} CPU-s" for key, values in times.items()))
        different, largest = compare(folder)
    median = {key: statistics.median(values) for key, values in times.items()}
    more = len(photos) - len(few)
    rate = {key: more / (median[key] - median[f"{key}_few"]) for key in ("ours", "peer")}
    figures = {
        "images_per_cpu_second": round(rate["ours"], 1),
        "peer_images_per_cpu_second": round(rate["peer"], 1),
        "ratio_whole": round(median["peer"] / median["ours"], 2),
        "cpu_seconds_of_the_first_few": {key: round(median[f"{key}_few"], 2) for key in ("ours", "peer")},
        "convert_weights_cpu_seconds": round(converting, 2),
        "photos": len(photos),
        "decisions_that_differ": different,
        "largest_score_difference": float(f"{largest:.1e}"),
    }
    ratio = round(rate["ours"] / rate["peer"], 2)
    print(json.dumps({"name": "detect_faces", "ratio": ratio, "peer": "the way of PASS", **figures}))


if __name__ == "__main__":
    main()
