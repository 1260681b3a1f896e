"""Draw a sample of the kept images and of the images dropped for each reason, faces blurred on the dropped ones."""

from __future__ import annotations

import heapq
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.lib.draws import rank
from scripts.lib.errors import UserError
from scripts.lib.files import write_bytes
from scripts.lib.flags import input_file, output_file
from scripts.lib.plain_text import printable
from scripts.lib.reasons import FilterReason
from scripts.lib.recipe import read_recipe
from scripts.lib.sheet import Tile, draw_sheet, encode_sheet
from scripts.lib.step import run_step, step_parser
from scripts.lib.tars import TarReader
from scripts.lib.thumbnails import find_bytes, id_values, make_thumbnail
from scripts.report.faces import Box, hide_faces
from scripts.report.number_text import count
from scripts.report.settings import ContactSheetSettings

log = logging.getLogger(__name__)

KEPT = "kept"  # the name of the sheet of kept images; all others are named by a reason
CAPTION_CHARACTERS = 200  # more than fits any tile
PEOPLE = {
    FilterReason.FACE,
    FilterReason.PERSON,
    FilterReason.AWAITS_REVIEW,
    FilterReason.TAGGED_PERSON,
    FilterReason.HUMAN_VERDICT,
    FilterReason.DETECTOR_FAILED,
}


@dataclass(frozen=True)
class Pick:
    """An image chosen for a sheet."""

    image_id: str
    part: str
    evidence: str
    creator: str


@dataclass(frozen=True)
class Sheet:
    """The images chosen for a sheet, in the order of the draw, and how many there were to choose from."""

    name: str
    picks: Sequence[Pick]
    total: int


def pick_images(selection: Path, names: Sequence[str], settings: ContactSheetSettings) -> list[Sheet]:
    """Return a uniform sample for each sheet; it depends on the seed and the image ids alone.

    Holds `settings.images` rows for each sheet and one row group of the table, whatever the table's length.
    """
    best: dict[str, list[tuple[str, Pick]]] = {name: [] for name in names}
    totals = dict.fromkeys(names, 0)
    columns = ["image_id", "part", "reason", "evidence", "creator"]
    for batch in pq.ParquetFile(selection).iter_batches(columns=columns):
        for name in names:
            rows = batch.filter(pc.equal(batch.column("reason"), "" if name == KEPT else name))
            totals[name] += rows.num_rows
            ranked = (
                (rank(settings.seed, f"contact sheet {name}", row["image_id"]), _pick(row)) for row in rows.to_pylist()
            )
            best[name] = heapq.nsmallest(settings.images, [*best[name], *ranked], key=lambda pair: pair[0])
    return [Sheet(name, [pick for _, pick in best[name]], totals[name]) for name in names]


def _pick(row: Mapping[str, str | None]) -> Pick:
    return Pick(row["image_id"] or "", row["part"] or "", row["evidence"] or "", row["creator"] or "")


def find_faces(tables: Iterable[Path], wanted: set[str]) -> dict[str, list[Box]]:
    """Return image id → face boxes of all detectors, for those of `wanted` that have any."""
    found: dict[str, list[Box]] = defaultdict(list)
    for path in tables:
        table = pq.read_table(path, columns=["image_id", "boxes"])
        for row in table.filter(pc.is_in(table["image_id"], value_set=id_values(wanted))).to_pylist():
            found[row["image_id"]] += [Box(**box) for box in row["boxes"] or []]
    return found


def make_tile(pick: Pick, content: bytes | None, boxes: Iterable[Box], sheet: str, side: int) -> Tile:
    """Return the tile of an image: its faces hidden unless it was kept; without a picture it says why."""
    caption, credit = (printable(text, CAPTION_CHARACTERS) for text in (pick.evidence, pick.creator or pick.image_id))
    if content is None:
        return Tile(None, "its bytes are not in the part's tar", caption, credit)
    try:
        thumbnail, scale = make_thumbnail(content, side)
    except (OSError, SyntaxError, ValueError) as error:
        return Tile(None, printable(f"does not decode: {error}", CAPTION_CHARACTERS), caption, credit)
    if sheet != KEPT:
        thumbnail = hide_faces(thumbnail, boxes, scale, people_expected=sheet in PEOPLE)
    return Tile(thumbnail, "", caption, credit)


def describe_sheet(sheet: Sheet) -> str:
    """Return how many images a sheet shows, of how many, and what was done to them."""
    if not sheet.total:
        return "no images"
    shown = len(sheet.picks)
    text = f"all {count(shown)}" if shown == sheet.total else f"{count(shown)} of {count(sheet.total)}, drawn by lot"
    return text if sheet.name == KEPT else f"{text}; faces blurred"


def part_files(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Return part → its files, by the stem of each path."""
    files: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        files[path.stem].append(path)
    return files


def draw_tiles(
    sheets: Sequence[Sheet], tars: Iterable[Path], statuses: Iterable[Path], faces: Iterable[Path], side: int
) -> dict[tuple[str, str], Tile]:
    """Return (sheet, image id) → tile. Opens each part once, and only parts of which an image was picked.

    Raises:
        UserError: a part of the selection has no tar or no status table among the paths.
    """
    tar_of, status_of, faces_of = part_files(tars), part_files(statuses), part_files(faces)
    wanted: dict[str, list[tuple[str, Pick]]] = defaultdict(list)
    for sheet in sheets:
        for pick in sheet.picks:
            wanted[pick.part].append((sheet.name, pick))
    tiles = {}
    for part in sorted(wanted):
        if part not in tar_of or part not in status_of:
            raise UserError(
                f"the selection has images of part {part}, but --tars names no {part}.tar or --statuses no such table; "
                "give the files of all parts"
            )
        ids = {pick.image_id for _, pick in wanted[part]}
        places, boxes = find_bytes(status_of[part][0], ids), find_faces(faces_of[part], ids)
        with TarReader(tar_of[part][0]) as tar:
            for name, pick in wanted[part]:
                content = tar.read(*places[pick.image_id]) if pick.image_id in places else None
                tiles[name, pick.image_id] = make_tile(pick, content, boxes.get(pick.image_id, []), name, side)
    return tiles


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of report.contact_sheets")
    parser.add_argument("--selection", type=input_file, required=True, help="table of select")
    parser.add_argument("--tars", type=input_file, nargs="+", required=True, help="bytes of each part, <part>.tar")
    parser.add_argument(
        "--statuses", type=input_file, nargs="+", required=True, help="tables of download, <part>.parquet"
    )
    parser.add_argument(
        "--faces", type=input_file, nargs="*", default=[], help="tables of detect_faces, <part>.parquet each"
    )
    parser.add_argument("--sheets", type=output_file, nargs="+", required=True, help="PNGs, named kept or by a reason")
    args = parser.parse_args(argv)
    settings = read_recipe(ContactSheetSettings, args.recipe)
    names = [path.stem for path in args.sheets]
    if unknown := sorted(set(names) - {KEPT, *(str(reason) for reason in FilterReason)}):
        raise UserError(f"--sheets names {', '.join(unknown)}; expected kept or a reason of the filter")
    sheets = pick_images(args.selection, names, settings)
    tiles = draw_tiles(sheets, args.tars, args.statuses, args.faces, settings.thumbnail)
    for path, sheet in zip(args.sheets, sheets, strict=True):
        description = describe_sheet(sheet)
        chosen = [tiles[sheet.name, pick.image_id] for pick in sheet.picks]
        heading = f"{sheet.name.replace('_', ' ')}: {description}"
        write_bytes(path, encode_sheet(draw_sheet(heading, chosen, settings.columns, settings.thumbnail), description))
        missing = sum(tile.thumbnail is None for tile in chosen)
        log.info("%s: %s%s", sheet.name, description, f"; {missing} without a picture" if missing else "")


if __name__ == "__main__":
    run_step(main)
