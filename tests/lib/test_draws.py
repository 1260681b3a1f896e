"""Counter-based draws."""

from __future__ import annotations

import numpy as np

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
