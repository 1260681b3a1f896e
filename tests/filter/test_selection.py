from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.filter.selection import CAPPED, KEPT, NOT_SAMPLED, Eligible, choose, photographer, words
from scripts.lib.draws import rank

Image = tuple[str, str]  # id, photographer

images = st.dictionaries(st.text("abcdef0123", min_size=1, max_size=6), st.sampled_from("pqrs"), max_size=40)


def eligible(rows: list[Image], seed: int) -> Eligible:
    return Eligible(
        photographers=words([photographer("made", who, None, name) for name, who in rows]),
        cap_ranks=words([bytes.fromhex(rank(seed, "photographer_cap", name)) for name, _ in rows]),
        sample_ranks=words([bytes.fromhex(rank(seed, "sample", name)) for name, _ in rows]),
    )


def naive(rows: list[Image], seed: int, cap: int, target: int | None) -> dict[str, int]:
    fate = {name: CAPPED for name, _ in rows}
    for who in {who for _, who in rows}:
        mine = sorted(
            (name for name, each in rows if each == who), key=lambda name: rank(seed, "photographer_cap", name)
        )
        fate.update(dict.fromkeys(mine[:cap], KEPT))
    left = sorted((name for name in fate if fate[name] == KEPT), key=lambda name: rank(seed, "sample", name))
    fate.update(dict.fromkeys(left[len(left) if target is None else target :], NOT_SAMPLED))
    return fate


@settings(max_examples=60, deadline=None)
@given(images, st.integers(0, 3), st.integers(1, 5), st.none() | st.integers(1, 12), st.randoms(use_true_random=False))
def test_choice_is_the_naive_one_whatever_the_order_of_rows(
    made: dict[str, str], seed: int, cap: int, target: int | None, shuffler: random.Random
):
    rows = list(made.items())
    expected = naive(rows, seed, cap, target)
    shuffler.shuffle(rows)
    codes = choose(eligible(rows, seed), cap, target)
    assert {name: code for (name, _), code in zip(rows, codes.tolist(), strict=True)} == expected


def test_cap_and_target_are_exact():
    rows = [(f"{index:03d}", "heavy" if index < 90 else f"p{index}") for index in range(120)]
    codes = choose(eligible(rows, 0), 80, None)
    assert np.bincount(codes).tolist() == [110, 10]
    assert (codes[90:] == KEPT).all()
    assert np.bincount(choose(eligible(rows, 0), 80, 100)).tolist() == [100, 10, 10]
    assert np.bincount(choose(eligible(rows, 0), 80, 110)).tolist() == [110, 10]
    assert (choose(eligible(rows, 0), 80, 100) != choose(eligible(rows, 1), 80, 100)).any()


def test_a_new_image_never_brings_back_one_that_was_capped():
    rows = [(f"{index}", "heavy") for index in range(30)]
    before = choose(eligible(rows, 5), 10, None)
    after = choose(eligible([*rows, ("new", "heavy")], 5), 10, None)[:30]
    assert ((before == CAPPED) <= (after == CAPPED)).all()


def test_words_compare_as_the_bytes_do():
    digests = [bytes.fromhex(rank(0, "x", str(index))) for index in range(50)] + [b"\0" * 16, b"\xff" * 16]
    pairs = words(digests)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    assert [digests[index] for index in order] == sorted(digests)


def test_who_took_an_image():
    assert photographer("s", "7", "Ann", "a") == photographer("s", "7", "renamed", "b")
    assert photographer("s", "7", "Ann", "a") != photographer("t", "7", "Ann", "a")
    assert photographer("s", "", "Ann", "a") == photographer("s", None, "Ann", "b")
    assert photographer("s", "", "Ann", "a") != photographer("s", "Ann", "", "a")
    assert photographer("s", "", "", "a") != photographer("s", "", "", "b")
