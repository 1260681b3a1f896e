"""Generated source: each system of `scripts.lib.fractals` is a class, each of its views an image."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from scripts.curate.licences import licence_address
from scripts.curate.rows import CandidateRow, RejectedRow
from scripts.curate.settings import FractalSource, Licence
from scripts.lib.errors import UserError
from scripts.lib.fractals import encode_jpeg, render_fractal
from scripts.lib.identity import derived_id
from scripts.lib.reasons import MetadataReason

JPEG_QUALITY = 90
LICENCE: Licence = "CC0-1.0"  # nobody's work: dedicated to the public domain, as far as there is anything to dedicate


def read_rows(
    source: FractalSource, file_name: str, metadata: Path, table: Path | None, licences: Collection[Licence]
) -> Iterator[CandidateRow | RejectedRow]:
    """Yield one row for each image of each system; nothing is read.

    There is no photographer and no page, so the attribution fields say what the image is made from. `creator_id` is the
    system: the cap for each photographer then bounds how often one shape is seen.
    """
    for index in range(source.classes * source.images_per_class):
        system, view = divmod(index, source.images_per_class)
        locator = f"{system}/{view}"
        if LICENCE not in licences:
            yield RejectedRow(index + 1, MetadataReason.LICENCE, locator, f"{LICENCE} is not asked for", LICENCE)
            continue
        address = f"generated:fractal/{source.seed}/{source.image_size}/{source.iterations}/{locator}"
        yield CandidateRow(
            row=index + 1,
            image_id=derived_id(source.name, locator),
            locator=locator,
            photo_id=locator,
            creator_id=f"generated:fractal/{source.seed}/{system}",
            creator="unpeopled",
            title=f"Iterated function system {system}, view {view}",
            page_url=address,
            download_url=address,
            licence=LICENCE,
            licence_name=LICENCE,
            licence_url=licence_address(LICENCE),
            date_taken="",
            latitude=None,
            longitude=None,
            capture_device="",
        )


def make_image(source: FractalSource, locator: str) -> bytes:
    """Return the JPEG of an image; `locator` is `system/view` as in `CandidateRow`.

    Raises:
        UserError: the locator is not one that `read_rows` gave for this source.
    """
    system, slash, view = locator.partition("/")
    if not (slash and system.isdecimal() and view.isdecimal()):
        raise UserError(f"{locator!r} is not an image of the fractal source {source.name}: expected system/view")
    pixels = render_fractal(source.seed, int(system), int(view), source.image_size, source.iterations)
    return encode_jpeg(pixels, JPEG_QUALITY)
