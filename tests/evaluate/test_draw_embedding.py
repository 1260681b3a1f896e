from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.evaluate import draw_embedding, list_task
from scripts.evaluate.draw_embedding import (
    GAP,
    HEAD_HEIGHT,
    PALETTE,
    SIDE,
    class_marks,
    draw_map,
    map_places,
    picture_of,
    shown_thumbnails,
)
from scripts.evaluate.features import save_features
from scripts.evaluate.items import Item
from scripts.lib.errors import UserError
from scripts.lib.files import sha256_file
from tests.evaluate.made import made_features

TASK = {"kind": "fractal", "name": "toy", "classes": 5, "train_per_class": 2, "test_per_class": 8, "image_size": 32}
TASK |= {
    "iterations": 2000,
    "fractal_seed": 7,
    "resize": 32,
    "crop": 32,
    "max_train": None,
    "max_test": None,
    "seed": 0,
}
MAP = {"tasks": [], "images": 30, "perplexity": 30.0, "thumbnail": 24, "seed": 0}


def test_groups_stay_together_and_the_map_fills_its_square() -> None:
    features = made_features(10, 60, classes=3, overlap=0.05)
    places = map_places(features.test_features, 30.0)
    assert places.shape == (60, 2)
    assert np.allclose(places.min(axis=0), 0) and np.allclose(places.max(axis=0), 1)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (features.test_labels[distances.argmin(axis=1)] == features.test_labels).all()
    assert np.array_equal(places, map_places(features.test_features, 30.0))
    # Only directions count, as in kNN.
    longer = features.test_features * 2.0 ** (np.arange(60, dtype=np.float32) % 5)[:, None]
    assert np.array_equal(places, map_places(longer, 30.0))


@pytest.mark.parametrize("images", [4, 5, 60])
def test_a_collapsed_encoder_and_few_images_have_a_map(images: int) -> None:
    assert (map_places(np.ones((images, 8), dtype=np.float32), 30.0) == 0.5).all()
    assert np.isfinite(map_places(made_features(1, images).test_features, 30.0)).all()
    line = np.ones((images, 1), dtype=np.float32)
    line[0] = -1
    assert np.isfinite(map_places(line, 30.0)).all()  # one dimension


def test_three_images_have_none() -> None:
    with pytest.raises(UserError, match="a map of 3 images shows nothing"):
        map_places(np.eye(3, dtype=np.float32), 30.0)


def test_no_thumbnail_covers_another() -> None:
    places = np.array([[0.0, 0.0], [0.01, 0.01], [0.5, 0.5], [0.5, 0.5], [1.0, 1.0]])
    assert shown_thumbnails(places, 40) == [0, 2, 4]
    many = np.random.default_rng(0).random((500, 2))
    corners = many[shown_thumbnails(many, 40)] * (SIDE - 40)
    apart = np.abs(corners[:, None] - corners[None]).max(axis=2) + 99 * np.eye(len(corners))
    assert apart.min() >= 42 and len(corners) > 50


def test_the_most_frequent_classes_have_colours() -> None:
    names = ["a"] * 2 + ["b"] * 3 + ["c"] * 2 + [f"other{number}" for number in range(9)]
    assert class_marks(names)[:4] == [("b", 3), ("a", 2), ("c", 2), ("other0", 1)]
    assert len(class_marks(names)) == len(PALETTE)


def test_pictures_and_points_lie_at_the_same_places() -> None:
    places = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.25]])
    red = Image.new("RGB", (20, 20), (255, 0, 0))
    canvas = draw_map("heading", places, ["a", "a", "b"], {0: red, 2: red})
    assert canvas.getpixel((GAP + 10, HEAD_HEIGHT + 10)) == (255, 0, 0)
    assert canvas.getpixel((GAP + 310 + 10, HEAD_HEIGHT + 155 + 10)) == (255, 0, 0)
    assert canvas.getpixel((GAP + SIDE - 10, HEAD_HEIGHT + SIDE - 10)) == (255, 255, 255)  # has no thumbnail
    right = 2 * GAP + SIDE
    assert canvas.getpixel((right + 10, HEAD_HEIGHT + 10)) == PALETTE[0]
    assert canvas.getpixel((right + SIDE - 10, HEAD_HEIGHT + SIDE - 10)) == PALETTE[0]
    assert canvas.getpixel((right + 10 + 310, HEAD_HEIGHT + 10 + 155)) == PALETTE[1]


def test_bytes_and_pixels_become_thumbnails() -> None:
    class Reader:
        def __init__(self, content: bytes | np.ndarray) -> None:
            self._content = content

        def read(self, item: Item) -> bytes | np.ndarray:
            return self._content

    item = Item("test", "a", "b", -1, 0)
    pixels = np.full((30, 60, 3), 9, dtype=np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, format="PNG")
    for content in (pixels, encoded.getvalue()):
        picture = picture_of(Reader(content), item, 20)
        assert picture.size == (20, 10) and picture.getpixel((3, 3)) == (9, 9, 9)


def inputs_of(folder: Path) -> list[str]:
    items = folder / "items.parquet"
    left_out = ["--left-out", str(folder / "left.csv")]
    recipe = json.dumps({"task": TASK, "near_duplicates": None})
    list_task.main(["--recipe", recipe, "--paths", "--out", str(items), *left_out])
    features = made_features(10, 40)
    description = {**features.description, "inputs": {"items_sha256": sha256_file(items)}}
    save_features(folder / "features", replace(features, description=description))
    recipe = json.dumps({"task": TASK, "embedding_map": MAP})
    return ["--recipe", recipe, "--encoder", "run", "--features", str(folder / "features"), "--items", str(items)]


def test_the_step(tmp_path: Path) -> None:
    arguments = inputs_of(tmp_path)
    for name in ("first", "second"):
        draw_embedding.main([*arguments, "--paths", "--out", str(tmp_path / name)])
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    with Image.open(tmp_path / "first") as picture:
        assert picture.info["Description"].startswith("30 of 40 test images of toy, 5 classes; ")
        assert picture.width == 2 * SIDE + 3 * GAP and picture.height > SIDE
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or []}
    assert set(PALETTE[:5]) <= colours


def test_features_of_other_images_are_refused(tmp_path: Path) -> None:
    arguments = inputs_of(tmp_path)
    save_features(tmp_path / "features", made_features(10, 40))
    with pytest.raises(UserError, match=r"the features were not made from the images that .*items\.parquet lists"):
        draw_embedding.main([*arguments, "--paths", "--out", str(tmp_path / "map.png")])
