"""Metadata as a reason: their limits, their order, and what an absent value means."""

from __future__ import annotations

import pytest

from scripts.filter.embedded_signals import judge_embedded
from scripts.filter.settings import EmbeddedLimits

BOTH = EmbeddedLimits(max_face_regions=0, max_thumbnail_distance=8)


@pytest.mark.parametrize(
    ("people", "distance", "limits", "expected"),
    [
        (0, None, BOTH, None),
        (0, 8, BOTH, None),
        (1, None, BOTH, ("tagged_person", "1 tagged in the file's metadata > 0")),
        (0, 10, BOTH, ("thumbnail_differs", "thumbnail 10 bits from the picture > 8")),
        (2, 30, BOTH, ("tagged_person", "2 tagged in the file's metadata > 0")),
        (None, None, BOTH, None),  # unreadable
        (None, 10, BOTH, ("thumbnail_differs", "thumbnail 10 bits from the picture > 8")),
        (2, 30, EmbeddedLimits(max_face_regions=2, max_thumbnail_distance=30), None),
        (2, 30, EmbeddedLimits(max_face_regions=None, max_thumbnail_distance=None), None),
        (2, 30, EmbeddedLimits(max_face_regions=None, max_thumbnail_distance=0), ("thumbnail_differs", None)),
    ],
)
def test_reasons(
    people: int | None, distance: int | None, limits: EmbeddedLimits, expected: tuple[str, str | None] | None
) -> None:
    found = judge_embedded({"face_regions": people, "thumbnail_distance": distance}, limits)
    if expected is None or expected[1] is None:
        assert (found and found[0]) == (expected and expected[0])
    else:
        assert found == expected
