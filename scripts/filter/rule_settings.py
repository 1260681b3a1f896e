"""The shape of `filter.rules`: what is decided from the detectors' scores, and in which order.

Detectors and rules are two lists. A list is replaced as a whole by a file of scales/, so no threshold of a detector
that is no longer there can survive, and `filter.rules` read from top to bottom is what `judge` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from scripts.lib.recipe import Settings

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Score = Annotated[float, Field(ge=0, le=1)]


class RuleBase(Settings):
    """What every rule has."""

    name: Name  # in the evidence of each verdict
    reason: Literal["face", "person"]  # of a drop; an image between review and drop gets `awaits_review`


class ScoreRule(RuleBase):
    """Each detector for itself: one at or above its score is enough."""

    combine: Literal["any"]
    drop: dict[Name, Score]  # detector → an image with at least this score is dropped
    review: dict[Name, Score]  # detector → with at least this score, and below `drop`, it waits for a reviewer


class Voice(Settings):
    """What one detector adds to a committee's log odds."""

    detector: Name
    score: float  # times the log odds of its best score
    area: float  # times the log of the share of the picture that its best box covers (0 where there is no box)


class CommitteeRule(RuleBase):
    """Several detectors together: a logistic model of their scores, as `tune_threshold` prints it."""

    combine: Literal["logistic"]
    bias: float
    voices: tuple[Voice, ...] = Field(min_length=1)
    score_range: tuple[Score, Score]  # scores are cut to this range before the log odds are taken
    drop: Score  # probability at or above which an image is dropped
    review: Score | None  # at or above, and below `drop`, it waits for a reviewer; None: no band


Rule = Annotated[ScoreRule | CommitteeRule, Field(discriminator="combine")]


def detectors_of(rule: ScoreRule | CommitteeRule) -> list[str]:
    """Return the names of the detectors that a rule asks, each once, in order of name."""
    if isinstance(rule, ScoreRule):
        return sorted({*rule.drop, *rule.review})
    return sorted({voice.detector for voice in rule.voices})


def rule_conflicts(where: str, rules: Iterable[ScoreRule | CommitteeRule], floors: dict[str, float]) -> Iterable[str]:
    """Yield what is wrong with the rules at `where`, given the recording floor of each detector."""
    for rule in rules:
        place = f"{where}.{rule.name}"
        known = [name for name in detectors_of(rule) if name in floors]
        if unknown := sorted(set(detectors_of(rule)) - set(known)):
            listed = ", ".join(sorted(floors))
            yield f"{place}: there is no detector {', '.join(unknown)}; the detectors are {listed}"
        if isinstance(rule, ScoreRule):
            yield from _score_conflicts(place, rule, floors)
        else:
            yield from _committee_conflicts(place, rule, {name: floors[name] for name in known})


def _score_conflicts(place: str, rule: ScoreRule, floors: dict[str, float]) -> Iterable[str]:
    if not rule.drop and not rule.review:
        yield f"{place}: it names no detector, so it decides nothing"
    for what, scores in (("drop", rule.drop), ("review", rule.review)):
        for name, score in scores.items():
            if score < floors.get(name, 0):
                yield (
                    f"{place}: {what} {score} of {name} is below the detector's score_floor {floors[name]}, under "
                    "which nothing is recorded"
                )
    for name in sorted(rule.drop.keys() & rule.review.keys()):
        if rule.review[name] >= rule.drop[name]:
            yield f"{place}: review {rule.review[name]} of {name} must be below its drop {rule.drop[name]}"


def _committee_conflicts(place: str, rule: CommitteeRule, floors: dict[str, float]) -> Iterable[str]:
    low, high = rule.score_range
    if not 0 < low < high < 1:
        yield f"{place}: score_range must be two scores between 0 and 1, the lower one first, got {low} and {high}"
    for name, floor in floors.items():
        if low < floor:
            yield (
                f"{place}: score_range starts at {low}, below the score_floor {floor} of {name}, under which nothing "
                "is recorded"
            )
    if len(rule.voices) != len(detectors_of(rule)):
        yield f"{place}: a detector has two voices"
    if rule.review is not None and rule.review >= rule.drop:
        yield f"{place}: review {rule.review} must be below drop {rule.drop}"
