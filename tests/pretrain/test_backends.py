"""Each operation of each backend against torchvision on PIL images; how far OpenCV's lie apart is stated here."""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps
from torchvision.transforms import InterpolationMode, functional

from scripts.lib.draws import generator, uniforms
from scripts.lib.images import decode_image
from scripts.pretrain.augment import apply_parameters, draw_crop, draw_parameters, view_maker
from scripts.pretrain.backend import Backend, load_backend
from scripts.pretrain.box_blur import blur_kernel, reach
from scripts.pretrain.multi_crop import MultiCrop, draw_crop_parameters
from scripts.pretrain.settings import MocoAugmentation
from scripts.pretrain.settings_multicrop import CropGroup, MultiCropAugmentation
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
# (mean, largest) distance to torchvision on PIL, levels of 255. Contrast: the mean grey may round otherwise. Hue goes
# through 8-bit HSV in both, whose steps differ (0.1 to 0.9 in the mean on photographs, more on these).
JITTER_DISTANCE = {"brightness": (0, 0), "contrast": (0.4, 1), "saturation": (0.4, 1), "hue": (2.5, 14)}


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
        apart = distance(OPENCV.JITTER[name](np.asarray(image), factor), theirs)
        assert apart.mean() <= mean and apart.max() <= largest, (name, factor, apart.mean(), apart.max())


@pytest.mark.parametrize("factor", [-0.5, -0.2, -0.1, -0.003, 0.0, 0.05, 0.1, 0.2, 0.5])
def test_hue_is_near_torchvision(factor: float) -> None:
    mean, largest = JITTER_DISTANCE["hue"]
    for seed in range(4):
        image = picture(seed)
        theirs = functional.adjust_hue(image, factor)
        assert not distance(PIL.JITTER["hue"](image, factor), theirs).any()
        apart = distance(OPENCV.JITTER["hue"](np.asarray(image), factor), theirs)
        assert apart.mean() <= mean and apart.max() <= largest, (factor, apart.mean(), apart.max())


def levels(engine: Backend, view: Any) -> npt.NDArray[np.uint8]:
    """Return a backend's image as uint8 [h, w, 3]."""
    return engine.to_tensor(view).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("engine", [PIL, OPENCV], ids=["pil", "opencv"])
@pytest.mark.parametrize("grey_before", [False, True])
def test_operations_without_a_filter(engine: Backend, grey_before: bool) -> None:
    """Also of a grey picture, of which a backend may keep one channel."""
    image, ready = picture(0), engine.prepare(np.asarray(picture(0)))
    if grey_before:
        image, ready = functional.rgb_to_grayscale(image, 3), engine.grey(ready)
        assert distance(levels(engine, ready), image).max() <= (0 if engine is PIL else 1)
        image = Image.fromarray(levels(engine, ready))
    assert np.array_equal(levels(engine, ready), np.asarray(image))
    assert np.array_equal(levels(engine, engine.flip(ready)), np.asarray(ImageOps.mirror(image)))
    for threshold in (0, 128, 255):
        solarised = levels(engine, engine.solarise(ready, threshold))
        assert np.array_equal(solarised, np.asarray(ImageOps.solarize(image, threshold)))
    assert engine.to_tensor(ready).is_contiguous()


@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.7, 0.9, 1.2, 1.5, 2.0, 4.0])
def test_blur_is_near_pil(sigma: float) -> None:
    """PIL rounds after each of its six passes, and repeats the border before each."""
    for seed in range(3):
        image = picture(seed)
        theirs = image.filter(ImageFilter.GaussianBlur(radius=sigma))
        assert not distance(PIL.blur(image, sigma), theirs).any()
        apart = distance(OPENCV.blur(np.asarray(image), sigma), theirs)
        edge = reach(sigma)
        assert apart.mean() <= 0.7 and apart[edge:-edge, edge:-edge].max() <= 4, (sigma, apart.mean(), apart.max())
        grey = functional.rgb_to_grayscale(image, 3)
        one_channel = OPENCV.blur(OPENCV.grey(np.asarray(image)), sigma)
        theirs = grey.filter(ImageFilter.GaussianBlur(radius=sigma))
        assert distance(levels(OPENCV, one_channel), theirs).mean() <= 0.7


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0, 1.4142, 1.5, 2.0, 3.7])
def test_kernel_of_the_blur(sigma: float) -> None:
    kernel = blur_kernel(sigma)
    places = np.arange(len(kernel)) - reach(sigma)
    assert len(kernel) == 2 * reach(sigma) + 1 and kernel.sum() == pytest.approx(1) and (kernel >= 0).all()
    assert np.dot(kernel, places**2) == pytest.approx(sigma**2) and np.allclose(kernel, kernel[::-1])


def test_flip_may_come_first_or_last() -> None:
    """SwAV and DINO flip after the crop, MoCo-v2 at the end: the pixels of both backends are the same."""
    for number in range(12):
        image = np.asarray(picture(number, (64, 64)))
        drawn = draw_parameters(SETTINGS, 64, 64, uniforms(0, "test", number))
        plain = replace(drawn, flip=False)
        for engine in (PIL, OPENCV):
            first = apply_parameters(engine, engine.prepare(image), replace(drawn, flip=True))
            last = engine.flip(apply_parameters(engine, engine.prepare(image), plain))
            assert np.array_equal(levels(engine, first), levels(engine, last)), number


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
        ours = OPENCV.resized_crop(np.asarray(image), crop, size, interpolation)
        apart.append(distance(ours, theirs).mean())
        steps.append(sharpness(ours) / sharpness(theirs))
    assert np.mean(apart) <= 2.0 and 0.85 <= np.mean(steps) <= 1.15, (np.mean(apart), np.mean(steps))


GROUP = CropGroup.model_validate_json(json.dumps({**CROP, "solarise_probability": 0.2, "blur_sigma": [0.1, 2.0]}))


@pytest.mark.parametrize("kind", ["moco_v2", "dino"])
def test_views_of_photographs_are_alike(shared: Path, kind: str) -> None:
    """Whole views with equal draws: distance, levels and sharpness over 326 photographs."""
    size, interpolation = (112, "bilinear") if kind == "moco_v2" else (64, "bicubic")
    moco = SETTINGS.model_copy(update={"blur_sigma": (0.1, 2.0)})
    apart, facts = [], []
    for path in sorted((shared / "photos").glob("*.jpg"))[::3]:
        image = decode_image(path.read_bytes())
        place = image.shape[1], image.shape[0], uniforms(0, "test", path.name)
        drawn = draw_parameters(moco, *place) if kind == "moco_v2" else draw_crop_parameters(GROUP, *place)
        made = {}
        for name in ("pil", "opencv"):
            view = view_maker(name, image)(drawn, size, interpolation, 2.0)
            assert isinstance(view, torch.Tensor)
            made[name] = view.permute(1, 2, 0).numpy()
        apart.append(distance(*made.values()).mean())
        facts.append([[view.mean(), view.std(), sharpness(view), *histogram(view)] for view in made.values()])
    theirs, ours = np.mean(facts, axis=0)
    assert np.median(apart) <= 1.2 and np.mean(apart) <= 1.4
    assert ours[0] == pytest.approx(theirs[0], abs=0.3)  # mean level
    assert ours[1:3] == pytest.approx(theirs[1:3], rel=0.03)  # deviation, sharpness
    assert np.abs(ours[3:] - theirs[3:]).sum() / 2 / 3 <= 0.005  # levels in another sixteenth, mean of three channels


def histogram(view: npt.NDArray[np.uint8]) -> list[float]:
    """Return the shares of 16 ranges of levels, one channel after the other."""
    counts = [np.bincount(view[:, :, channel].ravel() >> 4, minlength=16) for channel in range(3)]
    return [float(share) for count in counts for share in count / count.sum()]


@pytest.mark.parametrize("backend", ["pil", "opencv"])
def test_views_depend_on_draws_alone_and_travel_to_workers(backend: str) -> None:
    image = np.asarray(picture(1))
    multi = MultiCropAugmentation.model_validate_json(json.dumps({"crops": [CROP, SMALL]}))
    for views in (IndependentViews(SETTINGS, backend, 2), MultiCrop(multi, backend)):
        first = views(image, lambda view: uniforms(0, "view", view))
        again = pickle.loads(pickle.dumps(views))(image, lambda view: uniforms(0, "view", view))
        assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
        assert all(view.dtype == torch.uint8 and view.shape[0] == 3 for view in first)


def test_crops_at_the_border_and_of_one_pixel() -> None:
    image = picture(0, (40, 30))
    ready = np.asarray(image)
    for crop in [(29, 39, 1, 1), (0, 0, 30, 40), (0, 39, 30, 1), draw_crop(40, 30, (0.2, 1.0), uniforms(0, "c"))]:
        assert OPENCV.resized_crop(ready, crop, 16, "bilinear").shape == (16, 16, 3)
