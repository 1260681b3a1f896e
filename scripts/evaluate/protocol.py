"""What the `main` of every frozen protocol shares: features in, rows of results and answers out.

A protocol that classifies never sees the labels of the test split: it gets a `Given` and returns its answers, which
are scored here. So no choice in it can rest on them (docs/decisions.md#61).
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from scripts.evaluate.features import Array, Features, load_features
from scripts.evaluate.ranking import ranking_rows
from scripts.evaluate.scores import Labels, Mask, Scores, result_rows
from scripts.lib.errors import UserError
from scripts.lib.files import table_of, write_csv, write_table
from scripts.lib.flags import input_file, output_file
from scripts.lib.recipe import SettingsType, canonical_json, read_recipe
from scripts.lib.step import step_parser
from scripts.lib.tables import PREDICTIONS, RESULT_COLUMNS

log = logging.getLogger(__name__)

Row = tuple[str, ...]  # of RESULT_COLUMNS


@dataclass(frozen=True)
class Given:
    """What a protocol may see of a labelled set: everything but the labels of the test split."""

    task: str
    classes: int
    train_features: Array  # [n, d] float32
    train_labels: Labels  # [n]
    test_features: Array  # [m, d] float32
    multi_label: bool = False
    train_accepted: Mask | None = None  # [n, classes], of a multi-label task
    extras: Mapping[str, Array] = field(default_factory=dict)  # blocks, patches and views of `Features.extras`


@dataclass(frozen=True)
class Answer:
    """What one fit of a protocol says of each test image."""

    protocol: str
    predicted: Labels  # [m]
    seed: int | str = ""  # "" where nothing is drawn
    scores: Scores | None = None  # [m, classes], for tasks of several labels
    selected_on: str = ""  # what a choice rested on
    settings: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Labels] = field(default_factory=dict)  # [m] each, for metrics of the protocol's own


def given_of(features: Features, task: str) -> Given:
    """Return the part of `features` that a protocol may see."""
    hidden = ("train_accepted", "test_accepted", "test_ignored")
    return Given(
        task=task,
        classes=features.classes,
        train_features=features.train_features,
        train_labels=features.train_labels,
        test_features=features.test_features,
        multi_label=features.multi_label,
        train_accepted=features.extras.get("train_accepted") if features.multi_label else None,
        extras={name: each for name, each in features.extras.items() if name not in hidden},
    )


def refuse_multi_label(given: Given, protocol: str) -> None:
    """Stop where a task has several labels for an image and the protocol knows one.

    Raises:
        UserError: it has.
    """
    if given.multi_label:
        raise UserError(
            f"the images of the task {given.task} have several labels, and {protocol} knows one for each. Name the "
            f"tasks that it is for under `tasks` of evaluate.{protocol}; knn and linear_svm are for several labels"
        )


def score_answer(answer: Answer, features: Features, run: str, task: str) -> list[Row]:
    """Return the rows of one answer under the metrics of the task."""
    what = (run, task, answer.protocol, str(answer.seed))
    more = {"selected_on": answer.selected_on, "settings": answer.settings, "inputs": features.inputs}
    accepted = features.extras.get("test_accepted")
    if features.multi_label:
        if answer.scores is None or accepted is None:
            raise UserError(
                f"{answer.protocol} gives no score for each class, which the task {task} needs: its images have "
                "several labels. Name the tasks that the protocol is for under its key `tasks`"
            )
        return list(ranking_rows(what, answer.scores, accepted, features.extras.get("test_ignored"), **more))
    rows = list(result_rows(what, answer.predicted, features.test_labels, features.train_labels, accepted, **more))
    if answer.scores is not None:
        one_hot = features.test_labels[:, None] == np.arange(features.classes)
        rows.extend(ranking_rows(what, answer.scores, one_hot, None, **more))
    return rows


def right_answers(answer: Answer, features: Features) -> Mask:
    """Return for each test image whether it was answered rightly: [m]."""
    accepted = features.extras.get("test_accepted")
    if features.multi_label and accepted is not None:
        right: Mask = accepted[np.arange(len(accepted)), answer.predicted]
    else:
        right = answer.predicted == features.test_labels
    return right


def prediction_row(
    what: tuple[str, str, str, str], predicted: Labels, right: Mask, inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the row of `PREDICTIONS` of one answer: what a comparison of two encoders starts from.

    Args:
        what: run, task, protocol, seed.
        predicted: the class named for each test image.
        right: whether it is a right one.
        inputs: what the answer rests on.
    """
    named = dict(zip(("run", "task", "protocol", "seed"), what, strict=True))
    return {**named, "inputs": canonical_json(inputs), "predicted": predicted.tolist(), "right": right.tolist()}


def protocol_parser(description: str | None, settings_kind: type[SettingsType]) -> argparse.ArgumentParser:
    """Return a parser of the flags that all protocols have."""
    parser = step_parser(description)
    parser.add_argument("--recipe", required=True, help=f"JSON of {settings_kind.__name__}")
    parser.add_argument("--run", required=True, help="name of the encoder")
    parser.add_argument("--task", required=True, help="name of the task")
    parser.add_argument("--features", required=True, type=input_file, help="features of `embed`")
    parser.add_argument("--threads", required=True, type=int, help="CPU threads")
    parser.add_argument("--out", required=True, type=output_file, help="rows of results (CSV)")
    return parser


def run_protocol(
    argv: Sequence[str] | None,
    description: str | None,
    settings_kind: type[SettingsType],
    answers_of: Callable[[Given, SettingsType], list[Answer]],
    *,
    extras: Sequence[str] = (),
    set_threads: Callable[[int], object] | None = None,
    rows_of: Callable[[Answer, Features, str, str], list[Row]] = score_answer,
) -> None:
    """Parse the flags of a protocol that classifies, ask it for its answers, score and write them.

    `extras` are those of `Features.extras` that it wants to see where they are. `set_threads` is torch's where the
    protocol computes with torch; the others take one thread, because NumPy's last bits depend on their number.
    `rows_of` scores an answer.
    """
    parser = protocol_parser(description, settings_kind)
    parser.add_argument(
        "--predictions", required=True, type=output_file, help="what was answered for each test image (Parquet)"
    )
    options = parser.parse_args(argv)
    settings = read_recipe(settings_kind, options.recipe)
    features = load_features(options.features, ("train_accepted", "test_accepted", "test_ignored", *extras))
    log.info("%d train and %d test features", len(features.train_labels), len(features.test_labels))
    start = time.monotonic()
    if set_threads is not None:
        set_threads(options.threads)
    with threadpool_limits(limits=1) if set_threads is None else nullcontext():
        answers = answers_of(given_of(features, options.task), settings)
    rows = [row for answer in answers for row in rows_of(answer, features, options.run, options.task)]
    listed = [
        prediction_row(
            (options.run, options.task, answer.protocol, str(answer.seed)),
            answer.predicted,
            right_answers(answer, features),
            features.inputs,
        )
        for answer in answers
    ]
    write_table(options.predictions, table_of(listed, PREDICTIONS))
    write_results(options.out, rows)
    log.info("wrote %s and %s after %.1f s", options.out, options.predictions, time.monotonic() - start)


def run_rows(
    argv: Sequence[str] | None,
    description: str | None,
    settings_kind: type[SettingsType],
    rows_of: Callable[[Features, SettingsType, str, str], list[Row]],
) -> None:
    """Parse the flags of a protocol that gives no answer for each test image, ask it for its rows and write them."""
    options = protocol_parser(description, settings_kind).parse_args(argv)
    settings, features = read_recipe(settings_kind, options.recipe), load_features(options.features)
    with threadpool_limits(limits=1):
        write_results(options.out, rows_of(features, settings, options.run, options.task))


def write_results(path: str, rows: Sequence[Row]) -> None:
    """Write rows of results and log them."""
    for row in rows:
        cells = dict(zip(RESULT_COLUMNS, row, strict=True))
        chosen = json.loads(cells["settings"]).get("chosen")
        log.info(
            "%s seed %s, %s: %s (chance %s)%s",
            cells["protocol"],
            cells["seed"] or "-",
            cells["metric"],
            cells["value"],
            cells["chance"],
            f", chosen {chosen} on {cells['selected_on']}" if chosen else "",
        )
    write_csv(path, RESULT_COLUMNS, rows)
