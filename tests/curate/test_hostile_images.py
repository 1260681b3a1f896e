"""The step on files that are made to break decoders: no crash, no hang, little memory, one reason for each file."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from scripts.config import load_config
from scripts.curate.decode_pool import DecodePool
from scripts.curate.settings import InspectImagesSettings
from scripts.lib.files import table_of, write_table
from scripts.lib.reasons import InspectionReason
from scripts.lib.recipe import write_recipe
from scripts.lib.tables import DOWNLOADS
from scripts.lib.tars import TarWriter
from tests.conftest import ROOT
from tests.curate.decoding import LIMITS, encoded, slow_jpeg
from tests.lib.test_perceptual_hash import picture
from tests.wiring.test_config import merged

Files = Iterable[tuple[str, bytes]]
END = b"\xff\xd9"


def shipped_limits() -> InspectImagesSettings:
    return load_config(merged()).curate.inspect_images


def members(shared: Path) -> Iterator[tuple[str, bytes]]:
    for path in [*sorted(shared.glob("hostile_*.tar")), shared / "near_duplicates.tar"]:
        with tarfile.open(path) as tar:
            for member in tar:
                handle = tar.extractfile(member) if member.isreg() else None
                if handle is not None:
                    yield f"{path.stem}-{member.name}", handle.read()


def cuts(name: str, content: bytes, step: int = 1) -> Iterator[tuple[str, bytes]]:
    for percent in range(1, 100, step):
        for end in (b"", END):
            yield f"cut-{name}-{percent}-{len(end)}", content[: len(content) * percent // 100] + end


def downloaded(folder: Path, files: Files) -> list[str]:
    """Write the tar and status table of a partition with these files; return the names in its order."""
    rows: list[dict[str, Any]] = []
    with TarWriter(folder / "0.tar") as tar:
        for index, (name, content) in enumerate(files):
            member = tar.add(f"{index}.jpg", content)
            row: dict[str, Any] = {"image_id": name, "source": "s", "file": "s-000", "row": index, "reason": ""}
            row |= {"detail": "", "address": "", "member": member.name, "offset": member.offset, "size": member.size}
            rows.append(row | {"sha256": hashlib.sha256(content).hexdigest()})
    write_table(folder / "0.parquet", table_of(rows, DOWNLOADS))
    return [row["image_id"] for row in rows]


def inspected(folder: Path, workers: int, limits: InspectImagesSettings) -> tuple[Path, int]:
    """Run the step as a process; return its table and the largest worker in MB."""
    out = folder / f"{workers}.parquet"
    command = [sys.executable, "-m", "scripts.curate.inspect_images", "--recipe", write_recipe(limits)]
    command += ["--tar", str(folder / "0.tar"), "--status", str(folder / "0.parquet")]
    done = subprocess.run(
        [*command, "--threads", str(workers), "--out", str(out)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = re.search(rf"{workers} workers, \d+ processes started, largest (\d+) MB", done.stderr)
    assert found is not None, done.stderr
    return out, int(found[1])


def check_step(folder: Path, files: Files, limits: InspectImagesSettings) -> Counter[str]:
    """Demand of the step what the guard promises; return how often each reason came."""
    names = downloaded(folder, files)
    (one, peak), (two, other_peak) = (inspected(folder, workers, limits) for workers in (1, 2))
    assert one.read_bytes() == two.read_bytes()
    assert 0 < peak < 300
    assert 0 < other_peak < 300
    rows = pq.read_table(one).to_pylist()
    assert [row["image_id"] for row in rows] == names  # each file has one row, in order
    reasons = Counter(row["reason"] for row in rows)
    assert reasons.keys() <= {"", *(str(reason) for reason in InspectionReason)}
    assert not reasons["decoder_crash"]
    cut = [row for row in rows if row["image_id"].startswith("cut-")]
    assert cut
    assert all(row["reason"] for row in cut)
    for row in rows:  # a usable image has all its measurements, an unusable one none of these
        assert all((row[name] is None) == bool(row["reason"]) for name in ("colour_std", "phash", "miniature"))
    return reasons


def test_sample_of_hostile_files(shared: Path, tmp_path: Path) -> None:
    sample = (item for index, item in enumerate(members(shared)) if index % 20 == 0)
    made = [*cuts("made", encoded(picture(3, 320, 240), quality=90), 9), ("slow", slow_jpeg(20_000))]
    limits = shipped_limits().model_copy(update={"cpu_seconds": 1.0})
    reasons = check_step(tmp_path, [made.pop(), *sample, *made], limits)
    assert reasons["decoder_timeout"] == 1
    assert reasons["unsupported_format"] > reasons["undecodable"] >= len(made)
    assert reasons[""] > 30


@pytest.mark.slow
def test_all_hostile_files_and_all_cuts(shared: Path, tmp_path: Path) -> None:
    photos = sorted((shared / "photos").iterdir())[::50]
    cut = [item for path in photos for item in cuts(path.stem, path.read_bytes())]
    reasons = check_step(tmp_path, [*members(shared), *cut], shipped_limits())
    assert reasons.total() > 1900 + len(cut) > 5000
    assert not reasons["decoder_timeout"]  # that is, none takes the 4 s of processor time


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_answers_come_in_the_order_of_the_questions(workers: int) -> None:
    quick, slow, broken = encoded(picture(1)), encoded(picture(2, 1400, 1400)), b"\xff\xd8\xff\xd9"
    files = [slow, quick, broken, quick, slow, quick, broken, slow, quick, quick, broken, slow]
    with DecodePool(LIMITS, workers) as pool:
        answers = list(pool.measure(enumerate(files)))
    assert [number for number, _ in answers] == list(range(len(files)))
    by_content = {content: measured for content, (_, measured) in zip(files, answers, strict=True)}
    assert len(set(by_content.values())) == 3
    assert all(by_content[content] == measured for content, (_, measured) in zip(files, answers, strict=True))
    assert 1 <= pool.starts <= workers
    assert pool.peak_mb > 20


def test_images_are_not_all_read_ahead() -> None:
    read = 0

    def images() -> Iterator[tuple[int, bytes]]:
        nonlocal read
        for read in range(1, 101):
            yield read, encoded(picture(1))

    with DecodePool(LIMITS, 2) as pool:
        for number, _ in pool.measure(images()):
            assert read <= number + 5


def test_an_error_while_reading_ends_the_workers() -> None:
    def images() -> Iterator[tuple[int, bytes]]:
        yield 1, encoded(picture(1))
        raise OSError("the disk is gone")

    with DecodePool(LIMITS, 2) as pool, pytest.raises(OSError, match="the disk is gone"):
        list(pool.measure(images()))
    assert all(guard._worker is None for guard in pool.guards)
