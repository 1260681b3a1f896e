"""Results as the report shows them: seeds averaged, each run beside its untrained twin and beside chance."""

from __future__ import annotations

import csv
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.lib.errors import UserError
from scripts.lib.tables import RESULT_COLUMNS

TWIN = "-untrained"  # after a run's name: its encoder before the first step
NO_TWINS: Mapping[str, str] = {}
NO_FIGURES: Mapping[str, Sequence[str]] = {}
USUAL = ("top1",)  # the figure of a task of which nothing is said

FIRST, LAST = ("linear", "sgd", "knn", "low_shot", "few_shot"), ("kmeans", "rank_me")  # protocols, by their beginning
METRIC_TEXTS = {
    "top1": "top\u20111",  # a hyphen at which no line ends
    "real_top1": "top\u20111 on real labels",
    "map_area": "mAP (area)",
    "map_11_point": "mAP (11 points)",
    "miou": "mIoU",
    "nmi": "NMI",
    "ari": "ARI",
    "hungarian": "top\u20111 of matched clusters",
}

Key = tuple[str, str, str, str]  # run, task, protocol, metric


@dataclass(frozen=True)
class Numbers:
    """The numbers of a row."""

    value: float
    images: int
    chance: float
    sd: float | None
    repeats: int


@dataclass(frozen=True)
class Score:
    """A metric of a run on a task under a protocol, over its seeds. Values are per cent."""

    run: str
    task: str
    protocol: str
    metric: str
    mean: float
    spread: float | None  # standard deviation over seeds (n - 1); None with a single seed
    seeds: int  # rows averaged
    images: int  # test images
    chance: float
    repeats: int  # within a row, such as episodes: then `spread` is over these; 0 for none
    twin: float | None  # mean of the untrained twin; None when it was not evaluated
    leads: bool = True  # the figure of its task, or of a protocol that does not have that

    @property
    def difference(self) -> float | None:
        """Points above the untrained twin."""
        return None if self.twin is None else self.mean - self.twin


def read_results(
    path: Path, twins: Mapping[str, str] = NO_TWINS, figures: Mapping[str, Sequence[str]] = NO_FIGURES
) -> list[Score]:
    """Read collect_results.csv, sorted by run, task, protocol and metric, twins beside their run instead of as rows.

    A twin whose run is not there is a row of its own, so that no result is left out; so is a random encoder that stands
    beside several. `twins` says which encoder is beside which; where it does not, it is `<run>-untrained`. `figures`
    are the metrics of each task that lead; of a protocol that has none of them, all do.

    Raises:
        UserError: columns are not those of `RESULT_COLUMNS`, or a number is not one.
    """
    values: dict[Key, list[Numbers]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        if tuple(reader.fieldnames or ()) != RESULT_COLUMNS:
            found = ", ".join(reader.fieldnames or ["none"])
            raise UserError(
                f"{path} has the columns {found}; expected {', '.join(RESULT_COLUMNS)}. "
                "Make it again with the rule collect_results."
            )
        for number, row in enumerate(reader, start=2):
            key = (row["run"], row["task"], row["protocol"], row["metric"])
            values[key].append(_numbers(row, path, number))
    means = {key: statistics.fmean(row.value for row in rows) for key, rows in values.items()}
    has_figure = {key[:3] for key in values if key[3] in figures.get(key[1], USUAL)}

    def leads(key: Key) -> bool:
        return key[3] in figures.get(key[1], USUAL) or key[:3] not in has_figure

    return [
        _score(key, values[key], means, twins.get(key[0], key[0] + TWIN), leads(key))
        for key in sorted(values, key=lambda key: _order(key, figures.get(key[1], USUAL)))
        if not key[0].endswith(TWIN) or (key[0].removesuffix(TWIN), *key[1:]) not in values
    ]


def metric_text(metric: str) -> str:
    """Return a metric's name for readers."""
    words = METRIC_TEXTS.get(metric, metric.replace("_", " "))
    return re.sub(r"\bap(?=\d|\b)", "AP", words)


def _order(key: Key, figures: Sequence[str]) -> tuple[object, ...]:
    """Sort numbers in a protocol's name as numbers (knn20 before knn200), and the task's figures first."""
    run, task, protocol, metric = key
    pieces = [(piece.isdecimal(), int(piece) if piece.isdecimal() else piece) for piece in re.split(r"(\d+)", protocol)]
    place = figures.index(metric) if metric in figures else len(figures)
    return run, task, _rank(protocol), pieces, place, metric != "top1", metric


def _rank(protocol: str) -> int:
    """Return the place of a protocol's family: what readers look for first, fine-tuned ones, the rest."""
    for families, start in ((FIRST, 0), (LAST, len(FIRST) + 1)):
        for place, family in enumerate(families):
            if protocol.startswith(family):
                return start + place
    return len(FIRST)


def _numbers(row: dict[str, str], path: Path, number: int) -> Numbers:
    try:
        found = Numbers(
            value=float(row["value"]),
            images=int(row["n"]),
            chance=float(row["chance"]),
            sd=float(row["sd"]) if row["sd"] else None,
            repeats=int(row["repeats"] or 0),
        )
    except (TypeError, ValueError):
        raise UserError(f"{path}, line {number}: value, n and chance must be numbers, found {row}") from None
    if not (math.isfinite(found.value) and math.isfinite(found.chance)):
        raise UserError(
            f"{path}, line {number}: value and chance must be finite, found {found.value} and {found.chance}"
        )
    return found


def _score(key: Key, rows: list[Numbers], means: dict[Key, float], beside: str, leads: bool) -> Score:
    run, task, protocol, metric = key
    spread = statistics.stdev(row.value for row in rows) if len(rows) > 1 else rows[0].sd
    return Score(
        run=run,
        task=task,
        protocol=protocol,
        metric=metric,
        mean=means[key],
        spread=spread,
        seeds=len(rows),
        images=rows[0].images,
        chance=rows[0].chance,
        repeats=rows[0].repeats if len(rows) == 1 else 0,
        twin=means.get((beside, task, protocol, metric)),
        leads=leads,
    )
