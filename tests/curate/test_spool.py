"""A killed download goes on from its spool, and from nothing else."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from scripts.curate.settings import (
    HttpStore,
)
from scripts.curate.spool import Spool
from scripts.curate.stores import Candidate, Outcome
from scripts.lib.errors import UserError
from tests.curate.download_run import Run, candidates, yfcc
from tests.curate.photo_server import PhotoServer, photo_server


def test_killed_download_goes_on_from_its_spool(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    """The first process settles what it can reach and dies of the rest; the second fetches the rest alone."""
    with photo_server() as closed:
        base = closed.base
    images = [("a", f"{server.base}/photo-a"), ("b", f"{server.base}/missing-b"), ("c", f"{base}/c")]
    table = candidates(tmp_path / "c.parquet", images)
    source = yfcc(HttpStore(url="{download_url}"))
    with pytest.raises(UserError, match="1 of 3"):
        run([table], source, max_failed_share=0.1)
    journal = run.tar.with_name("0.tar.spool") / "journal"
    with journal.open("ab") as handle:
        handle.write(b'{"key": "half a li')
    with (journal.parent / "bytes").open("ab") as handle:
        handle.write(b"bytes without a line")
    with pytest.raises(UserError, match="1 of 3"):
        run([table], source, max_failed_share=0.1)
    assert len(server.times("/photo-a")) == len(server.times("/missing-b")) == 1
    # Another recipe (here: another share) starts anew.
    rows = run([table], source, max_failed_share=0.9)
    assert [row["reason"] for row in rows] == ["", "not_found", "download_failed"]
    assert len(server.times("/photo-a")) == 2


def test_spool_drops_entries_whose_bytes_are_damaged(tmp_path: Path) -> None:
    first, second = Candidate("a", "s", "", ""), Candidate("b", "s", "", "")
    with Spool(tmp_path / "spool", "recipe") as spool:
        spool.add(first, Outcome("", content=b"first"))
        spool.add(second, Outcome("", content=b"second"))
    with (tmp_path / "spool" / "bytes").open("r+b") as handle:
        handle.seek(7)
        handle.write(b"X")
    with Spool(tmp_path / "spool", "recipe") as spool:
        kept = spool.get(first)
        assert kept is not None
        assert spool.read(kept) == b"first"
        assert spool.get(second) is None
        again = spool.add(second, Outcome("", content=b"second"))
        assert (again.offset, spool.read(again)) == (5, b"second")


def test_spool_is_for_one_process(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", "recipe"):
        with (tmp_path / "spool" / "journal").open("ab") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(UserError, match="another process"):
            Spool(tmp_path / "spool", "recipe")
