"""Write the pages on which reviewers decide about the images of a part: keep or drop, by keyboard, offline.

A page holds all that it shows; its export is a CSV that `filter.human_verdicts` takes. Pages are bounded in size and
number; images beyond them wait for the next run, when the verdicts on the first are there.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.filter.human_verdicts import read_human_verdicts
from scripts.filter.review_images import Asked, Shown, show_images
from scripts.filter.review_page import Detector, Page, page_html
from scripts.filter.settings import WriteReviewPageSettings
from scripts.lib.errors import UserError
from scripts.lib.files import read_tables, write_json, write_text
from scripts.lib.flags import input_file, optional_input, output_file
from scripts.lib.reasons import FilterReason
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import CANDIDATES
from scripts.lib.thumbnails import id_values

LOG = logging.getLogger(__name__)

ROW = ("image_id", "source", "file", "row")
CREDIT = ("creator", "title")


def find_waiting(verdicts: Path, candidates: Sequence[str], part: str) -> list[Asked]:
    """Return the images of a part that `judge` leaves to a reviewer, by id."""
    judged = pq.read_table(verdicts)
    waiting = judged.filter(pc.equal(judged["reason"], str(FilterReason.AWAITS_REVIEW))).to_pylist()
    filters = (pc.field("part") == part) & pc.field("image_id").isin(id_values(row["image_id"] for row in waiting))
    rows = read_tables(candidates, CANDIDATES, columns=[*ROW, *CREDIT, "part"], filters=filters).to_pylist()
    credit = {tuple(row[name] for name in ROW): row for row in rows}
    asked = []
    for row in waiting:
        known = credit.get(tuple(row[name] for name in ROW))
        if known is None:
            raise UserError(
                f"{verdicts} has image {row['image_id']} ({row['file']} row {row['row']}), which is no candidate of "
                f"part {part}: the files are of different runs. Run `judge` of this part again"
            )
        asked.append(Asked(row["image_id"], row["evidence"] or "", known["title"] or "", known["creator"] or ""))
    return sorted(asked, key=lambda image: image.image_id)


def find_kept(selection: Path, human: Path, part: str) -> list[Asked]:
    """Return the kept images of a part that no reviewer has looked at yet, by id."""
    seen = read_human_verdicts(human)
    filters = (pc.field("part") == part) & pc.field("keep")
    rows = pq.read_table(selection, columns=["image_id", *CREDIT], filters=filters).to_pylist()
    kept = [
        Asked(row["image_id"], "kept: nothing speaks against it", row["title"] or "", row["creator"] or "")
        for row in rows
        if row["image_id"] not in seen
    ]
    return sorted(kept, key=lambda image: image.image_id)


def detectors_of(faces: Sequence[Path], people: Sequence[Path]) -> list[Detector]:
    """Return the detectors of tables at `<detector>/<part>.parquet`, in their order."""
    return [
        Detector(path.parent.name, target) for target, paths in (("face", faces), ("person", people)) for path in paths
    ]


def write_page(
    path: Path, heading: str, images: Sequence[Shown], detectors: list[Detector], settings: WriteReviewPageSettings
) -> None:
    """Write one page of images that wait for a verdict."""
    page = Page(
        name=f"review-{path.stem}",
        title=settings.title,
        heading=heading,
        words=("Keep", "Drop"),
        drop=[*settings.page.person, *settings.page.also_drop],
        nothing="No image waits here. Pages are written for every part, so that their names are known beforehand.",
        detectors=detectors,
        settings=settings.page,
    )
    text = page_html(page, images)
    write_text(path, text)
    LOG.info("%s: %d images, %d KiB", path, len(images), len(text) // 1024)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of WriteReviewPageSettings")
    parser.add_argument("--part", required=True, help="name of the partition")
    parser.add_argument("--candidates", nargs="*", default=[], type=input_file, help="CANDIDATES of all files")
    parser.add_argument("--verdicts", required=True, type=input_file, help="VERDICTS of the part")
    parser.add_argument(
        "--selection", required=True, type=optional_input, help="SELECTION, when kept images are reviewed; else empty"
    )
    parser.add_argument("--human", required=True, type=input_file, help="CSV of gather_human_verdicts")
    parser.add_argument("--tar", required=True, type=input_file, help="bytes of the part")
    parser.add_argument("--status", required=True, type=input_file, help="DOWNLOADS of the part")
    parser.add_argument(
        "--faces", nargs="*", default=[], type=input_file, help="DETECTIONS at <detector>/<part>.parquet"
    )
    parser.add_argument(
        "--people", nargs="*", default=[], type=input_file, help="DETECTIONS at <detector>/<part>.parquet"
    )
    parser.add_argument(
        "--pages", required=True, nargs="+", type=output_file, help="HTML files to write, <part>-<page>.html"
    )
    parser.add_argument("--account", required=True, type=output_file, help="JSON to write: images on each page")
    flags = parser.parse_args(argv)
    settings = read_recipe(WriteReviewPageSettings, flags.recipe)
    asked: list[Asked] = []
    if "awaits_review" in settings.review.of:
        asked += find_waiting(flags.verdicts, [path for path in flags.candidates if path], flags.part)
    if "kept" in settings.review.of:
        asked += find_kept(Path(flags.selection), flags.human, flags.part)
    per_page = settings.page.images_per_page
    shown = show_images(
        asked[: per_page * len(flags.pages)], flags.tar, flags.status, [*flags.faces, *flags.people], settings.page
    )
    counts, blank = [], 0
    for number, path in enumerate(flags.pages, start=1):
        images = list(islice(shown, per_page))
        heading = f"Review, part {flags.part}, page {number}"
        write_page(path, heading, images, detectors_of(flags.faces, flags.people), settings)
        counts.append(len(images))
        blank += sum(not image.jpeg for image in images)
    left = len(asked) - sum(counts)
    write_json(
        flags.account,
        {
            "part": flags.part,
            "waiting": len(asked),
            "pages": dict(zip(_names(flags.pages), counts, strict=True)),
            "left": left,
        },
    )
    LOG.info(
        "part %s: %d images wait, %d are on pages, %d of them without a picture",
        flags.part,
        len(asked),
        sum(counts),
        blank,
    )
    if left:
        LOG.warning(
            "%d images do not fit on %d pages of %d: they come in the next run, when verdicts on these are there, or "
            "with a larger filter.review.pages_per_part",
            *(left, len(flags.pages), per_page),
        )


def _names(pages: Sequence[Path]) -> list[str]:
    return [path.name for path in pages]


if __name__ == "__main__":
    run_step(main)
