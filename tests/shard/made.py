"""Small parts of downloads and a selection of them, made for the tests of this folder."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from scripts.lib.files import table_of, write_table
from scripts.lib.identity import part_of
from scripts.lib.tables import DOWNLOADS, SELECTION
from scripts.lib.tars import TarWriter
from tests.lib.made_embedded import exif_block, exif_segment, mwg_regions, segment, with_segments, xmp_segment

BITS = 1  # two parts


def picture(seed: int, kind: str = "JPEG", size: tuple[int, int] = (40, 30)) -> bytes:
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


@dataclass
class MadeParts:
    folder: Path
    rows: list[dict[str, object]] = field(default_factory=list)  # of SELECTION
    contents: dict[str, bytes] = field(default_factory=dict)
    parts: tuple[str, ...] = ("0", "1")

    @property
    def selection(self) -> Path:
        return self.folder / "select.parquet"

    def tars(self) -> list[str]:
        return [str(self.folder / f"{part}.tar") for part in self.parts]

    def statuses(self) -> list[str]:
        return [str(self.folder / f"{part}.parquet") for part in self.parts]

    def write_selection(self) -> None:
        rows = sorted(self.rows, key=lambda row: (row["part"], row["image_id"], row["row"]))
        write_table(self.selection, table_of(rows, SELECTION))


def with_secrets(content: bytes) -> bytes:
    """Return the same JPEG with a position, a maker note, a thumbnail, a tagged face, a comment and a tail."""
    tiff = exif_block(gps=True, maker_note=b"secret", thumbnail=picture(99, size=(32, 24)))
    segments = exif_segment(tiff), xmp_segment(mwg_regions("Face")), segment(0xFE, b"secret")
    return with_segments(content, *segments) + b"secret"


def selected(number: int, content: bytes, **changes: object) -> dict[str, object]:
    image_id = hashlib.md5(f"image {number}".encode()).hexdigest()
    row: dict[str, object] = {
        "image_id": image_id,
        "source": "made",
        "file": "made-000",
        "row": number,
        "part": part_of(image_id, BITS),
        "keep": True,
        "reason": "",
        "evidence": "",
        "photo_id": str(number),
        "creator_id": f"{number % 3}@N00",
        "creator": f"Maker {number % 3}",
        "title": f"Title {number}",
        "page_url": f"https://example.org/{number}",
        "download_url": f"https://example.org/{number}.jpg",
        "licence": "CC-BY-2.0",
        "licence_name": "Attribution License",
        "licence_url": "http://creativecommons.org/licenses/by/2.0/",
        "date_taken": "2012-08-09 18:00:20.0",
        "latitude": None,
        "longitude": None,
        "capture_device": "",
        "width": 40,
        "height": 30,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return {**row, **changes}


def make_parts(
    folder: Path, count: int = 12, drop: tuple[int, ...] = (3, 7), secret: tuple[int, ...] = ()
) -> MadeParts:
    """`count` images in two parts, of which those numbered in `drop` are not kept; number 5 is a PNG.

    Those numbered in `secret` carry metadata.
    """
    made = MadeParts(folder)
    for number in range(count):
        content = picture(number, "PNG" if number == 5 else "JPEG")
        content = with_secrets(content) if number in secret else content
        changes = {"keep": False, "reason": "face", "evidence": "x"} if number in drop else {}
        row = selected(number, content, **changes)
        made.rows.append(row)
        made.contents[str(row["image_id"])] = content
    for part in ("0", "1"):
        downloads = []
        with TarWriter(folder / f"{part}.tar") as tar:
            for row in made.rows:
                if row["part"] != part:
                    continue
                image_id = str(row["image_id"])
                # A second candidate row names the same image: it has no bytes and must not be mistaken for the first.
                repeated = {"reason": "repeated_id", "member": "", "offset": -1, "size": 0, "sha256": "", "row": 1000}
                member = tar.add(f"{image_id}.bin", made.contents[image_id])
                common = {
                    "image_id": image_id,
                    "source": "made",
                    "file": "made-000",
                    "detail": "",
                    "address": "x",
                }
                stored = {"reason": "", "member": member.name, "offset": member.offset, "size": member.size}
                downloads.append({**common, **stored, "row": row["row"], "sha256": row["sha256"]})
                downloads.append({**common, **repeated})
        write_table(folder / f"{part}.parquet", table_of(downloads, DOWNLOADS))
    made.write_selection()
    return made
