from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps
from pydantic import ValidationError
from torch import nn
from torch.nn import functional
from torchvision import transforms

from scripts.lib.draws import uniforms
from scripts.pretrain.augment import apply_parameters
from scripts.pretrain.backend import load_backend
from scripts.pretrain.contract import normalised
from scripts.pretrain.multi_crop import MultiCrop, cross_entropy_of_others, draw_crop_parameters, forward_by_size
from scripts.pretrain.settings_multicrop import CropGroup, MultiCropAugmentation
from tests.pretrain.made import drawing
from tests.pretrain.made_multicrop import CROP, SMALL, crops_of

DRAWS = 3000


def group(**changes: object) -> CropGroup:
    return CropGroup.model_validate_json(json.dumps({**CROP, "solarise_probability": 0.3, **changes}))


def picture(seed: int) -> Image.Image:
    return Image.open(io.BytesIO(drawing(seed, (120, 90)))).convert("RGB")


@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_pixels_are_those_of_the_official_transforms(
    number: int, interpolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DINO's list of transforms, SwAV's too but for the last, given our parameters, gives our pixels."""
    image, settings = picture(number), group(interpolation=interpolation)
    drawn = draw_crop_parameters(settings, *image.size, uniforms(0, "test", number))
    crop = transforms.RandomResizedCrop(32, interpolation=transforms.InterpolationMode(interpolation))
    monkeypatch.setattr(crop, "get_params", lambda *_: drawn.crop)
    names = ("brightness", "contrast", "saturation", "hue")
    factors, order = dict(drawn.jitter), [names.index(name) for name, _ in drawn.jitter]
    jitter = transforms.ColorJitter(0.4, 0.4, 0.2, 0.1)
    monkeypatch.setattr(jitter, "get_params", lambda *_: (order, *(factors.get(name) for name in names)))
    view = transforms.Compose(
        [
            crop,
            transforms.RandomHorizontalFlip(p=float(drawn.flip)),
            transforms.RandomApply([jitter], p=float(bool(drawn.jitter))),
            transforms.RandomGrayscale(p=float(drawn.grey)),
        ]
    )(image)
    if drawn.blur_sigma is not None:
        view = view.filter(ImageFilter.GaussianBlur(radius=drawn.blur_sigma))
    if drawn.solarise:
        view = ImageOps.solarize(view)
    pil = load_backend("pil")
    ours = apply_parameters(pil, pil.resized_crop(image, drawn.crop, 32, interpolation), drawn)
    assert np.array_equal(np.array(ours), np.array(view))


def test_shares() -> None:
    drawn = [draw_crop_parameters(group(), 60, 50, uniforms(0, "test", number)) for number in range(DRAWS)]
    shares = {
        0.5: [each.flip for each in drawn],
        0.8: [bool(each.jitter) for each in drawn],
        0.2: [each.grey for each in drawn],
        0.3: [each.solarise for each in drawn],
        0.5001: [each.blur_sigma is not None for each in drawn],
    }
    for expected, found in shares.items():
        assert np.mean(found) == pytest.approx(expected, abs=4 * 0.5 / DRAWS**0.5)
    assert all(0.1 <= each.blur_sigma <= 1.0 for each in drawn if each.blur_sigma is not None)


def test_each_crop_is_drawn_by_itself_and_depends_on_its_draws_alone() -> None:
    views = MultiCrop(MultiCropAugmentation.model_validate_json(json.dumps({"crops": [CROP, SMALL]})), "pil")
    crops = views(np.asarray(picture(0)), lambda view: uniforms(0, "view", view))
    assert [tuple(crop.shape) for crop in crops] == [(3, 32, 32)] * 2 + [(3, 16, 16)] * 3
    assert len({crop.numpy().tobytes() for crop in crops}) == 5
    again = views(np.asarray(picture(0)), lambda view: uniforms(0, "view", view))
    assert all(torch.equal(one, two) for one, two in zip(crops, again, strict=True))
    other = views(np.asarray(picture(0)), lambda view: uniforms(0, "view", view + (view == 3) * 10))
    assert [torch.equal(one, two) for one, two in zip(crops, other, strict=True)] == [True, True, True, False, True]


def test_one_forward_for_each_size_in_order() -> None:
    """BatchNorm sees all crops of a size at once, and nothing of the other size."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    crops = crops_of(4)
    got = forward_by_size(encoder, crops)
    large, small = (encoder(normalised(torch.cat(part))) for part in (crops[:2], crops[2:]))
    assert got.shape == (20, 4) and torch.equal(got, torch.cat([large, small]))
    assert int(encoder[1].num_batches_tracked) == 4


@pytest.mark.parametrize("crops", [[], [{**CROP, "count": 1}], [{**CROP, "count": 1}, SMALL]])
def test_the_first_two_crops_are_a_pair(crops: list[object]) -> None:
    with pytest.raises(ValidationError, match="first two crops must have one size"):
        MultiCropAugmentation.model_validate_json(json.dumps({"crops": crops}))


@pytest.mark.parametrize(("t", "v", "n", "k"), [(1, 2, 1, 1), (2, 2, 1, 5), (2, 10, 3, 7), (2, 3, 5, 13), (3, 4, 2, 6)])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_cross_entropy_of_others_and_its_gradient_equal_a_loop(
    t: int, v: int, n: int, k: int, kind: torch.dtype
) -> None:
    numbers = torch.Generator().manual_seed(v * n)
    targets = functional.softmax(4 * torch.randn(t, n, k, generator=numbers, dtype=torch.float64), dim=2).to(kind)
    logits = (4 * torch.randn(v, n, k, generator=numbers, dtype=torch.float64)).to(kind).requires_grad_()
    terms = []
    for i in range(t):
        for j in range(v):
            for row in range(n):
                if i != j:
                    terms.append(-(targets[i, row] * functional.log_softmax(logits[j, row], dim=0)).sum())
    naive = torch.stack(terms).mean()
    found = cross_entropy_of_others(targets, functional.log_softmax(logits, dim=2))
    assert float(found.detach()) == pytest.approx(float(naive.detach()), rel=1e-6, abs=1e-6)
    gradients = [torch.autograd.grad(each, logits, retain_graph=True)[0] for each in (found, naive)]
    assert torch.allclose(*gradients, atol=1e-6, rtol=0) and (k == 1 or gradients[1].abs().max() > 0.01)
