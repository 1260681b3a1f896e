"""What people looked at, in sentences: the review of single images, and the audit of what was kept."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.lib.accounting import Account
from scripts.lib.human_figures import LeakRate, ReviewFigures, leak_sentence
from scripts.lib.reasons import FilterReason
from scripts.report.number_text import count, share


@dataclass(frozen=True)
class PeopleLooked:
    """The figures of review and audit; None stands for no audit."""

    reviews: ReviewFigures
    leak: LeakRate | None


def review_sentences(looked: PeopleLooked, funnel: Account) -> list[str]:
    """Return who looked at what, how far reviewers agree, and how many images wait."""
    reviews = looked.reviews
    found = [reviewed_fact(looked)]
    if reviews.disputed:
        found.append(f"{count(reviews.disputed)} of them were dropped although another reviewer would keep them.")
    agreement = reviews.agreement
    if agreement.images:
        found.append(
            f"{count(agreement.images)} images have two or more reviewers, who give equal verdicts on "
            f"{share(agreement.agree, agreement.images)}"
            + "".join(
                f"; Cohen's kappa of {' and '.join(pair.reviewers)}: {pair.kappa:.2f} ({count(pair.images)} images)"
                for pair in agreement.pairs
                if pair.kappa is not None
            )
            + "."
        )
    found.append(waiting_sentence(funnel))
    return found


def reviewed_fact(looked: PeopleLooked) -> str:
    """Return how many images reviewers decided about."""
    reviews = looked.reviews
    if not reviews.images:
        return "No image was looked at by a reviewer."
    people = f"{len(reviews.reviewers)} reviewer{'s' if len(reviews.reviewers) != 1 else ''}"
    return f"{people} looked at {count(reviews.images)} images: {count(reviews.keep)} keep, {count(reviews.drop)} drop."


def waiting_sentence(funnel: Account) -> str:
    """Return how many images wait for a reviewer."""
    waiting = funnel["rejected"].get(FilterReason.AWAITS_REVIEW, 0)
    return f"{count(waiting)} images await review, left out until then." if waiting else "No image awaits review."


def looked_limits(looked: PeopleLooked) -> list[str]:
    """Return what review and audit leave open."""
    found = []
    if not looked.reviews.images:
        found.append("No image was looked at by a reviewer. PASS had people look at every selected image.")
    leak = looked.leak
    if leak is None or leak.status != "complete":
        found.append(f"How many people are left in the selection. {leak_sentence(leak)}")
    else:
        auditors = f"{len(leak.auditors)} auditor{'s' if len(leak.auditors) != 1 else ''}"
        found.append(f"People whom {auditors} overlooked in the sample: the leak rate counts what they saw.")
    return found
