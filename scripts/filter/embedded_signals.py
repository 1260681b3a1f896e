"""What an image's own metadata say against it: persons tagged in it, a thumbnail of what it was before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.filter.settings import EmbeddedLimits
from scripts.lib.reasons import FilterReason

COLUMNS = ("face_regions", "thumbnail_distance")  # of INSPECTIONS


def judge_embedded(inspection: Mapping[str, Any], limits: EmbeddedLimits) -> tuple[str, str] | None:
    """Return the first reason against an image and what it rests on, None when there is none.

    Args:
        inspection: its row of INSPECTIONS; an absent value (unreadable, or nothing to compare) is no reason.
        limits: what is still allowed.
    """
    people, distance = inspection["face_regions"], inspection["thumbnail_distance"]
    if limits.max_face_regions is not None and people is not None and people > limits.max_face_regions:
        return str(FilterReason.TAGGED_PERSON), f"{people} tagged in the file's metadata > {limits.max_face_regions}"
    furthest = limits.max_thumbnail_distance
    if furthest is not None and distance is not None and distance > furthest:
        return str(FilterReason.THUMBNAIL_DIFFERS), f"thumbnail {distance} bits from the picture > {furthest}"
    return None
