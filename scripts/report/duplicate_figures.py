"""Clusters of duplicates in numbers: counted by `draw_duplicates`, told by `write_report`."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from scripts.lib.errors import UserError
from scripts.lib.files import write_json
from scripts.lib.reasons import FilterReason
from scripts.lib.recipe import Settings, describe_errors


class DuplicateFigures(Settings):
    """How many there are. Mirrored, turned and by distance are near duplicates."""

    clusters: int
    largest: int  # members of the largest cluster
    exact: int  # images with the bytes of a kept one
    near: int  # images that look like a kept one
    mirrored: int
    turned: int
    by_distance: dict[str, int]  # bits → near duplicates


def count_clusters(duplicates: pa.Table) -> DuplicateFigures:
    """Return the figures of a table of `tables.DUPLICATES`."""
    near = duplicates.filter(pc.equal(duplicates["reason"], str(FilterReason.NEAR_DUPLICATE)))
    counted = pc.value_counts(near["distance"]).to_pylist()
    return DuplicateFigures(
        clusters=pc.count_distinct(duplicates["cluster"]).as_py(),
        largest=pc.max(duplicates["members"]).as_py() or 0,
        exact=_count(pc.equal(duplicates["reason"], str(FilterReason.EXACT_DUPLICATE))),
        near=near.num_rows,
        mirrored=_count(near["mirrored"]),
        turned=_count(pc.not_equal(near["turned"], 0)),
        by_distance={
            str(pair["values"]): pair["counts"] for pair in sorted(counted, key=lambda pair: int(pair["values"]))
        },
    )


def _count(which: pa.ChunkedArray) -> int:
    return int(pc.sum(which).as_py() or 0)


def write_figures(path: Path, figures: DuplicateFigures) -> None:
    """Write the figures as JSON."""
    write_json(path, figures.model_dump())


def read_figures(path: Path) -> DuplicateFigures:
    """Return the figures in a JSON file.

    Raises:
        UserError: the file is not what `write_figures` writes.
    """
    try:
        return DuplicateFigures.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise UserError(f"{path} is not of draw_duplicates: {describe_errors(error, None)}. Make it again.") from None
