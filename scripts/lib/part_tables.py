"""Tables of one partition each, written beside the table of all.

A job of one partition reads these: where a row changes, its partition's table alone gets other bytes, and the jobs of
the others have nothing to do (docs/decisions.md#112).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from scripts.lib.errors import UserError
from scripts.lib.identity import part_names, part_of

FLAG = "--parts"
HELP = "the same rows, a table for each partition: <part>.* for all of them; none for no such tables"


class Parts:
    """The partitions that the names of such tables stand for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Take the tables to write.

        Raises:
            UserError: they are not one for each partition, so that a row would be lost.
        """
        self.paths = {path.stem: path for path in paths}
        self.bits = max(0, len(paths).bit_length() - 1)
        if paths and sorted(self.paths) != part_names(self.bits):
            raise UserError(
                f"{FLAG} names {len(paths)} tables ({', '.join(sorted(self.paths)[:3])}, ...), which are not those of "
                "all partitions, each once: their number is a power of two, and they are named 00, 01 and so on"
            )

    def of(self, image_ids: Iterable[str]) -> list[str]:
        """Return the partition of each image."""
        return [part_of(image_id, self.bits) for image_id in image_ids]
