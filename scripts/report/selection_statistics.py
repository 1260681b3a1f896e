"""What the kept images are: licences, sources, photographers, years, sizes, cameras."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scripts.lib.plain_text import printable
from scripts.lib.selection_table import read_kept
from scripts.report.number_text import count, share

COLUMNS = ["source", "licence", "creator_id", "creator", "date_taken", "latitude", "longitude", "capture_device"]
SIDES = ["width", "height"]
NOT_GIVEN = "not given"
UNLIKELY_YEAR = "not given or impossible"
FIRST_YEAR, LAST_YEAR = 1826, 2099  # of the first photograph that is left; a bound against dates like 4501
LISTED = 10  # entries of each top list
LISTED_YEARS = 16
LONGEST_NAME = 60  # characters


@dataclass(frozen=True)
class Entry:
    """A line of a list: how many images it stands for."""

    name: str
    images: int


@dataclass(frozen=True)
class Statistics:
    """The kept images in numbers; lists are sorted, largest first, years ascending."""

    images: int
    licences: list[Entry]
    sources: list[Entry]
    photographers: int  # that are known
    uncredited: int  # images that name no creator
    top_photographers: list[Entry]
    median_per_photographer: float
    most_per_photographer: int
    years: list[Entry]
    cameras: list[Entry]
    located: int  # images with a position
    median_long_side: float  # pixels
    longest_side: int
    shortest_side: int
    landscape: int
    portrait: int


def kept_statistics(selection: Path) -> Statistics:
    """Return the statistics of the kept rows of a selection; the table may have any number of other rows."""
    table = read_kept(selection, [*COLUMNS, *SIDES])
    creators = _photographers(table)
    sides = np.array([_numbers(table["width"]), _numbers(table["height"])])  # [2, n]
    long_side = sides.max(axis=0) if table.num_rows else np.zeros(1)
    short_side = sides.min(axis=0) if table.num_rows else np.zeros(1)
    return Statistics(
        images=table.num_rows,
        licences=_ranked(table["licence"]),
        sources=_ranked(table["source"]),
        photographers=len(creators),
        uncredited=table.num_rows - sum(entry.images for entry in creators),
        top_photographers=creators[:LISTED],
        median_per_photographer=float(np.median([entry.images for entry in creators])) if creators else 0.0,
        most_per_photographer=creators[0].images if creators else 0,
        years=_years(table["date_taken"]),
        cameras=shortened(_ranked(table["capture_device"])),
        located=int(pc.sum(pc.and_(_is_number(table["latitude"]), _is_number(table["longitude"]))).as_py() or 0),
        median_long_side=float(np.median(long_side)),
        longest_side=int(long_side.max()),
        shortest_side=int(short_side.min()),
        landscape=int((sides[0] > sides[1]).sum()),
        portrait=int((sides[0] < sides[1]).sum()),
    )


def _numbers(column: pa.ChunkedArray) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.asarray(pc.fill_null(column, 0).to_numpy(), dtype=np.int64)


def _is_number(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(pc.is_finite(column), False)


def _ranked(column: pa.ChunkedArray) -> list[Entry]:
    """Return how often each value occurs, most frequent first, equals by name; empty and null are `NOT_GIVEN`."""
    counts: dict[str, int] = {}
    for pair in pc.value_counts(pc.fill_null(column, "")).to_pylist():
        name = printable(pair["values"], LONGEST_NAME) or NOT_GIVEN
        counts[name] = counts.get(name, 0) + pair["counts"]
    return sorted((Entry(name, images) for name, images in counts.items()), key=lambda item: (-item.images, item.name))


def shortened(entries: list[Entry]) -> list[Entry]:
    """Return the first entries of a list, and one that stands for the rest."""
    if len(entries) <= LISTED:
        return entries
    rest = entries[LISTED - 1 :]
    return [*entries[: LISTED - 1], Entry(f"{count(len(rest))} others", sum(entry.images for entry in rest))]


def _photographers(table: pa.Table) -> list[Entry]:
    """Return each photographer's images; known by id, or else by name, within a source. Others are left out.

    The same identity as in `select`, which applies the cap.
    """
    ids, names = pc.fill_null(table["creator_id"], ""), pc.fill_null(table["creator"], "")
    has_id = pc.not_equal(ids, "")
    keyed = pa.table({"source": table["source"], "by_id": has_id, "key": pc.if_else(has_id, ids, names), "name": names})
    named = keyed.filter(pc.not_equal(keyed["key"], ""))
    groups = named.group_by(["source", "by_id", "key"]).aggregate([("name", "min"), ("name", "count")]).to_pylist()
    ranked = sorted(groups, key=lambda group: (-group["name_count"], group["source"], group["by_id"], group["key"]))
    return [Entry(printable(group["name_min"], LONGEST_NAME) or NOT_GIVEN, group["name_count"]) for group in ranked]


def _years(column: pa.ChunkedArray) -> list[Entry]:
    """Return images for each year, ascending; early years become one entry, what is no year of a photo the last."""
    counts: dict[int, int] = {}
    unlikely = 0
    for pair in pc.value_counts(pc.utf8_slice_codeunits(pc.fill_null(column, ""), 0, 4)).to_pylist():
        text = pair["values"]
        if re.fullmatch("[0-9]{4}", text) and FIRST_YEAR <= int(text) <= LAST_YEAR:
            counts[int(text)] = pair["counts"]
        else:
            unlikely += pair["counts"]
    years = sorted(counts)
    early, late = (years[:-LISTED_YEARS], years[-LISTED_YEARS:]) if len(years) > LISTED_YEARS else ([], years)
    entries = [Entry(f"before {late[0]}", sum(counts[year] for year in early))] if early else []
    entries += [Entry(str(year), counts[year]) for year in late]
    return entries + ([Entry(UNLIKELY_YEAR, unlikely)] if unlikely else [])


def own_facts(statistics: Statistics) -> dict[str, str]:
    """Return topic → what is true of the kept images, for the topics on which PASS says something."""
    images = statistics.images
    if not images:
        return {"Images": "none"}
    known_cameras = [entry for entry in statistics.cameras if entry.name != NOT_GIVEN]
    return {
        "Images": count(images),
        "Licences": _listing(statistics.licences, images),
        "Photographers": (
            f"{count(statistics.photographers)}, at most {count(statistics.most_per_photographer)} images of one, "
            f"{statistics.median_per_photographer:g} in the median"
            + (f"; {count(statistics.uncredited)} images name none" if statistics.uncredited else "")
        ),
        "Years": _span(statistics.years, images),
        "Sizes": (
            f"long side {statistics.median_long_side:g} pixels in the median, "
            f"{count(statistics.longest_side)} at most; "
            f"{share(statistics.landscape, images)} landscape, {share(statistics.portrait, images)} portrait"
        ),
        "Cameras": _listing(known_cameras[:3], images) or NOT_GIVEN,
        "Places": f"{share(statistics.located, images)} carry a position; which countries is not looked up",
    }


def _listing(entries: Iterable[Entry], images: int) -> str:
    return ", ".join(f"{entry.name} ({share(entry.images, images)})" for entry in entries)


def _span(years: list[Entry], images: int) -> str:
    known = [entry for entry in years if entry.name != UNLIKELY_YEAR]
    if not known:
        return NOT_GIVEN
    most = max(known, key=lambda entry: entry.images)
    unknown = images - sum(entry.images for entry in known)
    return (
        f"{known[0].name} to {known[-1].name}, most in {most.name} ({share(most.images, images)}); "
        f"{share(unknown, images)} {UNLIKELY_YEAR}"
    )
