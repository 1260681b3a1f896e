"""The shape of `filter.labels` and `filter.tune`: labelled images, and what `tune_threshold` makes of them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from scripts.filter.rule_settings import Name, Rule, Score
from scripts.lib.recipe import Settings

Share = Annotated[float, Field(gt=0, lt=1)]


class LabelSettings(Settings):
    """A CSV with one line for each labelled image."""

    path_fields: ClassVar[tuple[str, ...]] = ("table",)

    table: str
    image_column: str  # which image a line is about
    # what that column holds: an image id, or a path of which the file's path in its source is the end, or the reverse
    match: Literal["image_id", "path"]
    label_column: str
    people: tuple[str, ...] = Field(min_length=1)  # labels that mean that a person can be seen
    no_people: tuple[str, ...] = Field(min_length=1)  # that nobody can; all other labels are counted apart
    strata: tuple[str, ...]  # columns whose values are counted apart too; folds are balanced over the first


class Committee(Settings):
    """Detectors whose scores are fitted together."""

    name: Name
    scores: tuple[Name, ...] = Field(min_length=1)  # detectors whose best score is a term
    areas: tuple[Name, ...]  # of these, those whose best box's size is a term as well


class TuneLimits(Settings):
    """What is asked of an operating point, and how it is checked."""

    wanted_recall: Share  # of images with people: dropped, or dropped and in review
    max_false_rejects: Share  # of images without people: dropped automatically
    committees: tuple[Committee, ...]
    score_range: tuple[Score, Score]  # of committees
    ridge: float = Field(gt=0)  # penalty on the coefficients of standardised terms, in units of one image
    reference: tuple[Rule, ...]  # another filter to count beside ours; empty for none
    confidence: float = Field(gt=0.5, lt=1)  # of intervals
    folds: int = Field(ge=2, le=20)
    repeats: int = Field(ge=1, le=100)  # of the division into folds
    bootstrap: int = Field(ge=100, le=100_000)  # resamples for the interval of the area under the curve
    seed: int  # of folds and resamples


class TuneSettings(TuneLimits):
    """Recipe of `tune_threshold`."""

    labels: LabelSettings
    rules: tuple[Rule, ...]  # the filter as it is configured, to be counted
    detectors: tuple[Name, ...]  # in the order of the table
