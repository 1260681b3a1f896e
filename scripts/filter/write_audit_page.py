"""Write the pages on which auditors look at the random sample of kept images: person or no person.

The pages are blind: no box, score or reason is shown, because they would steer the eye.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from scripts.filter.review_images import Asked, Shown, show_images
from scripts.filter.review_page import Page, page_html
from scripts.filter.settings import WriteAuditPageSettings
from scripts.lib.errors import UserError
from scripts.lib.files import write_json, write_text
from scripts.lib.flags import input_file, output_file
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser

LOG = logging.getLogger(__name__)


def show_sample(
    rows: Sequence[Mapping[str, Any]],
    tars: Mapping[str, Path],
    statuses: Mapping[str, Path],
    settings: WriteAuditPageSettings,
) -> list[Shown]:
    """Return the images of `rows` in their order, opening each part once.

    Raises:
        UserError: a part of the sample has no tar or no table among the paths.
    """
    by_part: dict[str, list[Asked]] = defaultdict(list)
    for row in rows:
        by_part[row["part"]].append(Asked(row["image_id"], "", row["title"] or "", row["creator"] or ""))
    shown: dict[str, Shown] = {}
    for part, asked in sorted(by_part.items()):
        if part not in tars or part not in statuses:
            raise UserError(
                f"the sample has images of part {part}, but --tars names no {part}.tar or --statuses no "
                f"{part}.parquet: give the files of all parts"
            )
        for image in show_images(asked, tars[part], statuses[part], [], settings.page):
            shown[image.asked.image_id] = image
    return [shown[row["image_id"]] for row in rows]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of WriteAuditPageSettings")
    parser.add_argument("--sample", required=True, type=input_file, help="AUDIT_SAMPLE")
    parser.add_argument("--tars", required=True, nargs="+", type=input_file, help="bytes of each part, <part>.tar")
    parser.add_argument("--statuses", required=True, nargs="+", type=input_file, help="DOWNLOADS, <part>.parquet")
    parser.add_argument("--pages", required=True, nargs="+", type=output_file, help="HTML files to write")
    parser.add_argument("--account", required=True, type=output_file, help="JSON to write: images on each page")
    flags = parser.parse_args(argv)
    settings = read_recipe(WriteAuditPageSettings, flags.recipe)
    rows = pq.read_table(flags.sample).sort_by("position").to_pylist()
    per_page = settings.page.images_per_page
    if len(rows) > per_page * len(flags.pages):
        raise UserError(
            f"the sample has {len(rows)} images, more than {len(flags.pages)} pages of {per_page} hold: it is of "
            "another run. Run `draw_audit_sample` again"
        )
    tars, statuses = ({path.stem: path for path in paths} for paths in (flags.tars, flags.statuses))
    counts = {}
    for index, path in enumerate(flags.pages):
        images = show_sample(rows[index * per_page : (index + 1) * per_page], tars, statuses, settings)
        page = Page(
            name=f"audit-{settings.seed}-{path.stem}",
            title=settings.title,
            heading=f"Audit of the kept images, page {index + 1} of {len(flags.pages)}",
            words=("No person", "Person"),
            drop=settings.page.person,
            nothing="No image is left for this page: fewer images are kept than were asked for.",
            detectors=[],
            settings=settings.page,
        )
        text = page_html(page, images)
        write_text(path, text)
        counts[path.name] = len(images)
        LOG.info("%s: %d images, %d KiB", path, len(images), len(text) // 1024)
    write_json(flags.account, {"pages": counts})


if __name__ == "__main__":
    run_step(main)
