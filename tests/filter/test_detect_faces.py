from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import skimage.data
from PIL import Image

from scripts.filter.detect_faces import main
from scripts.lib.errors import UserError
from scripts.lib.tables import DETECTIONS
from tests.filter.made import detector_recipe, flags, picture, png, write_part


def astronaut(height: int, width: int) -> np.ndarray:
    return np.array(Image.fromarray(skimage.data.astronaut()).resize((width, height)))


def part(folder: Path) -> dict[str, str]:
    pictures = {
        "a": astronaut(256, 256),
        "b": picture("b", 96, 128),
        "c": astronaut(192, 224),
        "d": picture("d", 96, 128),
    }
    files = {name: png(pixels) for name, pixels in pictures.items()} | {"e": b"broken"}
    return write_part(folder, files, {name: pixels.shape[:2] for name, pixels in pictures.items()})


def test_faces_of_a_part_with_the_embedded_detector(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    paths = part(tmp_path)
    out = tmp_path / "out" / "0.parquet"
    main(["--recipe", detector_recipe("centerface"), *flags(paths), "--weights", "--threads", "1", "--out", str(out)])
    table = pq.read_table(out)
    assert table.schema.equals(DETECTIONS)
    rows = {row["image_id"]: row for row in table.to_pylist()}
    assert list(rows) == ["a", "b", "c", "d"]
    assert rows["a"]["score"] > 0.8
    assert rows["c"]["score"] > 0.8
    assert rows["b"]["score"] < 0.5
    best = rows["a"]["boxes"][0]
    assert best["score"] == rows["a"]["score"]
    assert 80 < best["x0"] < best["x1"] < 145
    assert 20 < best["y0"] < best["y1"] < 95
    assert "images/s" in caplog.text
    first = out.read_bytes()
    main(
        [
            "--recipe",
            detector_recipe("centerface", batch_size=1),
            *flags(paths),
            "--weights",
            "",
            "--threads",
            "1",
            "--out",
            str(out),
        ]
    )
    assert out.read_bytes() == first


def test_a_short_tar_is_named(tmp_path: Path):
    paths = part(tmp_path)
    tar = Path(paths["--tar"])
    tar.write_bytes(tar.read_bytes()[:2000])
    with pytest.raises(UserError, match="does not fit its status table"):
        main(["--recipe", detector_recipe("centerface"), *flags(paths), "--threads", "1", "--out", str(tmp_path / "x")])
    assert not (tmp_path / "x").exists()


def test_a_part_without_images_needs_no_weights(tmp_path: Path):
    paths = write_part(tmp_path, {"a": b"broken"}, {})
    out = tmp_path / "out.parquet"
    recipe = detector_recipe("retinaface", backbone="mobilenet0.25", engine="torch", nms=0.4, max_side=None)
    main(["--recipe", recipe, *flags(paths), "--weights", str(tmp_path / "none"), "--threads", "1", "--out", str(out)])
    assert pq.read_table(out).num_rows == 0


def test_pass_weights_find_the_astronaut(tmp_path: Path, shared: Path):
    out = tmp_path / "out.parquet"
    recipe = detector_recipe("retinaface", backbone="mobilenet0.25", engine="torch", nms=0.4, max_side=None)
    weights = str(shared / "weights" / "retinaface_mobilenet0.25.pth")
    main(["--recipe", recipe, *flags(part(tmp_path)), "--weights", weights, "--threads", "1", "--out", str(out)])
    scores = dict(zip(*(pq.read_table(out)[name].to_pylist() for name in ("image_id", "score")), strict=True))
    assert scores["a"] > 0.9
    assert scores["c"] > 0.9
    assert scores["b"] < 0.5
