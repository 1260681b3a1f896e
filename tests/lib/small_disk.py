"""A file system that is really full: a small tmpfs, where this process may mount one."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class SmallDisk:
    """A mounted tmpfs."""

    path: Path

    def resize(self, size: int) -> None:
        """Give it another size, in bytes."""
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.path)], check=True, capture_output=True)


@contextmanager
def small_disk(size: int) -> Iterator[SmallDisk]:
    """Mount a tmpfs of `size` bytes; the test is skipped where that is not allowed."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            mounted = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder],
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            pytest.skip(f"no small file system can be mounted: {error}")
        if mounted.returncode:
            pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
        try:
            yield SmallDisk(Path(folder))
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True, capture_output=True)
