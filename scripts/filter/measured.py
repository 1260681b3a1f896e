"""What the detectors measured, as columns: one number for each image, in the order that the caller gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.filter.rule_settings import CommitteeRule, ScoreRule
from scripts.lib.errors import UserError

Floats = npt.NDArray[np.float64]
Sizes = Mapping[str, tuple[int, int]]  # image id → width, height in pixels
COLUMNS = ["image_id", "reason", "detail", "score"]


@dataclass(frozen=True)
class Measured:
    """One detector on n images."""

    scores: npt.NDArray[np.float32]  # [n], highest score, 0 where there is no box
    areas: Floats  # [n], share of the picture that the best box covers, 1 where there is no box


def detectors_with_areas(rules: Iterable[ScoreRule | CommitteeRule]) -> set[str]:
    """Return the detectors whose boxes the rules need, and not only their scores."""
    committees = [rule for rule in rules if isinstance(rule, CommitteeRule)]
    return {voice.detector for rule in committees for voice in rule.voices if voice.area != 0}


def best_areas(boxes: pa.ListArray, sizes: Sequence[tuple[int, int]]) -> Floats:
    """Return the share of its picture that the first, best box of each row covers: [n].

    Args:
        boxes: the column of DETECTIONS, pixels of the decoded image.
        sizes: width and height of each row's picture.
    """
    offsets = boxes.offsets.to_numpy()
    has_box = np.diff(offsets) > 0
    first = offsets[:-1][has_box]
    corners = {name: boxes.values.field(name).to_numpy()[first].astype(np.float64) for name in ("x0", "y0", "x1", "y1")}
    areas = np.ones(len(boxes))
    pixels = np.array([width * height for width, height in sizes], np.float64)
    areas[has_box] = (corners["x1"] - corners["x0"]) * (corners["y1"] - corners["y0"]) / pixels[has_box]
    return areas


def measure(table: pa.Table, sizes: Sizes) -> Measured:
    """Return the rows of DETECTIONS as columns, in their order; areas are 1 when the table has no boxes."""
    scores = np.asarray(table["score"].to_numpy(), np.float32)
    if "boxes" not in table.column_names or not table.num_rows:
        return Measured(scores, np.ones(len(scores)))
    shapes = [sizes[image_id] for image_id in table["image_id"].to_pylist()]
    return Measured(scores, best_areas(table["boxes"].combine_chunks(), shapes))


def in_order(table: pa.Table, image_ids: Sequence[str]) -> pa.Table:
    """Return the rows of `image_ids`, all of which the table must have, in that order."""
    return table.take(pc.index_in(pa.array(image_ids, pa.string()), value_set=table["image_id"].combine_chunks()))


def check_images(due: Iterable[str], got: Iterable[str], what: str) -> None:
    """Fail unless `got` are exactly the images of `due`.

    Raises:
        UserError: names the table and the first image that is missing or too many.
    """
    wrong = sorted(set(due) ^ set(got))
    if wrong:
        raise UserError(
            f"{what} does not fit the images of this part: {len(wrong)} are missing or too many (first: {wrong[0]}). "
            "The files are of different runs; make this table again"
        )


def read_detections(
    paths: Sequence[str], names: Iterable[str], image_ids: Sequence[str], with_areas: Iterable[str]
) -> dict[str, pa.Table]:
    """Return detector → DETECTIONS rows of a part in the order of `image_ids`.

    Tables lie at `<detector>/<part>.parquet`. Boxes are read for the detectors `with_areas` alone.

    Raises:
        UserError: a detector of the rules has no table, a table has no detector, an image is there twice, or the images
            are not those of `image_ids`.
    """
    by_name = {Path(path).parent.name: path for path in paths}
    if set(by_name) != set(names) or len(by_name) != len(paths):
        raise UserError(
            f"the rules of the recipe name the detectors {sorted(names)}, and the tables given are those of "
            f"{sorted(Path(path).parent.name for path in paths)}: each detector needs exactly one table"
        )
    found = {}
    areas = set(with_areas)
    for name, path in sorted(by_name.items()):
        table = pq.read_table(path, columns=[*COLUMNS, "boxes"] if name in areas else COLUMNS)
        got = table["image_id"].to_pylist()
        if len(set(got)) != len(got):
            raise UserError(f"{path} has {len(got)} rows for {len(set(got))} images: make it again")
        check_images(image_ids, got, path)
        found[name] = in_order(table, image_ids)
    return found
