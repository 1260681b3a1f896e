"""The table of labelled images that `tune_threshold` learns from."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.filter.tune_settings import LabelSettings
from scripts.lib.errors import UserError


@dataclass(frozen=True)
class Labelled:
    """One line."""

    image: str  # id or place of the image, as the settings say
    label: str
    strata: tuple[str, ...]  # values of the strata's columns, in their order


def read_labels(path: Path, settings: LabelSettings) -> list[Labelled]:
    """Return the lines that name an image, in order of the image.

    Raises:
        UserError: no file, not CSV in UTF-8, a column is missing, an image has two lines, or a class has no image.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle, strict=True)
            wanted = [settings.image_column, settings.label_column, *settings.strata]
            missing = [name for name in wanted if name not in (reader.fieldnames or [])]
            if missing:
                raise UserError(
                    f"the labels {path} have no column {', '.join(missing)} (they have "
                    f"{', '.join(reader.fieldnames or [])}): correct filter.labels in the config"
                )
            rows = [
                Labelled(
                    row[settings.image_column],
                    row[settings.label_column] or "",
                    tuple(row[name] or "" for name in settings.strata),
                )
                for row in reader
                if row[settings.image_column]
            ]
    except OSError as error:
        raise UserError(
            f"the labels {path} cannot be read ({error.strerror}): put the CSV there, or set filter.labels to null"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"the labels {path} are not CSV in UTF-8 ({error}): save the table again as such") from None
    if twice := [image for image, times in Counter(row.image for row in rows).items() if times > 1]:
        raise UserError(
            f"the labels {path} have {len(twice)} images on two lines (first: {twice[0]}): leave one of each"
        )
    for what, labels in (("people", settings.people), ("no_people", settings.no_people)):
        if not any(row.label in labels for row in rows):
            raise UserError(
                f"no line of the labels {path} has a label of filter.labels.{what} ({', '.join(labels)}); its labels "
                f"are {', '.join(sorted({row.label for row in rows}))}"
            )
    return sorted(rows, key=lambda row: row.image)


def is_end_of(short: str, long: str) -> bool:
    """Return whether a path is the end of another, in whole names: `b/c` of `a/b/c`, and not `c` of `ac`."""
    return long == short or long.endswith("/" + short)


def image_ids_of(rows: Sequence[Labelled], places: Iterable[tuple[str, str]] | None) -> dict[str, Labelled]:
    """Return image id → line.

    Args:
        rows: of the table.
        places: (path in its source, image id) of all candidates; None when lines name ids.

    Raises:
        UserError: a line fits several images, so it does not say which is meant.
    """
    if places is None:
        return {row.image: row for row in rows}
    by_name: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for place, image_id in places:
        by_name[place.rsplit("/", 1)[-1]].add((place, image_id))
    found: dict[str, Labelled] = {}
    for row in rows:
        fits = sorted(
            image_id
            for place, image_id in by_name.get(row.image.rsplit("/", 1)[-1], ())
            if is_end_of(row.image, place) or is_end_of(place, row.image)
        )
        if len(fits) > 1 or (fits and fits[0] in found):
            raise UserError(
                f"the labels name {row.image}, and that does not say which image is meant ({len(fits)} candidates end "
                "so, or two lines fit one): name the folder too, or use image ids and filter.labels.match: image_id"
            )
        found.update((image_id, row) for image_id in fits)
    return found
