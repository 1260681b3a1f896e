"""`inspect_images` from the tar and status of `download` to the table of measurements."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from scripts.curate import inspect_images
from scripts.curate.settings import InspectImagesSettings
from scripts.lib.errors import UserError
from scripts.lib.files import table_of, write_table
from scripts.lib.recipe import write_recipe
from scripts.lib.tables import DOWNLOADS, INSPECTIONS
from scripts.lib.tars import TarWriter
from tests.curate.decoding import encoded
from tests.lib.test_perceptual_hash import picture

LIMITS = InspectImagesSettings(
    max_pixels=2_000_000, max_bytes=3_000_000, cpu_seconds=10.0, timeout_seconds=20.0, memory_mb=512
)
FILES = {
    "good": encoded(picture(1)),
    "flat": encoded(Image.new("RGB", (64, 64), (200, 0, 0)), "PNG"),
    "half": encoded(picture(2))[:3000] + b"\xff\xd9",
    "gif": encoded(picture(3), "GIF"),
}


def downloaded(folder: Path) -> tuple[Path, Path]:
    """Write the tar and status table of one partition, with a photo that was not found."""
    rows: list[dict[str, Any]] = []
    with TarWriter(folder / "0.tar") as tar:
        for index, (image_id, content) in enumerate(FILES.items()):
            member = tar.add(f"{image_id}.jpg", content)
            row: dict[str, Any] = {"image_id": image_id, "source": "s", "file": "s-000", "row": index}
            row |= {"reason": "", "detail": "", "address": "", "member": member.name, "offset": member.offset}
            rows.append(row | {"size": member.size, "sha256": hashlib.sha256(content).hexdigest()})
    rows.append(rows[0] | {"image_id": "lost", "reason": "not_found", "offset": None, "size": None, "sha256": ""})
    write_table(folder / "0.parquet", table_of(rows, DOWNLOADS))
    return folder / "0.tar", folder / "0.parquet"


def run(tar: Path, status: Path, out: Path) -> None:
    recipe = write_recipe(LIMITS)
    inspect_images.main(["--recipe", recipe, "--tar", str(tar), "--status", str(status), "--out", str(out)])


def test_each_downloaded_image_has_a_row(tmp_path: Path) -> None:
    tar, status = downloaded(tmp_path)
    run(tar, status, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.equals(INSPECTIONS)
    rows = {row["image_id"]: row for row in table.to_pylist()}
    assert {name: row["reason"] for name, row in rows.items()} == {
        "good": "",
        "flat": "",
        "half": "undecodable",
        "gif": "unsupported_format",
    }
    assert (rows["good"]["width"], rows["good"]["height"], rows["good"]["format"]) == (240, 160, "JPEG")
    assert rows["flat"]["colour_std"] == 0.0
    assert rows["half"]["sha256"] == hashlib.sha256(FILES["half"]).hexdigest()
    assert rows["gif"]["phash"] is None


def test_same_bytes_again(tmp_path: Path) -> None:
    tar, status = downloaded(tmp_path)
    for name in ("a", "b"):
        run(tar, status, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_tar_that_was_changed_is_an_error(tmp_path: Path) -> None:
    tar, status = downloaded(tmp_path)
    content = bytearray(tar.read_bytes())
    content[600] ^= 1
    tar.write_bytes(content)
    with pytest.raises(UserError, match=r"does not hold the bytes of good\.jpg"):
        run(tar, status, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_empty_partition(tmp_path: Path) -> None:
    with TarWriter(tmp_path / "0.tar"):
        pass
    write_table(tmp_path / "0.parquet", DOWNLOADS.empty_table())
    run(tmp_path / "0.tar", tmp_path / "0.parquet", tmp_path / "out.parquet")
    assert len(pq.read_table(tmp_path / "out.parquet")) == 0
