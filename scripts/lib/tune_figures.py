"""What `tune_threshold` found out, as it is handed to the report."""

from __future__ import annotations

from typing import Literal

from scripts.lib.recipe import Settings


class Share(Settings):
    """A share of `images`, with its exact interval."""

    share: float
    low: float
    high: float
    images: int


class Curve(Settings):
    """One detector or committee over all thresholds."""

    scorer: str
    kind: Literal["detector", "committee"]
    area: float  # under the ROC curve; of a committee on images that it was not fitted on
    low: float
    high: float
    apparent_area: float  # on the images that it was fitted on; equal to `area` for a detector


class Point(Settings):
    """One detector or committee at its thresholds."""

    scorer: str
    aim: Literal["recall", "false_rejects", "band"]  # what the thresholds were chosen for
    # apparent: counted where the thresholds were chosen; held_out: chosen on the other folds, what new images get
    reading: Literal["apparent", "held_out"]
    drop: float | None  # threshold, chosen on all labels; None for held_out, where each fold has its own
    review: float | None  # likewise; None without a band
    people_dropped: Share
    people_in_review: Share
    others_dropped: Share
    others_in_review: Share


class Count(Settings):
    """What a filter does with the images of one label, all of them or those of one stratum."""

    filter: Literal["configured", "reference"]
    column: str  # "" for all images of the label
    value: str
    label: str
    dropped: Share
    in_review: Share
    kept: Share


class TuneFigures(Settings):
    """All of it."""

    people: int  # images
    others: int
    apart: dict[str, int]  # label → images that are neither
    unseen: int  # labelled images that no detector saw, hence not counted
    wanted_recall: float
    max_false_rejects: float
    confidence: float
    folds: int
    repeats: int
    curves: tuple[Curve, ...]
    points: tuple[Point, ...]
    counts: tuple[Count, ...]
