"""What `detect_faces` and `detect_people` share: from the bytes of a part to one row of boxes for each image.

Nothing is decided here. Every box at or above the detector's recording floor is kept, so that a threshold can be moved
later without looking at a picture again.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.filter.batches import Item, Loaded, Read, describe, list_items, load_ahead, load_batch, make_batches
from scripts.filter.boxes import Boxes, cut_at_edges
from scripts.filter.settings import CenterFaceDetector, DetectSettings, OnnxDetector, RetinaFaceDetector
from scripts.filter.views import ManyViews
from scripts.lib.accounting import account_for
from scripts.lib.errors import UserError
from scripts.lib.files import table_of, write_table
from scripts.lib.flags import input_file, optional_input, output_file
from scripts.lib.images import Pixels
from scripts.lib.reasons import FilterReason
from scripts.lib.recipe import read_recipe
from scripts.lib.step import step_parser
from scripts.lib.tables import DETECTIONS
from scripts.lib.tars import TarReader

LOG = logging.getLogger(__name__)

Target = Literal["face", "person"]

# When the last, smallest images all fail, the machine or the weights are at fault and not the images.
FAILURES_AT_END = 8
LOG_SECONDS = 30.0


class Detector(Protocol):
    """A loaded detector."""

    def detect(self, images: list[Pixels], scale: float = 1.0) -> list[Boxes]:
        """Return the boxes of each image, all at or above the recording floor; the images are of equal size.

        `scale` is how many times as large as the settings say the pictures are seen; boxes are in their own pixels.
        """
        ...


def detect_batch(detector: Detector, loaded: Loaded) -> dict[str, Boxes | str]:
    """Return the boxes of each image, or the text of the error that it costs; a failed batch is tried one by one."""
    found: dict[str, Boxes | str] = {item.image_id: image for item, image in loaded if isinstance(image, str)}
    ready = [(item.image_id, image) for item, image in loaded if not isinstance(image, str)]
    groups = [ready] if ready else []
    while groups:
        group = groups.pop()
        try:
            results = detector.detect([image for _, image in group])
            for (image_id, image), boxes in zip(group, results, strict=True):
                found[image_id] = cut_at_edges(boxes, image)
        except Exception as error:  # whatever a library raises costs one image; it is logged and becomes its row
            LOG.warning("detector failed on %s", ", ".join(image_id for image_id, _ in group), exc_info=True)
            if len(group) == 1:
                found[group[0][0]] = describe(error)
            else:
                groups.extend([one] for one in group)
    return found


def detection_row(image_id: str, found: Boxes | str) -> dict[str, Any]:
    """Return a DETECTIONS row."""
    if isinstance(found, str):
        reason = str(FilterReason.DETECTOR_FAILED)
        return {"image_id": image_id, "reason": reason, "detail": found, "score": 0.0, "count": 0, "boxes": []}
    boxes = [dict(zip(("x0", "y0", "x1", "y1", "score"), box, strict=True)) for box in found.tolist()]
    best = boxes[0]["score"] if boxes else 0.0
    return {"image_id": image_id, "reason": "", "detail": "", "score": best, "count": len(boxes), "boxes": boxes}


def detect_items(detector: Detector, items: list[Item], batch_size: int, read: Read, scale: float = 1.0) -> pa.Table:
    """Return DETECTIONS of `items`, in id order; `scale` is the largest at which the detector looks.

    Raises:
        UserError: the detector works on none of the last images.
    """
    batches = make_batches(items, batch_size, scale)
    found: dict[str, Boxes | str] = {}
    started = logged = time.monotonic()
    for loaded in load_ahead(batches, lambda batch: load_batch(batch, read)):
        found.update(detect_batch(detector, loaded))
        if time.monotonic() - logged > LOG_SECONDS:
            logged = time.monotonic()
            rate = len(found) / (logged - started)
            left = timedelta(seconds=round((len(items) - len(found)) / rate))
            LOG.info("%d of %d images, %.1f images/s, about %s left", len(found), len(items), rate, left)
    rate = len(found) / max(time.monotonic() - started, 1e-9)
    last = [found[item.image_id] for batch in batches for item in batch][-FAILURES_AT_END:]
    if len(last) == FAILURES_AT_END and all(isinstance(result, str) for result in last):
        raise UserError(
            f"the detector failed on each of the last {FAILURES_AT_END} images ({last[-1]}), which are the smallest: "
            "the machine (memory, GPU) or the weights are at fault rather than the images. The log above has each "
            "error; nothing was written"
        )
    rows = [
        detection_row(item.image_id, found[item.image_id]) for item in sorted(items, key=lambda item: item.image_id)
    ]
    account = account_for(len(items), (row["reason"] for row in rows))
    with_boxes = sum(row["count"] > 0 for row in rows)
    LOG.info(
        "%d images in %d batches, %.1f images/s; %d with a box, %s", len(rows), len(batches), rate, with_boxes, account
    )
    return table_of(rows, DETECTIONS)


def read_settings(text: str, target: Target) -> DetectSettings:
    """Parse the recipe and check that its detector looks for `target`."""
    settings = read_recipe(DetectSettings, text)
    detector = settings.detector
    if isinstance(detector, OnnxDetector):
        finds: Target = detector.target
    else:
        finds = "face" if isinstance(detector, RetinaFaceDetector | CenterFaceDetector) else "person"
    if finds != target:
        raise UserError(
            f"the detector {detector.name} ({detector.kind}) finds a {finds}, and this step looks for a {target}: "
            f"move its entry to filter.{'face' if finds == 'face' else 'person'}_detectors in the config"
        )
    return settings


def run_detection(description: str | None, argv: Sequence[str] | None, target: Target) -> None:
    """Parse the flags of a detection step, measure the part and write DETECTIONS."""
    parser = step_parser(description)
    parser.add_argument("--recipe", required=True, help="JSON of DetectSettings")
    parser.add_argument("--tar", required=True, type=input_file, help="bytes of the part's images")
    parser.add_argument("--status", required=True, type=input_file, help="DOWNLOADS of the part")
    parser.add_argument("--inspection", required=True, type=input_file, help="INSPECTIONS of the part")
    parser.add_argument(
        "--weights",
        nargs="*",
        default=[],
        type=optional_input,
        help="checked weights file, none where the detector brings its own",
    )
    parser.add_argument("--threads", required=True, type=int, help="CPU threads of the network")
    parser.add_argument("--out", required=True, type=output_file, help="table to write")
    arguments = parser.parse_args(argv)
    write_table(arguments.out, measure_part(arguments, read_settings(arguments.recipe, target)))
    LOG.info("wrote %s", arguments.out)


def files_of(settings: DetectSettings, weights: list[Path]) -> list[Path] | Path | None:
    """Return what the detector's module takes as weights: one file, none, or for `transformers` all of them.

    Raises:
        UserError: more files than the detector has.
    """
    if settings.detector.kind == "transformers":
        return weights
    if len(weights) > 1:
        raise UserError(f"--weights takes one file for the detector {settings.detector.name}, got {len(weights)}")
    return weights[0] if weights else None


def measure_part(arguments: argparse.Namespace, settings: DetectSettings) -> pa.Table:
    """Load the detector and return DETECTIONS of a part; a part without images loads nothing."""
    items = list_items(pq.read_table(arguments.status), pq.read_table(arguments.inspection))
    weights = [Path(path) for path in arguments.weights if path]
    LOG.info("%d images to measure with %s", len(items), settings.detector.name)
    if not items:
        return DETECTIONS.empty_table()
    module = importlib.import_module(f"scripts.filter.detectors.{settings.detector.kind}")
    detector: Detector = module.load_detector(settings.detector, files_of(settings, weights), arguments.threads)
    largest = 1.0
    if (views := settings.detector.views) is not None:
        detector, largest = ManyViews(detector, views), max(1.0, *views.scales)
    with TarReader(arguments.tar) as tar:
        try:
            return detect_items(detector, items, settings.detector.batch_size, tar.read, largest)
        except EOFError as error:
            raise UserError(
                f"{arguments.tar} does not fit its status table ({error}): run `download` of this part again"
            ) from None
