"""What the page says, as plain values: texts, numbers already in words, and drawings."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from PIL import Image

from scripts.lib.accounting import Account
from scripts.lib.errors import UserError
from scripts.lib.human_figures import leak_sentence
from scripts.lib.reasons import all_reasons
from scripts.report.duplicate_figures import DuplicateFigures
from scripts.report.number_text import count, decimal, share, signed
from scripts.report.people_looked import PeopleLooked, review_sentences, reviewed_fact
from scripts.report.published import (
    COMPARED_METRIC,
    COMPARED_PROTOCOL,
    COMPARED_TASKS,
    PASS_FACTS,
    PUBLISHED,
)
from scripts.report.reason_texts import REASON_TEXTS, STAGES, stage_losses
from scripts.report.result_table import USUAL, Score, metric_text
from scripts.report.selection_statistics import NOT_GIVEN, Entry, Statistics, own_facts
from scripts.report.settings import WriteReportSettings

Values = dict[str, object]
NONE = "–"
NOT_RUN = "not run"


def funnel_values(funnel: Account) -> Values:
    """Return the accounting line and the reasons, those with rows by stage."""
    read = funnel["read"]
    steps = stage_losses(funnel)
    taken = [
        (stage.name, [_reason(reason, rows, read) for reason, rows in lost.items()]) for stage, lost, _ in steps if lost
    ]
    stage_of = {reason: stage.name for stage in STAGES for reason in stage.reasons}
    idle = [reason for reason in all_reasons() if not funnel["rejected"].get(reason)]
    return {
        "funnel": funnel,
        "rejected": sum(funnel["rejected"].values()),
        "stages_lost": " + ".join(
            f"{count(sum(lost.values()))} {stage.name.lower()}" for stage, lost, _ in steps if lost
        ),
        "stage_reasons": taken,
        "idle_reasons": [{"name": name, "text": REASON_TEXTS[name], "stage": stage_of[name]} for name in idle],
    }


def _reason(name: str, rows: int, read: int) -> Values:
    return {"name": name, "text": REASON_TEXTS[name], "rows": rows, "share": share(rows, read)}


def detector_values(settings: WriteReportSettings) -> Values:
    """Return the tables of detectors and rules, and the names of the detectors that are demo-grade."""
    detectors = [
        {
            "name": detector["name"],
            "kind": detector["kind"],
            "target": detector["target"],
            "demo": detector["demo_grade"],
            "grade": "demo-grade" if detector["demo_grade"] else "standard",
        }
        for detector in settings.detectors
    ]
    return {
        "detectors": detectors,
        "rules": [{**rule, "drop": rule["drop"] or NONE, "review": rule["review"] or NONE} for rule in settings.rules],
        "demo_detectors": [item["name"] for item in detectors if item["demo"]],
    }


def sheet_values(paths: Sequence[Path], totals: dict[str, int]) -> Values:
    """Return the contact sheets that show something, and the names of those that do not.

    Args:
        paths: PNGs that `draw_contact_sheets` wrote, named by their sheet.
        totals: sheet → images that ended there.
    """
    sheets = []
    for path in paths:
        if not totals.get(path.stem):
            continue
        shown = {"name": path.stem.replace("_", " "), "text": REASON_TEXTS.get(path.stem, "")}
        sheets.append({**shown, **picture_values(path)})
    empty = [path.stem.replace("_", " ") for path in paths if not totals.get(path.stem)]
    return {"sheets": sheets, "empty_sheets": empty}


def picture_values(path: Path) -> Values:
    """Return a PNG that `encode_sheet` made, for the page.

    Raises:
        UserError: it is none.
    """
    content = path.read_bytes()
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            (width, height), description = picture.size, str(picture.info.get("Description", ""))
    except OSError as error:
        raise UserError(f"{path} is not a PNG ({error}); delete it and run again to have it drawn again") from None
    data = base64.b64encode(content).decode("ascii")
    return {"description": description, "width": width, "height": height, "data": data}


def map_values(paths: Sequence[Path]) -> Values:
    """Return the maps of `draw_embedding`, named by their folder and file."""
    return {"maps": [{"name": f"{path.parent.name} on {path.stem}", **picture_values(path)} for path in paths]}


def people_values(settings: WriteReportSettings, funnel: Account, looked: PeopleLooked) -> Values:
    """Return what people looked at, and where the pages are on which they do."""
    return {
        "review_sentences": review_sentences(looked, funnel),
        "leak": leak_sentence(looked.leak),
        "review_pages": settings.review_pages,
    }


def duplicate_values(figures: DuplicateFigures, paths: Sequence[Path]) -> Values:
    """Return the sheets of `draw_duplicates`, and the clusters in words."""
    totals = {path.stem: figures.near for path in paths}
    bits = ", ".join(f"{count(number)} at {distance}" for distance, number in figures.by_distance.items())
    return {
        "duplicates": figures,
        "duplicate_bits": bits,
        "duplicate_sheets": sheet_values(paths, totals)["sheets"],
    }


def selection_values(statistics: Statistics, looked: PeopleLooked) -> Values:
    """Return the kept images in numbers, with what PASS says of itself beside them."""
    own = own_facts(statistics)
    own["Human review"] = reviewed_fact(looked)
    facts = [(topic, own.get(topic, NONE), theirs, source) for topic, (theirs, source) in PASS_FACTS.items()]
    lists = [
        ("Licences", statistics.licences),
        ("Sources", statistics.sources),
        ("Years", statistics.years),
        ("Cameras", statistics.cameras),
        ("Photographers with the most images", statistics.top_photographers),
    ]
    shown = [(title, _bars(entries, statistics.images)) for title, entries in lists if _says_something(entries)]
    return {"facts": facts, "lists": shown}


def _says_something(entries: list[Entry]) -> bool:
    return any(entry.name != NOT_GIVEN for entry in entries)


def _bars(entries: list[Entry], images: int) -> list[Values]:
    longest = max(entry.images for entry in entries)
    return [
        {
            "name": entry.name,
            "images": entry.images,
            "share": share(entry.images, images),
            "width": f"{100 * entry.images / longest:.1f}",
        }
        for entry in entries
    ]


def result_values(scores: Sequence[Score], settings: WriteReportSettings) -> Values:
    """Return results by run and task, with what each encoder is that was not trained here."""
    groups = groupby(scores, key=lambda score: (score.run, score.task))
    origins = {each["name"]: f"{each['source']} ({each['encoder']})" for each in settings.strangers}
    shown: list[Values] = []
    for (run, task), members in groups:
        rows = list(members)
        lead, rest = ([_score(score) for score in rows if score.leads is leads] for leads in (True, False))
        shown.append({"run": run, "task": task, "origin": origins.get(run, ""), "rows": lead, "others": rest})
    by_metrics: dict[str, list[str]] = {}
    for task in dict.fromkeys(str(group["task"]) for group in shown):
        metrics = ", ".join(metric_text(metric) for metric in settings.figures.get(task, USUAL))
        by_metrics.setdefault(metrics, []).append(task)
    figures = "; ".join(f"{metrics} of {', '.join(tasks)}" for metrics, tasks in by_metrics.items())
    others = sum(not score.leads for score in scores)
    return {"scores": shown, "figures": figures, "other_metrics": others}


def _score(score: Score) -> Values:
    return {
        "protocol": score.protocol.replace("_", " "),
        "metric": metric_text(score.metric),
        "value": decimal(score.mean),
        "spread": ""
        if score.spread is None
        else f"± {score.spread:.1f}, {score.repeats or score.seeds} {_what(score)}",
        "twin": NONE if score.twin is None else decimal(score.twin),
        "difference": NONE if score.difference is None else signed(score.difference, 1),
        "chance": decimal(score.chance),
        "images": score.images,
    }


def _what(score: Score) -> str:
    if score.repeats:
        return "episodes"
    return "draws" if score.protocol.startswith("low_shot") else "seeds"


def published_values(scores: Sequence[Score], settings: WriteReportSettings) -> Values:
    """Return the README's figures, with ours beside the same experiment, and their own weights probed here."""
    published = {each["checkpoint"]: each["name"] for each in settings.strangers if each["checkpoint"]}
    run_of = {(run["method"], run["encoder"], int(run["epochs"])): run["name"] for run in settings.runs}
    found = {
        (score.run, score.task): f"{score.mean:.1f}"
        for score in scores
        if (score.protocol, score.metric) == (COMPARED_PROTOCOL, COMPARED_METRIC)
    }
    rows = []
    for figure in PUBLISHED:
        run = run_of.get(figure.ours, "") if figure.ours else ""
        own = [found.get((run, task), NOT_RUN) for task in COMPARED_TASKS]
        theirs = [found.get((published.get(figure.checkpoint, ""), task), NOT_RUN) for task in COMPARED_TASKS]
        rows.append(
            {
                "data": figure.data,
                "note": figure.note,
                "method": figure.method,
                "encoder": figure.encoder,
                "epochs": figure.epochs,
                "imagenet": f"{figure.imagenet:.1f}",
                "places": f"{figure.places:.1f}",
                "own_imagenet": own[0],
                "own_places": own[1],
                "their_imagenet": theirs[0],
                "their_places": theirs[1],
            }
        )
    return {"published": rows, "published_weights": bool(published)}
