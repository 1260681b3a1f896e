"""A full disk and its kin end a step with one paragraph, whoever met them."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.lib.disk import disk_problem, name_path
from scripts.lib.files import write_bytes
from tests.conftest import ROOT
from tests.lib.small_disk import small_disk

STEPS = {
    "table": "import pyarrow as pa; write_table(out, pa.table({'a': [os.urandom(99) for _ in range(90_000)]}))",
    "bytes": "write_bytes(out, bytes(9_000_000))",
    "csv": "write_csv(out, ['a'], ([str(index)] for index in range(2_000_000)))",
    "tar": "from scripts.lib.tars import TarWriter\n    with TarWriter(out) as tar:\n"
    "        for index in range(90): tar.add(f'{index}', bytes(99_999))",
    "sqlite": "import sqlite3; base = sqlite3.connect(out); base.execute('CREATE TABLE a (b)')\n"
    "    base.executemany('INSERT INTO a VALUES (?)', ((bytes(9999),) for _ in range(900))); base.commit()",
    "safetensors": "import numpy; from safetensors.numpy import save_file; save_file({'a': numpy.ones(9**7)}, out)",
}
STEP = """
import os, sys
from pathlib import Path
from scripts.lib.files import write_bytes, write_csv, write_table
from scripts.lib.step import run_step

def main(argv=None):
    out = Path(sys.argv[1])
    {body}

run_step(main)
"""


def run(body: str, out: Path, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    def lower() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-c", STEP.format(body=body), str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lower,
    )


@pytest.fixture
def small() -> Iterator[Path]:
    with small_disk(2_000_000) as disk:
        yield disk.path


@pytest.mark.parametrize("kind", STEPS)
def test_a_full_disk_is_one_paragraph(kind: str, small: Path) -> None:
    result = run(STEPS[kind], small / "out")
    text = " ".join(result.stderr.split())
    assert result.returncode == 1
    assert "Traceback" not in text
    assert text.startswith("ERROR: ")
    assert "the disk is full" in text
    assert "run again" in text
    if kind in ("table", "bytes", "csv"):
        assert str(small / "out") in text
        assert list(small.iterdir()) == []  # what was half-written gave its room back


@pytest.mark.parametrize("kind", ["table", "bytes", "csv", "tar"])
def test_a_limit_on_file_sizes_is_one_paragraph(kind: str, tmp_path: Path) -> None:
    result = run(STEPS[kind], tmp_path / "out", limit=1_000_000)
    text = " ".join(result.stderr.split())
    assert result.returncode == 1
    assert "Traceback" not in text
    assert "a file may not become so large there" in text
    assert "ulimit -f" in text


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("write_bytes(out, b'x')", Path("/proc/unpeopled/out"))
    assert result.returncode == 1  # FileNotFoundError or PermissionError, by the kernel
    error = OSError(errno.EACCES, "Permission denied", str(tmp_path / "out"))
    assert "Change owner or mode" in (disk_problem(error) or "")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/results/x"), "/results/x cannot be used: the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "a file of this step cannot be used: the disk quota"),
        (OSError(errno.EROFS, "Read-only file system", b"/r"), "/r cannot be used: the file system is read-only"),
        (OSError(errno.EIO, "Input/output error", "/r"), "input/output error"),
        (OSError(errno.EMFILE, "Too many open files", "/r"), "ulimit -n"),
        (sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "the disk is full"),
    ],
)
def test_errors_that_the_disk_is_to_blame_for(error: Exception, text: str) -> None:
    assert text in (disk_problem(error) or "")


def test_a_wrapped_error() -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as inner:
            raise ValueError("the writer failed") from inner
    except ValueError as outer:
        assert "the disk is full" in (disk_problem(outer) or "")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        PermissionError(errno.EACCES, "Permission denied"),  # of a socket: no path
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"),
    ],
)
def test_other_errors_keep_their_traceback(error: Exception) -> None:
    assert disk_problem(error) is None


def test_a_path_is_named_once() -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    name_path(error, Path("/a"))
    name_path(error, Path("/b"))
    assert error.filename == "/a"
    other = OSError(errno.ECONNRESET, "reset")
    name_path(other, "/a")
    assert other.filename is None


def test_the_old_file_stays_when_the_new_one_does_not_fit(small: Path) -> None:
    write_bytes(small / "x", b"old")
    with pytest.raises(OSError, match="No space left on device"):
        write_bytes(small / "x", bytes(9_000_000))
    assert (small / "x").read_bytes() == b"old"
    assert [path.name for path in small.iterdir()] == ["x"]
