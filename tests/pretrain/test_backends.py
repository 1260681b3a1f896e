"""Each operation of each backend against torchvision on PIL images; how far OpenCV's lie apart is stated here."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps
from scipy.stats import ks_2samp
from torchvision.transforms import InterpolationMode, functional

from scripts.lib.draws import generator
from scripts.pretrain.augment import apply_parameters, draw_crop, draw_parameters
from scripts.pretrain.backend import load_backend
from scripts.pretrain.multi_crop import MultiCrop
from scripts.pretrain.settings import MocoAugmentation
from scripts.pretrain.settings_multicrop import MultiCropAugmentation
from scripts.pretrain.views import IndependentViews
from tests.pretrain.made import RUN, drawing
from tests.pretrain.made_multicrop import CROP, SMALL

PIL, OPENCV = load_backend("pil"), load_backend("opencv")
SETTINGS = MocoAugmentation.model_validate_json(json.dumps(RUN["augmentation"]))
ADJUST = {
    "brightness": functional.adjust_brightness,
    "contrast": functional.adjust_contrast,
    "saturation": functional.adjust_saturation,
    "hue": functional.adjust_hue,
}
# (mean, largest) distance to torchvision on PIL, levels of 255. PIL cuts off what OpenCV rounds, hence up to 1. Hue
# goes through 8-bit HSV in both, whose steps differ (0.1 to 0.9 in the mean on photographs, more on these).
JITTER_DISTANCE = {"brightness": (0.8, 1), "contrast": (0.8, 2), "saturation": (0.8, 2), "hue": (2.5, 14)}


def picture(seed: int, size: tuple[int, int] = (200, 150)) -> Image.Image:
    """Return shapes on a soft ground, as smooth and as sharp in places as photographs are."""
    shapes = np.asarray(Image.open(io.BytesIO(drawing(seed, size))).convert("RGB"))
    noise = generator(0, "test picture", seed).normal(0, 5, shapes.shape)
    return Image.fromarray(np.clip(shapes + noise, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.8))


def distance(first: object, second: object) -> npt.NDArray[np.int64]:
    return np.abs(np.asarray(first).astype(np.int64) - np.asarray(second).astype(np.int64))


@pytest.mark.parametrize("factor", [0.2, 0.6, 0.97, 1.0, 1.4, 1.8])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_jitter_is_near_torchvision(name: str, factor: float) -> None:
    mean, largest = JITTER_DISTANCE[name]
    for seed in range(4):
        image = picture(seed)
        theirs = ADJUST[name](image, factor)
        assert not distance(PIL.JITTER[name](image, factor), theirs).any()
        apart = distance(OPENCV.JITTER[name](OPENCV.prepare(image), factor), theirs)
        assert apart.mean() <= mean and apart.max() <= largest, (name, factor, apart.mean(), apart.max())


@pytest.mark.parametrize("factor", [-0.5, -0.2, -0.1, -0.003, 0.0, 0.05, 0.1, 0.2, 0.5])
def test_hue_is_near_torchvision(factor: float) -> None:
    mean, largest = JITTER_DISTANCE["hue"]
    for seed in range(4):
        image = picture(seed)
        theirs = functional.adjust_hue(image, factor)
        assert not distance(PIL.JITTER["hue"](image, factor), theirs).any()
        apart = distance(OPENCV.JITTER["hue"](OPENCV.prepare(image), factor), theirs)
        assert apart.mean() <= mean and apart.max() <= largest, (factor, apart.mean(), apart.max())


@pytest.mark.parametrize("backend", [PIL, OPENCV], ids=["pil", "opencv"])
def test_operations_without_a_filter(backend: object) -> None:
    image = picture(0)
    engine = PIL if backend is PIL else OPENCV
    ready = engine.prepare(image)
    assert distance(engine.grey(ready), functional.rgb_to_grayscale(image, 3)).max() <= (0 if engine is PIL else 1)
    assert not distance(engine.flip(ready), ImageOps.mirror(image)).any()
    for threshold in (0, 128, 255):
        assert not distance(engine.solarise(ready, threshold), ImageOps.solarize(image, threshold)).any()
    assert np.array_equal(engine.to_tensor(ready).permute(1, 2, 0).numpy(), np.asarray(image))
    assert engine.to_tensor(ready).is_contiguous()


@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.7, 1.0, 1.5, 2.0])
def test_blur_is_near_pil(sigma: float) -> None:
    for seed in range(3):
        image = picture(seed)
        theirs = image.filter(ImageFilter.GaussianBlur(radius=sigma))
        assert not distance(PIL.blur(image, sigma), theirs).any()
        assert distance(OPENCV.blur(OPENCV.prepare(image), sigma), theirs).mean() <= 0.8, sigma


def sharpness(view: object) -> float:
    """Return the mean step between neighbours: what a wrong low-pass filter changes."""
    levels = np.asarray(view).astype(np.float64).mean(axis=2)
    return float(np.abs(np.diff(levels, axis=0)).mean() + np.abs(np.diff(levels, axis=1)).mean())


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [20, 31, 64, 67, 80, 110, 127, 129, 200, 330])
def test_resized_crop_is_near_torchvision(side: int, interpolation: str) -> None:
    """Larger and smaller crops than the view of 64: upwards, slightly and strongly downwards."""
    size, steps, apart = 64, [], []
    for seed in range(4):
        image = picture(seed, (400, 350))
        crop = (7, 11, side, round(side * 1.1))
        theirs = functional.resized_crop(image, *crop, [size, size], InterpolationMode(interpolation))
        assert not distance(PIL.resized_crop(image, crop, size, interpolation), theirs).any()
        ours = OPENCV.resized_crop(OPENCV.prepare(image), crop, size, interpolation)
        apart.append(distance(ours, theirs).mean())
        steps.append(sharpness(ours) / sharpness(theirs))
    assert np.mean(apart) <= 2.0 and 0.85 <= np.mean(steps) <= 1.15, (np.mean(apart), np.mean(steps))


def test_views_of_photographs_are_near(shared: Path) -> None:
    """Whole views of MoCo-v2, same parameters: mean levels and sharpness agree over photographs."""
    settings = SETTINGS.model_copy(update={"image_size": 112, "blur_sigma": (0.1, 2.0)})
    photos = sorted((shared / "photos").glob("*.jpg"))[::25]
    apart, steps, means = [], [], ([], [])
    for number, path in enumerate(photos):
        with Image.open(path) as file:
            image = file.convert("RGB")
        drawn = draw_parameters(settings, *image.size, generator(0, "test", number))
        theirs = apply_parameters(PIL, image, drawn, 112)
        ours = apply_parameters(OPENCV, OPENCV.prepare(image), drawn, 112)
        apart.append(distance(ours, theirs).mean())
        steps.append(sharpness(ours) / sharpness(theirs))
        for values, view in zip(means, (ours, theirs), strict=True):
            values.append(float(np.asarray(view).mean()))
    assert np.median(apart) <= 1.6 and np.mean(apart) <= 2.0, (np.median(apart), np.mean(apart))
    assert np.mean(steps) == pytest.approx(1.0, abs=0.05)
    assert ks_2samp(*means).pvalue > 0.9


@pytest.mark.parametrize("backend", ["pil", "opencv"])
def test_views_depend_on_draws_alone_and_travel_to_workers(backend: str) -> None:
    image = picture(1)
    multi = MultiCropAugmentation.model_validate_json(json.dumps({"crops": [CROP, SMALL]}))
    for views in (IndependentViews(SETTINGS, backend, 2), MultiCrop(multi, backend)):
        first = views(image, lambda view: generator(0, "view", view))
        again = pickle.loads(pickle.dumps(views))(image, lambda view: generator(0, "view", view))
        assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
        assert all(view.dtype == torch.uint8 and view.shape[0] == 3 for view in first)


def test_crops_at_the_border_and_of_one_pixel() -> None:
    image = picture(0, (40, 30))
    ready = OPENCV.prepare(image)
    for crop in [(29, 39, 1, 1), (0, 0, 30, 40), (0, 39, 30, 1), draw_crop(40, 30, (0.2, 1.0), generator(0, "c"))]:
        assert OPENCV.resized_crop(ready, crop, 16, "bilinear").shape == (16, 16, 3)
