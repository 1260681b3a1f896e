"""Counter-based draws."""

from __future__ import annotations

import numpy as np
from scipy.stats import kstest

from scripts.lib import draws


def test_a_draw_is_a_function_of_its_key_alone() -> None:
    first = draws.generator(1, "crop", 3, "image").random(4)
    draws.generator(1, "crop", 4, "image").random(9)
    assert np.array_equal(first, draws.generator(1, "crop", 3, "image").random(4))


def test_keys_differ() -> None:
    keys = [(1, "crop", 3, "x"), (2, "crop", 3, "x"), (1, "flip", 3, "x"), (1, "crop", 4, "x"), (1, "crop", "3", "x")]
    values = {float(draws.generator(seed, purpose, *key).random()) for seed, purpose, *key in keys}
    assert len(values) == len(keys)
    assert draws.rank(1, "ab", "c") != draws.rank(1, "a", "bc")


def test_rank_samples_uniformly() -> None:
    ids = [f"image-{index}" for index in range(2000)]
    chosen = sorted(ids, key=lambda image_id: draws.rank(0, "sample", image_id))[:1000]
    first_half = sum(int(image_id.split("-")[1]) < 1000 for image_id in chosen)
    assert 430 < first_half < 570  # 500 expected, standard deviation about 16


def test_derived_seed_fits_torch() -> None:
    assert 0 <= draws.derived_seed(0, "x") < 2**63


def test_uniforms_are_functions_of_their_key_and_never_end() -> None:
    """Beyond one block of the hash, too."""
    one, other = draws.uniforms(1, "view", 3, "image", 0), draws.uniforms(1, "view", 3, "image", 1)
    again = draws.uniforms(1, "view", 3, "image", 0)
    numbers = [one() for _ in range(5000)]
    assert numbers == [again() for _ in range(5000)] and numbers[:50] != [other() for _ in range(50)]
    assert len(set(numbers)) == 5000 and min(numbers) >= 0 and max(numbers) < 1
    assert kstest(numbers, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.06  # four standard errors


def test_first_uniforms_of_neighbouring_keys() -> None:
    first = [draws.uniforms(0, "view", 0, "image", view)() for view in range(5000)]
    assert kstest(first, "uniform").pvalue > 1e-3
