"""`download` on a disk that fills up: one paragraph, and it goes on when there is room."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.curate.settings import HttpStore
from scripts.curate.spool import Spool
from scripts.curate.stores import Candidate, Outcome
from scripts.lib.errors import UserError
from tests.conftest import ROOT
from tests.curate.download_run import Run, candidates, yfcc
from tests.curate.photo_server import PhotoServer
from tests.lib.small_disk import small_disk

SOURCE = yfcc(HttpStore(url="{download_url}"))


def start(flags: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.curate.download", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("room", [200_000, 900_000])  # for some of the photos; for all, but not for the tar as well
def test_download_goes_on_when_there_is_room_again(room: int, server: PhotoServer, tmp_path: Path) -> None:
    images = [(f"i{index:03d}", f"{server.base}/own-{index}") for index in range(150)]
    table = candidates(tmp_path / "c.parquet", images)
    undisturbed = Run(tmp_path)
    undisturbed([table], SOURCE)
    assert 500_000 < undisturbed.tar.stat().st_size < 600_000
    server.requests.clear()
    with small_disk(room) as disk:
        run = Run(disk.path)
        flags = run.flags([table], SOURCE)
        first = start(flags)
        text = " ".join(first.stderr.split())
        assert first.returncode == 1, text
        assert "ERROR: " in text
        assert "Traceback" not in text
        assert "No space left on device" in text or "bytes could be written" in text
        assert "run again" in text
        assert not run.tar.exists()
        if room < 500_000:
            again = start(flags)  # nobody made room
            assert again.returncode == 1
            assert "Traceback" not in again.stderr
        disk.resize(10_000_000)
        last = start(flags)
        assert last.returncode == 0, last.stderr
        assert run.tar.read_bytes() == undisturbed.tar.read_bytes()
        assert run.status.read_bytes() == undisturbed.status.read_bytes()
    asked = [path for path, _ in server.requests if path.startswith("/own")]
    assert len(asked) < 150 + 100  # what had been written was not asked for again


def test_a_spool_survives_every_length_of_a_last_write(tmp_path: Path) -> None:
    """The disk filled up in the middle of the bytes or of the journal's line, at any byte."""
    first, second = Candidate("a", "s", "", ""), Candidate("b", "s", "", "")
    with Spool(tmp_path / "spool", "recipe") as spool:
        spool.add(first, Outcome("", content=b"first"))
        spool.add(second, Outcome("", content=b"second"))
    whole: dict[str, Any] = {name: (tmp_path / "spool" / name).read_bytes() for name in ("journal", "bytes")}
    start_of_last = whole["journal"].rindex(b"\n", 0, -1) + 1
    for cut in range(start_of_last, len(whole["journal"])):
        (tmp_path / "spool" / "journal").write_bytes(whole["journal"][:cut])
        (tmp_path / "spool" / "bytes").write_bytes(whole["bytes"])
        with Spool(tmp_path / "spool", "recipe") as spool:
            assert len(spool) == 1
            again = spool.add(second, Outcome("", content=b"second"))
            assert spool.read(again) == b"second"
        assert {name: (tmp_path / "spool" / name).read_bytes() for name in whole} == whole


def test_a_write_that_takes_only_a_part(tmp_path: Path) -> None:
    with small_disk(100_000) as disk, Spool(disk.path / "spool", "recipe") as spool:
        kept = spool.add(Candidate("a", "s", "", ""), Outcome("", content=b"x" * 50_000))
        with pytest.raises(UserError, match=r"cannot be written.*twice the size"):
            spool.add(Candidate("b", "s", "", ""), Outcome("", content=b"y" * 80_000))
        assert spool.read(kept) == b"x" * 50_000
