from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from scripts.lib.draws import Uniform, uniforms
from scripts.pretrain.backend import ViewParameters
from scripts.pretrain.epoch_batches import WHOLE, EpochBatches
from scripts.pretrain.shard_images import ImageList, ShardImages, list_images
from scripts.pretrain.train import load_run
from scripts.pretrain.view_sheet import drawn_for, in_words, view_tiles, write_views
from tests.pretrain import made, made_multicrop

RECIPES = {
    **{method: made.recipe(method) for method in made.RUNS},
    **{method: made_multicrop.recipe(method) for method in made_multicrop.RUNS},
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageList:
    return list_images(*made.make_shards(tmp_path_factory.mktemp("shards"), 20))


@pytest.mark.parametrize("method", sorted(RECIPES))
@pytest.mark.parametrize("backend", ["pil", "device"])
def test_the_views_are_those_of_the_first_batch(images: ImageList, method: str, backend: str) -> None:
    run, module = load_run(RECIPES[method].replace('"pil"', f'"{backend}"'))
    built = module.build_method(run)
    first = next(iter(EpochBatches(len(images), run.batch_size, run.epochs, seed=run.seed, start_step=0, share=WHOLE)))
    loaded = default_collate([ShardImages(images, built.make_views, run.seed)[item] for item in first])
    batch = list(zip(*built.on_after_batch_transfer(loaded, 0), strict=True))  # as the method gets it
    rows = view_tiles(built, images, run.seed)
    assert len(rows) == len(batch) == 8
    for row, views in zip(rows, batch, strict=True):
        assert len(row) == 1 + len(views) and row[0].caption == "original" and row[0].credit == "56 x 48 px"
        for tile, view in zip(row[1:], views, strict=True):
            assert tile.thumbnail is not None
            small = tile.thumbnail.resize(view.shape[:0:-1], Image.Resampling.NEAREST)  # undoes the enlargement
            assert np.array_equal(np.asarray(small), view.permute(1, 2, 0).numpy())
            assert f", {view.shape[-1]} px" in tile.credit and "% of it" in tile.caption


@pytest.mark.parametrize("method", ["moco_v2", "dino"])
def test_the_words_are_those_of_the_draws(method: str) -> None:
    """Without jitter and blur, a view in grey is said to be, and only that."""
    changes = {"jitter_probability": 0.0, "blur_probability": 0.0, "grey_probability": 0.5}
    if method == "moco_v2":
        text = made.recipe(method, **changes)
    else:
        crops = [{**made_multicrop.CROP, **changes}, {**made_multicrop.SMALL, **changes}]
        text = made_multicrop.recipe(method, augmentation={"crops": crops})
    run, module = load_run(text)
    views_of = module.build_method(run).make_views
    picture = np.asarray(Image.open(io.BytesIO(made.drawing(3))))
    size = picture.shape[1], picture.shape[0]
    greys = 0
    for number in range(10):

        def draws(view: int, number: int = number) -> Uniform:
            return uniforms(0, "view", number, view)

        for drawn, view in zip(drawn_for(views_of, *size, draws), views_of(picture, draws), strict=True):
            grey = torch.equal(view[0], view[1]) and torch.equal(view[1], view[2])
            assert ("grey" in in_words(drawn, *size)) == grey
            greys += grey
    assert 0 < greys < 50


def test_words_by_hand() -> None:
    drawn = ViewParameters((0, 0, 20, 30), True, (("hue", 0.1),), True, 1.26, True)
    assert in_words(drawn, 40, 30) == "50 % of it, flip, jitter, grey, blur 1.3, solarised"
    assert in_words(ViewParameters((0, 0, 40, 30), False, (), False, None, False), 40, 30) == "100 % of it"


def test_views_that_are_not_known_have_no_words() -> None:
    assert drawn_for(lambda image, draws: [], 4, 4, lambda view: uniforms(0, "x", view)) == []


def test_equal_runs_give_equal_bytes(images: ImageList, tmp_path: Path) -> None:
    run, module = load_run(RECIPES["dino"])
    for name in ("a.png", "b.png"):
        write_views(tmp_path / name, run, module.build_method(run), images)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert "What tiny will see: 8 images of its first batch, 5 views of each" in str(picture.info["Description"])
