"""How far reviewers agree: the share of equal verdicts and Cohen's kappa, for each pair of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

from scripts.filter.human_verdicts import Pair, Word
from scripts.lib.human_figures import Agreement, PairAgreement
from scripts.lib.plain_text import printable

LONGEST_NAME = 80  # characters, in the log


def cohen_kappa(first: Sequence[Word], second: Sequence[Word]) -> float | None:
    """Return (observed - expected) / (1 - expected agreement) of two reviewers' verdicts on the same images.

    Source: J. Cohen, A coefficient of agreement for nominal scales, 1960. None where it is not defined: no image, or
    an expected agreement of 1.
    """
    images = len(first)
    equal = _equal(first, second)
    drops = (first.count("drop"), second.count("drop"))
    by_chance = drops[0] * drops[1] + (images - drops[0]) * (images - drops[1])  # of images²
    if by_chance == images * images:
        return None
    return (equal * images - by_chance) / (images * images - by_chance)


def _equal(first: Sequence[Word], second: Sequence[Word]) -> int:
    return sum(a == b for a, b in zip(first, second, strict=True))


def measure_agreement(said: Mapping[Pair, Word]) -> Agreement:
    """Return the agreement of all reviewers; `said` is (image, reviewer) → verdict."""
    voices: dict[str, dict[str, Word]] = defaultdict(dict)
    for (image_id, reviewer), verdict in said.items():
        voices[image_id][reviewer] = verdict
    shared = {image_id: words for image_id, words in sorted(voices.items()) if len(words) > 1}
    columns: dict[tuple[str, str], tuple[list[Word], list[Word]]] = defaultdict(lambda: ([], []))
    for words in shared.values():
        for a, b in combinations(sorted(words), 2):
            columns[a, b][0].append(words[a])
            columns[a, b][1].append(words[b])
    pairs = tuple(
        PairAgreement(reviewers=names, images=len(first), agree=_equal(first, second), kappa=cohen_kappa(first, second))
        for names, (first, second) in sorted(columns.items())
    )
    agree = sum(len(set(words.values())) == 1 for words in shared.values())
    return Agreement(images=len(shared), agree=agree, pairs=pairs)


def agreement_lines(agreement: Agreement) -> list[str]:
    """Return sentences for the log; none when no image has two reviewers."""
    if not agreement.images:
        return []
    share = 100 * agreement.agree / agreement.images
    lines = [f"{agreement.images} images have two or more reviewers, {agreement.agree} ({share:.1f} %) equal verdicts"]
    for pair in agreement.pairs:
        kappa = "not defined: one verdict throughout" if pair.kappa is None else f"{pair.kappa:.3f}"
        names = " and ".join(printable(name, LONGEST_NAME) for name in pair.reviewers)
        lines.append(f"{names}: {pair.images} images, {pair.agree} equal, Cohen's kappa {kappa}")
    return lines
