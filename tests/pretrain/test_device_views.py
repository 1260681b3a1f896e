"""Views that a device finishes in batches, against torchvision on PIL images; how far they lie apart is stated here."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor
from torch.utils.data import default_collate
from torchvision.transforms import functional

from scripts.lib.draws import uniforms
from scripts.lib.images import decode_image
from scripts.pretrain.augment import apply_parameters, draw_parameters, view_maker
from scripts.pretrain.backend import ViewParameters, load_backend
from scripts.pretrain.backends.device import finish, pack
from scripts.pretrain.multi_crop import MultiCrop, draw_crop_parameters
from scripts.pretrain.settings_multicrop import CropGroup, MultiCropAugmentation
from scripts.pretrain.train import load_run, main
from tests.pretrain import made, made_multicrop
from tests.pretrain.lives import run_lives
from tests.pretrain.made_multicrop import CROP, SMALL
from tests.pretrain.test_backends import distance, picture

NOTHING = ViewParameters((0, 0, 1, 1), flip=False, jitter=(), grey=False, blur_sigma=None, solarise=False)
GROUP = CropGroup.model_validate_json(json.dumps({**CROP, "solarise_probability": 0.2, "blur_sigma": [0.1, 2.0]}))
SIGMA = 2.0


def tensor_of(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def finished(images: list[Image.Image], drawn: list[ViewParameters]) -> list[np.ndarray]:
    """Return the views of several images as one batch, [h, w, 3] each."""
    views = finish(torch.stack([tensor_of(image) for image in images]), torch.stack([pack(d, SIGMA) for d in drawn]))
    assert views.dtype == torch.uint8 and views.shape[1] == 3
    return [view.permute(1, 2, 0).numpy() for view in views]


def jittered(*operations: tuple[str, float]) -> ViewParameters:
    return replace(NOTHING, jitter=operations)


# What is drawn, what torchvision and PIL make of it, and the (mean, largest) distance in levels of 255. Hue: a level of
# saturation or a step of hue that falls to the other side in 32 bits. Blur: PIL rounds after each of its six passes.
Official = Callable[[Image.Image], Image.Image]
OPERATIONS: list[tuple[str, ViewParameters, Official, tuple[float, int]]] = [
    ("nothing", NOTHING, lambda image: image, (0, 0)),
    ("flip", replace(NOTHING, flip=True), ImageOps.mirror, (0, 0)),
    ("grey", replace(NOTHING, grey=True), lambda image: functional.rgb_to_grayscale(image, 3), (0, 0)),
    ("solarise", replace(NOTHING, solarise=True), ImageOps.solarize, (0, 0)),
    *(
        (f"{name} {factor}", jittered((name, factor)), lambda i, a=adjust, f=factor: a(i, f), (0, 0))
        for name, adjust in (
            ("brightness", functional.adjust_brightness),
            ("contrast", functional.adjust_contrast),
            ("saturation", functional.adjust_saturation),
        )
        for factor in (0.0, 0.2, 0.6, 1.0, 1.37, 1.8)
    ),
    *(
        (f"hue {f}", jittered(("hue", f)), lambda image, f=f: functional.adjust_hue(image, f), (0.02, 8))
        for f in (-0.5, -0.2, -0.07, 0.0, 0.003, 0.1, 0.2, 0.5)
    ),
    *(
        (f"blur {s}", replace(NOTHING, blur_sigma=s), lambda i, s=s: i.filter(ImageFilter.GaussianBlur(s)), (0.7, 40))
        for s in (0.1, 0.3, 0.7, 0.9, 1.2, 1.5, 2.0)
    ),
]


@pytest.mark.parametrize(("drawn", "official", "limits"), [o[1:] for o in OPERATIONS], ids=[o[0] for o in OPERATIONS])
def test_operation_is_near_torchvision(drawn: ViewParameters, official: Official, limits: tuple[float, int]) -> None:
    images = [picture(seed) for seed in range(3)]
    for image, ours in zip(images, finished(images, 3 * [drawn]), strict=True):
        apart = distance(ours, official(image))
        assert apart.mean() <= limits[0] and apart.max() <= limits[1], (apart.mean(), apart.max())


def test_every_colour_turns_as_in_pil() -> None:
    """Hue of 32,768 colours, among them all greys and pure colours."""
    steps = np.array([*range(0, 256, 8)[:-1], 255], np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(128, 256, 3)
    image = Image.fromarray(colours)
    for factor in (0.0, 0.1, -0.3):
        (ours,) = finished([image], [jittered(("hue", factor))])
        apart = distance(ours, functional.adjust_hue(image, factor))
        assert (apart.max(axis=2) > 0).mean() <= 0.025 and apart.max() <= 8, (apart.mean(), apart.max())


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=lambda order: "".join(map(str, order)))
def test_operations_in_any_order(order: tuple[int, ...]) -> None:
    """The slots before and after hue keep the order, although neighbours in the batch have another."""
    parts = [("brightness", 1.3), ("contrast", 0.7), ("saturation", 1.4), ("hue", 0.08)]
    drawn = jittered(*(parts[index] for index in order))
    image, other = picture(1), picture(2)
    pil = load_backend("pil")
    ours, theirs = finished([image, other], [drawn, jittered(*parts)])
    assert distance(ours, apply_parameters(pil, image, drawn)).mean() <= 0.05
    assert distance(theirs, apply_parameters(pil, other, jittered(*parts))).mean() <= 0.05


def test_a_view_does_not_depend_on_its_batch() -> None:
    images = [picture(seed, (64, 64)) for seed in range(9)]
    drawn = [draw_crop_parameters(GROUP, 64, 64, uniforms(0, "test", number)) for number in range(9)]
    together = finished(images, drawn)
    for number in range(9):
        (alone,) = finished([images[number]], [drawn[number]])
        assert np.array_equal(alone, together[number])
    backwards = finished(images[::-1], drawn[::-1])[::-1]
    assert all(np.array_equal(one, two) for one, two in zip(together, backwards, strict=True))


@pytest.mark.parametrize("kind", ["moco_v2", "multi_crop"])
def test_views_of_photographs_are_near(shared: Path, kind: str) -> None:
    """Whole views: loader's part and device's part against PIL's views with equal draws, and against OpenCV's."""
    settings = load_run(made.recipe(blur_sigma=[0.1, SIGMA]))[0].augmentation
    size, interpolation = (112, "bilinear") if kind == "moco_v2" else (64, "bicubic")
    apart: dict[str, list[float]] = {"pil": [], "opencv": []}
    for path in sorted((shared / "photos").glob("*.jpg"))[::12]:
        image = decode_image(path.read_bytes())
        place = image.shape[1], image.shape[0], uniforms(0, "test", path.name)
        drawn = draw_parameters(settings, *place) if kind == "moco_v2" else draw_crop_parameters(GROUP, *place)
        crop, packed = view_maker("device", image)(drawn, size, interpolation, SIGMA)
        (view,) = finish(crop[None], packed[None])
        for name, distances in apart.items():
            distances.append(float(distance(view, view_maker(name, image)(drawn, size, interpolation, SIGMA)).mean()))
    assert np.median(apart["pil"]) <= 1.2 and np.mean(apart["pil"]) <= 1.4, apart["pil"]
    assert np.median(apart["opencv"]) <= 0.4, np.median(apart["opencv"])


def test_a_batch_of_crops_of_two_sizes_becomes_views() -> None:
    """As the loader collates them and the method takes them."""
    settings = MultiCropAugmentation.model_validate_json(json.dumps({"crops": [CROP, SMALL]}))

    def batch(backend: str) -> Any:
        images = [np.asarray(picture(seed)) for seed in range(4)]
        views = MultiCrop(settings, backend)
        return default_collate([views(each, lambda view: uniforms(0, "v", view)) for each in images])

    run, module = load_run(made_multicrop.recipe("swav", augmentation_backend="device"))
    method = module.build_method(run)
    handed_over, whole = batch("device"), batch("opencv")
    assert [tuple(crops.shape) for crops, _ in handed_over] == [tuple(views.shape) for views in whole]
    views = method.on_after_batch_transfer(handed_over, 0)
    for ours, theirs in zip(views, whole, strict=True):
        assert ours.dtype == torch.uint8 and ours.is_contiguous()
        assert distance(ours, theirs).mean() <= 3  # drawings of strong colours; photographs are above
    assert all(one is two for one, two in zip(method.on_after_batch_transfer(whole, 0), whole, strict=True))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    return made.make_shards(tmp_path_factory.mktemp("shards"), 16)


@pytest.mark.parametrize("method", [*made.RUNS, *made_multicrop.RUNS])
def test_every_method_trains(shards: tuple[list[Path], list[Path]], method: str, tmp_path: Path) -> None:
    recipe = made.recipe if method in made.RUNS else made_multicrop.recipe
    smallest = {"warmup_epochs": 0} if method == "simclr" else {}
    smallest |= {"warm_up_epochs": 0} if method in made_multicrop.RUNS else {}
    main(made.flags(shards, tmp_path, recipe(method, augmentation_backend="device", epochs=1, **smallest)))
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 3


def test_killed_and_continued_is_the_uninterrupted_run(shards: tuple[list[Path], list[Path]], tmp_path: Path) -> None:
    """And a run with loader processes is that without."""
    text = made.recipe(augmentation_backend="device", epochs=2)
    lives = [
        {"flags": made.flags(shards, tmp_path / out, text), "die_at": die_at, "workers": workers}
        for out, die_at, workers in (("whole", None, 0), ("parts", 3, 2), ("parts", None, 2))
    ]
    assert run_lives(lives).count("continues after step 2 of 4") == 1
    for name in ("encoder.safetensors", "metrics.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_the_device_never_waits_for_the_host() -> None:
    """Tensors without content raise where the host asks for one, which on a GPU would be a wait."""
    packed = pack(replace(NOTHING, jitter=(("hue", 0.1), ("contrast", 1.2)), blur_sigma=1.0, grey=True), SIGMA)
    crops = torch.zeros(5, 3, 32, 32, dtype=torch.uint8, device="meta")
    assert finish(crops, packed.repeat(5, 1).to("meta")).shape == (5, 3, 32, 32)
    with pytest.raises((NotImplementedError, RuntimeError)):
        bool(crops.any())
