"""scripts.lib.fractals against its definition: the sampling's conditions, a known attractor, and equal bytes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from scripts.lib import fractals
from scripts.lib.images import decode_image
from scripts.lib.perceptual_hash import distances, orientations, oriented_hashes, perceptual_hashes, small_grey

ARGUMENTS = {"seed": 1, "system": 3, "view": 2, "size": 48, "iterations": 5000}


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_singular_values_meet_the_papers_condition(count: int):
    random = np.random.default_rng(0)
    for _ in range(300):
        values = fractals.sample_singular_values(random, count)
        assert values.shape == (count, 2)
        assert (values[:, 0] <= 1).all() and (values[:, 1] >= 0).all()
        assert (values[:, 1] <= values[:, 0] + 1e-12).all()
        factor = (values @ np.array([1.0, 2.0])).sum()
        assert (5 + count) / 2 <= factor <= (6 + count) / 2


def test_systems_have_2_to_4_contracting_maps_with_shifts_in_the_unit_square():
    systems = [fractals.sample_system(np.random.default_rng(seed)) for seed in range(60)]
    assert {len(system.linear) for system in systems} == {2, 3, 4}
    for system in systems:
        assert np.linalg.svd(system.linear, compute_uv=False).max() <= 1 + 1e-12
        assert np.abs(system.shift).max() <= 1
        assert system.weights.sum() == pytest.approx(1)


def test_the_chaos_game_draws_the_sierpinski_triangle():
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    sierpinski = fractals.System(np.repeat(0.5 * np.eye(2)[None], 3, axis=0), corners / 2)
    places, hues = fractals.iterate(sierpinski, np.random.default_rng(0), 4321)
    assert places.shape == (4321, 2) and hues.shape == (4321,)
    x, y = places.T
    assert x.min() >= 0 and y.min() >= 0 and (x + y).max() <= 1 + 1e-12
    assert not ((x < 0.5) & (y < 0.5) & (x + y > 0.5)).any()  # the triangle in the middle is empty
    thirds = [
        ((places - corner / 2 >= 0).all(axis=1) & ((places - corner / 2).sum(axis=1) <= 0.5)).mean()
        for corner in corners
    ]
    assert thirds == pytest.approx([1 / 3] * 3, abs=0.03)


def test_fill_tells_a_square_from_a_streak_and_from_dust():
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 99), np.linspace(0, 1, 99)), axis=-1).reshape(-1, 2)
    assert fractals.fill_of(grid) == 1.0
    assert fractals.fill_of(grid * [1.0, 0.1]) == 0.0
    assert fractals.fill_of(grid * 1000) == 0.0
    dust = np.concatenate([grid * 0.01, [[1.0, 1.0]]])
    assert 0 < fractals.fill_of(dust) < 0.01


def test_made_systems_are_figures():
    fills = []
    for system in range(40):
        made = fractals.make_system(5, system)
        fills.append(fractals.fill_of(fractals.iterate(made, np.random.default_rng(0), fractals.PROBE_POINTS)[0]))
    assert min(fills) > 0.9 * fractals.MIN_FILL  # other draws of points than those that were probed


def test_an_image_is_a_function_of_its_arguments_alone():
    image = fractals.render_fractal(**ARGUMENTS)
    assert image.shape == (48, 48, 3) and image.dtype == np.uint8
    fractals.make_system.cache_clear()
    fractals.render_fractal(**{**ARGUMENTS, "system": 0})
    np.testing.assert_array_equal(fractals.render_fractal(**ARGUMENTS), image)
    for name, value in ARGUMENTS.items():
        other = fractals.render_fractal(**{**ARGUMENTS, name: value + 1})
        assert other.shape != image.shape or (other != image).any(), name


def test_equal_bytes_in_another_process():
    code = (
        "import hashlib; from scripts.lib import fractals as f; "
        f"print(hashlib.sha256(f.encode_jpeg(f.render_fractal(**{ARGUMENTS!r}), 90)).hexdigest())"
    )
    run = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert run[0].stdout == run[1].stdout != ""


def test_the_background_is_not_of_one_colour():
    image = fractals.render_fractal(seed=1, system=0, view=0, size=64, iterations=1)
    assert image.reshape(-1, 3).std(axis=0).max() > 5


def test_views_of_a_class_are_not_near_duplicates_even_mirrored():
    images = [fractals.render_fractal(1, system, view, 64, 8000) for system in range(4) for view in range(12)]
    hashes = perceptual_hashes([small_grey(Image.fromarray(image)) for image in images])
    pairs = np.triu_indices(len(images), 1)
    for orientation in orientations(mirrored=True, turned=True):
        assert distances(hashes[pairs[0]], oriented_hashes(hashes, orientation)[pairs[1]]).min() > 3


def test_jpeg_is_close_to_its_pixels():
    image = fractals.render_fractal(**ARGUMENTS)
    content = fractals.encode_jpeg(image, 95)
    assert content == fractals.encode_jpeg(image, 95)
    decoded = decode_image(content)
    assert decoded.shape == image.shape
    assert np.abs(decoded.astype(int) - image).mean() < 12
    assert len(fractals.encode_jpeg(image, 30)) < len(content)


def test_noise_fills_its_range():
    noise = fractals.smooth_noise(np.random.default_rng(0), 40, octaves=3)
    assert noise.shape == (40, 40) and noise.min() == 0 and noise.max() == 1
    assert np.abs(np.diff(noise, axis=0)).max() < 0.35  # smooth


def test_hues_are_colours():
    hues = fractals.hue_colours(np.linspace(0, 1, 50), 1.0, 1.0)
    assert hues.shape == (50, 3) and hues.min() >= 0 and hues.max() <= 1
    np.testing.assert_allclose(hues[0], hues[-1])
    np.testing.assert_allclose(fractals.hue_colours(np.array(0.3), 0.0, 0.5), 0.5)
