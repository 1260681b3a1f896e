"""The seal: what it holds, and that it is the tree that RFC 6962 describes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from scripts.lib.records import write_record
from scripts.lib.seal import closure, merkle_root, seal_of, seal_run


def record(out: str, *inputs: str, **more: object) -> dict:
    return {
        "format": 1,
        "step": "sums.add",
        "values": {"recipe": {"seed": 1}},
        "code": {"text": "01 sums.add env:data:2", "files": {}},
        "inputs": [{"flag": "in", "path": f"results/{name}", "sha256": f"of {name}"} for name in inputs],
        "outputs": [{"flag": "out", "path": f"results/{out}", "sha256": f"of {out}"}],
        **more,
    }


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three jobs in a row, and one that nothing rests on."""
    monkeypatch.chdir(tmp_path)
    for each in (record("a"), record("b", "a"), record("c", "b", "a"), record("stray", "a")):
        write_record(each)
    return tmp_path


def test_a_tree_of_three_leaves_by_hand() -> None:
    def digest(*parts: bytes) -> bytes:
        return hashlib.sha256(b"".join(parts)).digest()

    left = digest(b"\x01", digest(b"\x00", b"a"), digest(b"\x00", b"b"))
    assert merkle_root([b"a", b"b", b"c"]) == digest(b"\x01", left, digest(b"\x00", b"c"))
    assert merkle_root([]) == digest()


def test_the_closure_is_what_the_targets_rest_on(run: Path) -> None:
    assert list(closure(["c"]).jobs) == ["a", "b", "c"]
    assert closure(["c", "d"]).unrecorded == ("d",)


@pytest.mark.parametrize(
    "change",
    [
        {"values": {"recipe": {"seed": 2}}},
        {"code": {"text": "02 sums.add env:data:2", "files": {}}},
        {"step": "sums.subtract"},
        {"inputs": [{"flag": "in", "path": "results/a", "sha256": "of another a"}]},
        {"outputs": [{"flag": "out", "path": "results/b", "sha256": "of another b"}]},
    ],
    ids=["recipe", "code", "step", "input", "output"],
)
def test_the_seal_sees(change: dict, run: Path) -> None:
    before = seal_of(closure(["c"]).jobs)
    write_record(record("b", "a", **change))
    assert seal_of(closure(["c"]).jobs) != before


def test_the_seal_does_not_see_time_machine_and_what_varies(run: Path) -> None:
    before = seal_of(closure(["c"]).jobs)
    write_record(record("b", "a", circumstances={"host": "another", "started": "later"}, identity="x"))
    assert seal_of(closure(["c"]).jobs) == before
    varying = [{"flag": "out", "path": "results/b", "sha256": sha, "varying": True} for sha in ("1", "2")]
    seals = set()
    for each in varying:
        write_record(record("b", "a", outputs=[each]))
        seals.add(seal_of(closure(["c"]).jobs))
    assert len(seals) == 1


def test_a_run_is_sealed_only_whole(run: Path) -> None:
    line = seal_run(["results/c"])
    sealed = json.loads((run / "records/seal.json").read_text())
    assert line is not None and sealed["seal"] in line
    assert (sealed["jobs"], sealed["targets"]) == (3, ["c"])
    (run / "records/a.json").unlink()
    assert seal_run(["results/c"]) is None
