"""What reviewers and auditors did, in numbers: written by `filter`, read by `shard` and `report`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from scripts.lib.errors import UserError
from scripts.lib.recipe import Settings, describe_errors

NOT_AUDITED = "Not audited: no sample of the kept images has been looked at for people who are left."


class PairAgreement(Settings):
    """Two reviewers on the images that both looked at."""

    reviewers: tuple[str, str]
    images: int
    agree: int
    kappa: float | None  # Cohen's; None where both gave one and the same verdict throughout


class Agreement(Settings):
    """All images that two or more reviewers looked at."""

    images: int
    agree: int  # images on which all of their reviewers say the same
    pairs: tuple[PairAgreement, ...]


class ReviewFigures(Settings):
    """What `gather_human_verdicts` found."""

    files: int
    rows: int  # lines of all files
    replaced: int  # of them, followed by a later row of the same reviewer, image and file
    images: int  # with a verdict of a reviewer
    keep: int
    drop: int
    disputed: int  # of the dropped, those that somebody would keep
    unknown: int  # of the images, those that are no candidate
    audit_drops: int  # images that the audit found to show a person
    reviewers: dict[str, int]  # name → images
    agreement: Agreement


class LeakRate(Settings):
    """What `measure_leak_rate` found: how many of the kept images show a person, by a random sample of them."""

    status: Literal["not_audited", "incomplete", "complete"]
    population: int = Field(ge=0)  # images kept, before the audit's own verdicts dropped any
    sample: int = Field(ge=0)
    looked_at: int = Field(ge=0)
    people: int = Field(ge=0)  # images of the sample on which an auditor says drop
    confidence: float
    lower: float  # two-sided Clopper-Pearson interval; an image not looked at counts for the worse on each side
    upper: float
    bound: float  # one-sided upper bound at the same confidence
    seed: int
    not_of_sample: int  # verdicts in the auditors' files on images that are not of this sample
    auditors: dict[str, int]  # name → images of the sample
    agreement: Agreement


FiguresType = TypeVar("FiguresType", ReviewFigures, LeakRate)


def read_figures(kind: type[FiguresType], path: Path) -> FiguresType:
    """Read a JSON file that a step of `filter` wrote.

    Raises:
        UserError: it is not of this kind.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): make it again with the rule that writes it"
        ) from None
    except ValidationError as error:
        raise UserError(f"{path} is not a {kind.__name__}: {describe_errors(error, None)}. Make it again") from None


def percent(share: float, *, up: bool) -> str:
    """Return a share in per cent with two digits, rounded to the side on which a bound stays true.

    0.00099976 is 0.10 % upwards, 0.099 % downwards.
    """
    if share <= 0:
        return "0 %"
    value = 100 * share
    places = max(0, 1 - math.floor(math.log10(value)))
    steps = value * 10**places
    rounded = math.ceil(steps - 1e-9) if up else math.floor(steps + 1e-9)
    if rounded == 100 and places:  # 99.98 steps upwards: one digit less
        rounded, places = 10, places - 1
    return f"{rounded / 10**places:.{places}f} %"


def leak_sentence(leak: LeakRate | None) -> str:
    """Return the leak rate in words that can be quoted; None stands for no audit."""
    if leak is None:
        return NOT_AUDITED
    drawn = f"{leak.sample:,} images drawn by lot from {leak.population:,} kept"
    level = f"{100 * leak.confidence:g} %"
    below = f"below {percent(leak.bound, up=True)} at {level} confidence"
    if leak.status == "not_audited":
        return f"Not audited: {drawn} wait for somebody to look at them."
    if leak.status == "incomplete":
        return (
            f"Audit incomplete: of {drawn}, {leak.looked_at:,} were looked at and {leak.people:,} show a person. The "
            f"leak rate is {below} even if all the others show one; a better bound needs the rest."
        )
    if not leak.people:
        return f"None of {drawn} shows a person: the leak rate is {below} (exact binomial bound)."
    interval = f"{percent(leak.lower, up=False)} to {percent(leak.upper, up=True)}"
    show, they = ("shows", "It was") if leak.people == 1 else ("show", "They were")
    rate = f"{100 * leak.people / leak.sample:.2g} %"
    return (
        f"{leak.people:,} of {drawn} {show} a person: {rate}, {level} interval {interval} "
        f"(exact binomial), {below}. {they} dropped; the figure is that of the selection before."
    )
