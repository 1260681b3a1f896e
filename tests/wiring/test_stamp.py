"""The stamp of data from outside: content, not time or place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from scripts.plan.outside import stamp


def test_a_stamp_sees_other_bytes_of_equal_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for size in (10, 3_000_000):
        path.write_bytes(b"x" * size)
        os.utime(path, (1, 1))
        before = stamp([str(path)])
        for place in (0, size - 1):
            other = bytearray(b"x" * size)
            other[place] = ord("y")
            copy = tmp_path / f"{size}-{place}"
            copy.write_bytes(other)
            os.utime(copy, (1, 1))
            assert stamp([str(copy)]) != before


def test_a_moved_or_touched_file_keeps_its_stamp(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"photo")
    before = stamp([str(tmp_path / "a")])
    shutil.move(tmp_path / "a", tmp_path / "b")
    os.utime(tmp_path / "b", (5, 5))
    assert stamp([str(tmp_path / "b")]) == before
    assert stamp([str(tmp_path / "a")]) != before  # it is gone


def test_what_a_rule_makes_and_nothing_have_no_stamp(tmp_path: Path) -> None:
    assert stamp([]) == stamp(["", "results/curate/plant_hazards/store.tar"])
