from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scripts.filter.detect_people import main
from scripts.lib.errors import UserError
from scripts.lib.images import decode_image
from tests.filter.made import detector_recipe, flags, picture, png, write_part

NANODET = {"layout": "nanodet", "input_size": 416, "nms": 0.6, "target": "person"}


def made_part(folder: Path) -> dict[str, str]:
    pictures = {name: picture(name, 90, 120) for name in "ab"}
    return write_part(folder, {name: png(pixels) for name, pixels in pictures.items()}, dict.fromkeys("ab", (90, 120)))


def test_people_of_a_part_with_the_embedded_detector(tmp_path: Path):
    out = tmp_path / "out.parquet"
    recipe = detector_recipe("hog", max_side=240, score_floor=0.1)
    main(["--recipe", recipe, *flags(made_part(tmp_path)), "--weights", "--threads", "1", "--out", str(out)])
    rows = pq.read_table(out).to_pylist()
    assert [row["image_id"] for row in rows] == ["a", "b"]
    for row in rows:
        scores = [box["score"] for box in row["boxes"]]
        assert scores == sorted(scores, reverse=True)
        assert min(scores, default=1.0) >= 0.1
        assert row["count"] == len(scores)
        assert row["score"] == max(scores, default=0.0)


def test_weights_that_are_no_onnx_file_are_named(tmp_path: Path):
    bad = tmp_path / "bad.weights"
    bad.write_bytes(b"not a network")
    with pytest.raises(UserError, match=r"bad\.weights"):
        main(
            [
                "--recipe",
                detector_recipe("onnx", **NANODET),
                *flags(made_part(tmp_path)),
                "--weights",
                str(bad),
                "--threads",
                "1",
                "--out",
                str(tmp_path / "out"),
            ]
        )


def test_nanodet_tells_people_from_other_photographs(tmp_path: Path, shared: Path):
    with (shared / "photos.csv").open() as handle:
        rows = [row for row in csv.DictReader(handle) if "coco_" in row["file"]]
    chosen = {label: [row["file"] for row in rows if row["label"] == label][:20] for label in ("person", "no_person")}
    files = {name: (shared / name).read_bytes() for names in chosen.values() for name in names}
    sizes = {name: decode_image(content).shape[:2] for name, content in files.items()}
    out = tmp_path / "out.parquet"
    named = {name.replace("/", "_"): content for name, content in files.items()}
    paths = write_part(tmp_path, named, {name.replace("/", "_"): size for name, size in sizes.items()})
    weights = str(shared / "weights" / "nanodet_m_416.onnx")
    recipe = detector_recipe("onnx", **NANODET)
    main(["--recipe", recipe, *flags(paths), "--weights", weights, "--threads", "1", "--out", str(out)])
    scores = dict(zip(*(pq.read_table(out)[name].to_pylist() for name in ("image_id", "score")), strict=True))
    hits = {label: sum(scores[name.replace("/", "_")] >= 0.3 for name in names) for label, names in chosen.items()}
    # README of the data: recall 0.96, false positives 0.02 at 0.3
    assert hits["person"] >= 18
    assert hits["no_person"] <= 3
