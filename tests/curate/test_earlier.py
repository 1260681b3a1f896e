"""The failed photos of a finished partition, asked for again alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.curate.earlier import before
from scripts.curate.settings import HttpStore
from scripts.lib.errors import UserError
from tests.curate.download_run import Run, candidates, yfcc
from tests.curate.photo_server import PhotoServer

SOURCE = yfcc(HttpStore(url="{download_url}"))


def rename(run: Run) -> None:
    for path in (run.tar, run.status):
        path.rename(before(path))


def test_only_what_failed_is_asked_for_again(
    server: PhotoServer, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["own-1", "own-2", "missing", "html", "error", "short", "noai"]
    images = [(name, f"{server.base}/{name}") for name in names] + [("own-1", f"{server.base}/own-1")]
    table = candidates(tmp_path / "c.parquet", images)
    first = {row["row"]: row for row in run([table], SOURCE)}
    assert "2 photos may come at another time" in caplog.text
    rename(run)
    server.requests.clear()
    # Another policy is no hindrance: who asks again may well want to wait longer.
    second = {row["row"]: row for row in run([table], SOURCE, timeout_seconds=9.0, obey=("x_robots_tag",))}
    assert {path for path, _ in server.requests} == {"/error", "/short"}
    assert second == first
    rename(run)
    server.rules.clear()
    with run.status.with_name("0.parquet.before").open("rb") as handle:
        assert handle.read(4) == b"PAR1"
    third = run([table], SOURCE)
    assert [row["reason"] for row in third].count("") == 2


def test_damaged_bytes_are_asked_for_again(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    table = candidates(tmp_path / "c.parquet", [(f"p{index}", f"{server.base}/own-{index}") for index in range(3)])
    rows = run([table], SOURCE)
    intact = run.tar.read_bytes()
    rename(run)
    with before(run.tar).open("r+b") as handle:
        handle.seek(rows[1]["offset"] + 5)
        handle.write(b"XX")
    server.requests.clear()
    run([table], SOURCE)
    assert [path for path, _ in server.requests if path.startswith("/own")] == ["/own-1"]
    assert run.tar.read_bytes() == intact


def test_rows_of_other_tables_are_not_taken_over(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    table = candidates(tmp_path / "c.parquet", [("a", f"{server.base}/own-a"), ("b", f"{server.base}/own-b")])
    run([table], SOURCE)
    rename(run)
    server.requests.clear()
    other = candidates(tmp_path / "d.parquet", [("b", f"{server.base}/own-other")])  # row 1, not 2
    (row,) = run([other], SOURCE)
    assert row["address"] == f"{server.base}/own-other"


def test_one_file_without_the_other(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    table = candidates(tmp_path / "c.parquet", [("a", f"{server.base}/own-a")])
    run([table], SOURCE)
    run.tar.rename(before(run.tar))
    with pytest.raises(UserError, match=r"0\.tar\.before is here without its companion"):
        run([table], SOURCE)
