"""Index the images of a folder or of tars, so that a run can train on them without curation.

Every file is read once, hashed and decoded in full, in several processes whose number changes the time alone. What
training cannot use is a row with its reason. The set is named by relative paths: moving it changes no result.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow.parquet as pq

from scripts.lib.accounting import Account, check_account
from scripts.lib.errors import UserError
from scripts.lib.files import ROW_GROUP_ROWS, replacing, table_of
from scripts.lib.flags import output_file
from scripts.lib.reasons import InspectionReason
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import IMAGE_INDEX
from scripts.pretrain.image_check import Answer, check_places
from scripts.pretrain.image_sets import Place, amount, list_places
from scripts.pretrain.settings_images import FolderImages, ImageSet, IndexImagesSettings

LOG = logging.getLogger(__name__)

LOG_SECONDS = 30.0
TAR_HEADER = 512  # bytes before each member


class Tally:
    """Counts what was seen, for the account and for a line in the log now and then."""

    def __init__(self, images: ImageSet, total: int) -> None:
        self._by_file, self._total = isinstance(images, FolderImages), max(total, 1)
        self._done = 0
        self._began = self._logged = time.monotonic()
        self.reasons: Counter[str] = Counter()
        self.suffixes: Counter[str] = Counter()  # of files that are no pictures
        self.examples: dict[str, str] = {}  # by reason, the first file

    def add(self, place: Place, reason: str, detail: str) -> None:
        """Count one file."""
        self._done += 1 if self._by_file else place.size + TAR_HEADER
        self.reasons[reason] += 1
        name = place.member or place.container
        if reason:
            self.examples.setdefault(reason, f"{name} ({detail})")
        if reason == InspectionReason.UNSUPPORTED_FORMAT:
            self.suffixes[PurePosixPath(name).suffix.lower() or "without suffix"] += 1
        now = time.monotonic()
        if now - self._logged > LOG_SECONDS:
            self._logged = now
            share = min(self._done / self._total, 1.0)
            left = (now - self._began) * (1 - share) / share / 60
            rate = self.seen / (now - self._began)
            LOG.info("%d files, %.0f per second, %.0f %%, %.1f min left", self.seen, rate, 100 * share, left)

    @property
    def seen(self) -> int:
        """Return how many files were counted."""
        return self.reasons.total()

    def account(self) -> Account:
        """Return files read, usable and not, by reason."""
        rejected = {reason: count for reason, count in sorted(self.reasons.items()) if reason}
        return Account(read=self.seen, kept=self.reasons[""], rejected=rejected)


def index_rows(checked: Iterable[tuple[Place, Answer]], tally: Tally) -> Iterator[dict[str, Any]]:
    """Yield the rows of `IMAGE_INDEX`, counted in `tally`."""
    for place, (sha256, reason, detail) in checked:
        tally.add(place, str(reason), detail)
        yield {
            "image_id": place.image_id,
            "container": place.container,
            "member": place.member,
            "offset": place.offset,
            "size": place.size,
            "sha256": sha256,
            "reason": str(reason),
            "detail": detail,
        }


def write_index(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows as they come, of which one row group is held; return their number."""
    count = 0
    group: list[dict[str, Any]] = []
    with pq.ParquetWriter(path, IMAGE_INDEX, compression="zstd") as writer:

        def flush() -> None:
            writer.write_table(table_of(group, IMAGE_INDEX), row_group_size=ROW_GROUP_ROWS)
            group.clear()

        for row in rows:
            count += 1
            group.append(row)
            if len(group) == ROW_GROUP_ROWS:
                flush()
        flush()
    return count


def _check_usable(images: ImageSet, root: Path, tally: Tally) -> None:
    if tally.reasons[""]:
        return
    found = "; ".join(
        f"{tally.reasons[reason]} {reason}, such as {tally.examples[reason]}" for reason in tally.examples
    )
    raise UserError(
        f"the image set {images.name} at {root} has no image that training can use: {found or 'it holds no files'}. "
        "Expected are JPEG, PNG or WebP files in a folder, or as members of plain tars (a tar of tars must be unpacked "
        "once); correct that entry of pretrain.image_sets"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Index one set."""
    parser = step_parser(__doc__, asks_outside=True)
    parser.add_argument("--recipe", required=True, help="JSON of IndexImagesSettings")
    parser.add_argument("--root", required=True, type=Path, help="the set's folder, `path` in the config")
    parser.add_argument("--threads", type=int, default=1, help="processes that decode")
    parser.add_argument("--out", required=True, type=output_file, help="the index to write (Parquet)")
    flags = parser.parse_args(argv)
    settings = read_recipe(IndexImagesSettings, flags.recipe)
    images = settings.images
    places = list_places(images, flags.root)
    tally = Tally(images, amount(images, flags.root))
    LOG.info("image set %s: %s %s, %d processes", images.name, images.kind, flags.root, flags.threads)
    with replacing(flags.out) as private:
        checked = check_places(places, flags.root, settings.limits, flags.threads)
        written = write_index(private, index_rows(checked, tally))
        _check_usable(images, flags.root, tally)
    account = tally.account()
    check_account({**account, "read": written})
    if tally.suffixes:
        others = ", ".join(f"{count} {suffix}" for suffix, count in tally.suffixes.most_common(10))
        LOG.info("no pictures that are read (JPEG, PNG, WebP): %s", others)
    for reason, example in tally.examples.items():
        LOG.info("%s: %d, first %s", reason, tally.reasons[reason], example)
    LOG.info("read %d, usable %d, not usable %s", account["read"], account["kept"], account["rejected"] or "none")
    LOG.info("wrote %s", flags.out)


if __name__ == "__main__":
    run_step(main)
