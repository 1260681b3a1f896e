from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from scipy.stats import ks_2samp
from torchvision import transforms

from scripts.lib.draws import uniforms
from scripts.pretrain.augment import apply_parameters, draw_crop, draw_jitter, draw_parameters
from scripts.pretrain.backend import ViewParameters, load_backend
from scripts.pretrain.settings import MocoAugmentation
from tests.pretrain.made import RUN, drawing

SETTINGS = MocoAugmentation.model_validate_json(json.dumps(RUN["augmentation"]))
SCALE = (0.2, 1.0)
DRAWS = 3000


def picture(seed: int = 0, size: tuple[int, int] = (120, 90)) -> Image.Image:
    return Image.open(io.BytesIO(drawing(seed, size))).convert("RGB")


@pytest.mark.parametrize("size", [(120, 90), (500, 375), (40, 200), (300, 31)])
def test_crops_are_distributed_as_torchvision(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    image = Image.new("RGB", size)
    theirs = np.array(
        [transforms.RandomResizedCrop.get_params(image, list(SCALE), [3 / 4, 4 / 3]) for _ in range(DRAWS)]
    )
    ours = np.array([draw_crop(*size, SCALE, uniforms(0, "test", number)) for number in range(DRAWS)])
    for column in range(4):  # top, left, height, width
        assert ks_2samp(ours[:, column], theirs[:, column], method="asymp").pvalue > 1e-3
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, 0] + ours[:, 2] <= size[1]).all() and (ours[:, 1] + ours[:, 3] <= size[0]).all()


@pytest.mark.parametrize(("size", "box"), [((10, 100), (43, 0, 13, 10)), ((100, 10), (0, 43, 10, 13))])
def test_crop_that_never_fits_is_the_largest_in_the_middle(size: tuple[int, int], box: tuple[int, ...]) -> None:
    """An area of 100 % of a long strip has no ratio between 3/4 and 4/3: torchvision falls back to the centre."""
    assert draw_crop(*size, (1.0, 1.0), uniforms(0, "test")) == box
    theirs = transforms.RandomResizedCrop.get_params(Image.new("RGB", size), [1.0, 1.0], [3 / 4, 4 / 3])
    assert theirs == box


def test_jitter_is_distributed_as_torchvision() -> None:
    strength = (0.4, 0.3, 0.2, 0.1)
    jitter = transforms.ColorJitter(*strength)
    torch.manual_seed(0)
    theirs = [
        jitter.get_params(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue) for _ in range(DRAWS)
    ]
    ours = [draw_jitter(strength, uniforms(0, "test", number)) for number in range(DRAWS)]
    for index, name in enumerate(("brightness", "contrast", "saturation", "hue")):
        assert (
            ks_2samp([dict(each)[name] for each in ours], [each[1 + index] for each in theirs], method="asymp").pvalue
            > 1e-3
        )
    orders = [tuple(name for name, _ in each) for each in ours]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 24 and sum((count - DRAWS / 24) ** 2 / (DRAWS / 24) for count in counts) < 49.7  # p 0.001


def test_shares_and_ranges() -> None:
    drawn = [draw_parameters(SETTINGS, 60, 50, uniforms(0, "test", number)) for number in range(DRAWS)]

    def near(share: float, expected: float) -> bool:
        return abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / DRAWS)

    assert near(np.mean([bool(each.jitter) for each in drawn]), 0.8)
    assert near(np.mean([each.grey for each in drawn]), 0.2)
    assert near(np.mean([each.flip for each in drawn]), 0.5)
    sigmas = [each.blur_sigma for each in drawn if each.blur_sigma is not None]
    assert near(len(sigmas) / DRAWS, 0.5)
    assert ks_2samp(sigmas, np.random.default_rng(0).uniform(0.1, 1.0, DRAWS)).pvalue > 1e-3


def test_strength_zero_and_probability_zero_do_nothing() -> None:
    assert draw_jitter((0.0, 0.0, 0.0, 0.0), uniforms(0, "test")) == ()
    off = {"jitter_probability": 0.0, "grey_probability": 0.0, "blur_probability": 0.0, "flip_probability": 0.0}
    drawn = draw_parameters(SETTINGS.model_copy(update=off), 60, 50, uniforms(0, "test"))
    assert drawn == ViewParameters(drawn.crop, False, (), False, None, False)


class _Blur:
    """MoCo's blur as its loader applies it."""

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma

    def __call__(self, image: Image.Image) -> Image.Image:
        return image.filter(ImageFilter.GaussianBlur(radius=self.sigma))


@pytest.mark.parametrize("number", range(12))
def test_pixels_are_those_of_the_official_transforms(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The official list of torchvision transforms, which flips last, given our parameters, gives our pixels."""
    image = picture(number)
    drawn = draw_parameters(SETTINGS, *image.size, uniforms(0, "pixels", number))
    crop = transforms.RandomResizedCrop(32, scale=SCALE)
    monkeypatch.setattr(crop, "get_params", lambda *_: drawn.crop)
    names = ("brightness", "contrast", "saturation", "hue")
    factors = dict(drawn.jitter)
    order = [names.index(name) for name, _ in drawn.jitter]
    jitter = transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)
    monkeypatch.setattr(jitter, "get_params", lambda *_: (order, *(factors.get(name) for name in names)))
    official = transforms.Compose(
        [
            crop,
            transforms.RandomApply([jitter], p=float(bool(drawn.jitter))),
            transforms.RandomGrayscale(p=float(drawn.grey)),
            *([_Blur(drawn.blur_sigma)] if drawn.blur_sigma is not None else []),
            transforms.RandomHorizontalFlip(p=float(drawn.flip)),
        ]
    )
    pil = load_backend("pil")
    ours = apply_parameters(pil, pil.resized_crop(image, drawn.crop, 32, "bilinear"), drawn)
    assert np.array_equal(np.array(ours), np.array(official(image)))


def test_the_cases_above_cover_every_operation() -> None:
    drawn = [draw_parameters(SETTINGS, 120, 90, uniforms(0, "pixels", number)) for number in range(12)]
    for values in ([bool(d.jitter) for d in drawn], [d.grey for d in drawn], [d.flip for d in drawn]):
        assert set(values) == {True, False}
    assert {d.blur_sigma is None for d in drawn} == {True, False}
