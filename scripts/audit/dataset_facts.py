"""What a publication says of the dataset, read from the run: figures, licences, how people were filtered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.lib.errors import UserError
from scripts.lib.human_figures import LeakRate, ReviewFigures, read_figures
from scripts.lib.recipe import canonical_json
from scripts.lib.records import Record

SELECTION = "results/filter/select.parquet"
METADATA_TABLE = "results/shard/write_metadata/metadata.parquet"
_FUNNEL = "report/funnel.json"
_LEAK, _REVIEW = "filter/measure_leak_rate.json", "filter/gather_human_verdicts.csv"


@dataclass(frozen=True)
class DatasetFacts:
    """Figures and sentences on the dataset."""

    images: int
    read: int
    rejected: dict[str, int]
    licences: tuple[str, ...]
    sources: tuple[str, ...]
    collected: tuple[str, str]  # first and last moment of the downloads
    detectors: tuple[str, ...]
    preprocessing: tuple[str, ...]
    review: str
    leak: LeakRate | None


def gather_facts(run: Path, jobs: Mapping[str, Record]) -> DatasetFacts:
    """Read what is to be said of the dataset.

    Args:
        run: folder with results/.
        jobs: published records of the run, by the name of the first output.

    Raises:
        UserError: the run has no dataset.
    """
    if not any(record["step"] == "shard.write_card" for record in jobs.values()) or _FUNNEL not in jobs:
        raise UserError(
            "this run made no dataset (no record of shard.write_card, or none of report.count_funnel): there is "
            "nothing to publish. Run the workflow to its end: snakemake, with your --configfile"
        )
    funnel = json.loads((run / "results" / _FUNNEL).read_text(encoding="utf-8"))
    table = pq.read_table(run / METADATA_TABLE, columns=["licence", "source"])
    downloads = [record["circumstances"] for record in _of(jobs, "curate.download")]
    return DatasetFacts(
        images=table.num_rows,
        read=funnel["read"],
        rejected=funnel["rejected"],
        licences=tuple(sorted(pc.unique(table["licence"]).to_pylist())),
        sources=tuple(sorted(pc.unique(table["source"]).to_pylist())),
        collected=(min(each["started"] for each in downloads), max(each["ended"] for each in downloads)),
        detectors=tuple(dict.fromkeys(_detectors(jobs))),
        preprocessing=tuple(_preprocessing(jobs)),
        review=_review(run, jobs),
        leak=read_figures(LeakRate, run / "results" / _LEAK) if _LEAK in jobs else None,
    )


def _of(jobs: Mapping[str, Record], step: str) -> list[Record]:
    return [record for record in jobs.values() if record["step"] == step]


def _detectors(jobs: Mapping[str, Record]) -> Iterator[str]:
    for step, what in (("filter.detect_faces", "faces"), ("filter.detect_people", "people")):
        for record in _of(jobs, step):
            detector = record["values"]["recipe"]["detector"]
            yield f"{detector['name']} ({what}): {canonical_json(detector)}"


def _preprocessing(jobs: Mapping[str, Record]) -> Iterator[str]:
    for record in _of(jobs, "filter.judge")[:1]:
        recipe: dict[str, Any] = record["values"]["recipe"]
        yield f"Rules for dropping an image, in this order: {canonical_json(recipe['rules'])}"
        others = {name: value for name, value in recipe.items() if name != "rules"}
        yield f"Further rules (size in pixels, tags of persons in the file): {canonical_json(others)}"
    for record in _of(jobs, "curate.deduplicate"):
        yield f"One image of each group of near duplicates is kept: {canonical_json(record['values'])}"
    for record in _of(jobs, "filter.select"):
        yield f"Cap for each photographer, and size: {canonical_json(record['values'])}"
    for record in _of(jobs, "shard.write_shards")[:1]:
        mode = record["values"]["recipe"]["embedded_metadata"]
        yield (
            "Metadata inside the files (EXIF, XMP, thumbnails) were removed; no picture was encoded again."
            if mode == "strip"
            else "The files are as they were downloaded, with their metadata."
        )


def _review(run: Path, jobs: Mapping[str, Record]) -> str:
    if _REVIEW not in jobs:
        return "No image was looked at by a reviewer."
    figures = read_figures(ReviewFigures, (run / "results" / _REVIEW).with_suffix(".json"))
    if not figures.images:
        return "No image was looked at by a reviewer."
    return (
        f"{len(figures.reviewers)} reviewers looked at {figures.images} images: {figures.keep} keep, "
        f"{figures.drop} drop."
    )
