"""Which images are chosen: the cap for each photographer, the sample, and what to say when nothing is left."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scripts.lib.accounting import Account
from scripts.lib.errors import UserError
from scripts.lib.reasons import FilterReason

Words = npt.NDArray[np.uint64]  # [n, 2]: 128 bits, compared as (first, second)
Codes = npt.NDArray[np.uint8]
KEPT, CAPPED, NOT_SAMPLED = 0, 1, 2
REASONS = ("", str(FilterReason.PHOTOGRAPHER_CAP), str(FilterReason.NOT_SAMPLED))

# Which part of the config to look at when nothing is left; reasons of other stages name themselves.
ADVICE = {
    "too_small": "filter.judge.min_side",
    "single_colour": "filter.judge.min_colour_std",
    "near_duplicate": "curate.deduplicate.near_distance",
    "human_verdict": "the table of filter.human_verdicts",
    "tagged_person": "filter.judge.embedded.max_face_regions",
    "thumbnail_differs": "filter.judge.embedded.max_thumbnail_distance",
    "detector_failed": "the logs in logs/filter/detect_faces and logs/filter/detect_people",
    "face": "drop in filter.rules",
    "person": "drop in filter.rules",
    "awaits_review": "filter.human_verdicts, for which `snakemake review` makes the pages",
}


@dataclass(frozen=True)
class Eligible:
    """What the draws need of the images that `judge` lets through, in the order of the part's sorted table."""

    photographers: Words
    cap_ranks: Words
    sample_ranks: Words


def concatenate(parts: Sequence[Eligible]) -> Eligible:
    """Return the images of all parts, one part after the other."""
    return Eligible(
        photographers=np.concatenate([part.photographers for part in parts]),
        cap_ranks=np.concatenate([part.cap_ranks for part in parts]),
        sample_ranks=np.concatenate([part.sample_ranks for part in parts]),
    )


def words(digests: list[bytes]) -> Words:
    """Return digests of 16 bytes as numbers that compare as the bytes do."""
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64).reshape(-1, 2)


def photographer(source: str, creator_id: str | None, creator: str | None, image_id: str) -> bytes:
    """Return a digest of who took an image: the creator's id at its source, else the name.

    An image whose creator nobody knows stands for itself: the cap cannot apply to it.
    """
    if creator_id:
        who = ("id", source, creator_id)
    elif creator:
        who = ("name", source, creator)
    else:
        who = ("image", source, image_id)
    return hashlib.blake2b("\0".join(who).encode("utf-8"), digest_size=16).digest()


def first_of_each(photographers: Words, ranks: Words, count: int) -> npt.NDArray[np.bool_]:
    """Return which images are among the `count` lowest ranks of their photographer: [n]."""
    order = np.lexsort((ranks[:, 1], ranks[:, 0], photographers[:, 1], photographers[:, 0]))
    ordered = photographers[order]
    starts = np.ones(len(order), bool)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    place = np.arange(len(order))
    place_of_start = np.maximum.accumulate(np.where(starts, place, 0))
    chosen = np.empty(len(order), bool)
    chosen[order] = place - place_of_start < count
    return chosen


def choose(eligible: Eligible, cap: int, target_size: int | None) -> Codes:
    """Return KEPT, CAPPED or NOT_SAMPLED for each eligible image: the cap first, then the sample of what it leaves."""
    codes = np.full(len(eligible.cap_ranks), CAPPED, np.uint8)
    left = np.flatnonzero(first_of_each(eligible.photographers, eligible.cap_ranks, cap))
    codes[left] = KEPT
    if target_size is not None and len(left) > target_size:
        ranks = eligible.sample_ranks[left]
        codes[left[np.lexsort((ranks[:, 1], ranks[:, 0]))[target_size:]]] = NOT_SAMPLED
    return codes


def refuse_empty(account: Account) -> None:
    """Fail when nothing is kept.

    Raises:
        UserError: counts by reason, and the keys of the config to look at.
    """
    if account["kept"]:
        return
    counts = sorted(account["rejected"].items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{reason} {count}" for reason, count in counts) or "there were no candidates at all"
    keys = list(dict.fromkeys(ADVICE[reason] for reason, _ in counts if reason in ADVICE))
    look = f"look at {'; '.join(keys)}" if keys else "look at curate.sources, curate.licences and curate.require"
    raise UserError(
        f"no image is left of {account['read']} candidates, so there is no dataset to make. By reason: {told}. In the "
        f"config, {look}; results/filter/judge has the evidence for each image"
    )
