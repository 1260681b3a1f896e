"""Figures of review and audit, made for the tests of the report."""

from __future__ import annotations

from pathlib import Path

from scripts.lib.files import write_json
from scripts.lib.human_figures import Agreement, LeakRate, PairAgreement, ReviewFigures

NOBODY = ReviewFigures(
    files=0,
    rows=0,
    replaced=0,
    images=0,
    keep=0,
    drop=0,
    disputed=0,
    unknown=0,
    audit_drops=0,
    reviewers={},
    agreement=Agreement(images=0, agree=0, pairs=()),
)


def two_reviewers(first: str) -> ReviewFigures:
    pair = PairAgreement(reviewers=(first, "Bob"), images=40, agree=38, kappa=0.7777)
    agreement = Agreement(images=40, agree=38, pairs=(pair,))
    given = {"files": 2, "rows": 90, "images": 50, "keep": 30, "drop": 20, "disputed": 2, "agreement": agreement}
    return NOBODY.model_copy(update={**given, "reviewers": {first: 50, "Bob": 40}})


def one_audit() -> LeakRate:
    return LeakRate(
        status="complete",
        population=90_000,
        sample=2995,
        looked_at=2995,
        people=0,
        confidence=0.95,
        lower=0.0,
        upper=0.00123,
        bound=0.000999755,
        seed=0,
        not_of_sample=0,
        auditors={"Cy": 2995},
        agreement=Agreement(images=0, agree=0, pairs=()),
    )


def people_flags(folder: Path, reviews: ReviewFigures = NOBODY, leak: LeakRate | None = None) -> list[str]:
    """Write the figures and return the flags of `write_report` that name them."""
    write_json(folder / "reviews.json", reviews.model_dump())
    if leak is None:
        return ["--reviews", str(folder / "reviews.json"), "--leak-rate="]
    write_json(folder / "leak.json", leak.model_dump())
    return ["--reviews", str(folder / "reviews.json"), f"--leak-rate={folder / 'leak.json'}"]
