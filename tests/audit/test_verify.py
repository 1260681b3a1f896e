"""`verify` and its self-test on a small whole run: every planted fault is named, nothing harmless is."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.audit import selftest, verify
from scripts.audit.benign_acts import ACTS, aged, cloned, commented, moved, other_key_order
from scripts.audit.copied_run import CopiedRun
from scripts.audit.findings import DIFFERENT, NOT_CHECKED, SAME, UNDECIDABLE, exit_code
from scripts.audit.planned import PlannedJob, planned_jobs
from scripts.audit.run_folder import files_below
from tests.small_run import SmallRun
from tests.workflow import write_scale

SAMPLE = 16  # kinds of fault in the quick tests, one place each


@pytest.fixture(scope="session")
def plan(small_run: SmallRun) -> list[PlannedJob]:
    scale = write_scale(small_run.base / "scale.yaml", small_run.scale)
    return planned_jobs(small_run.root / "Snakefile", small_run.folder, configfiles=[scale])


@pytest.fixture(scope="session")
def shared_copy(
    small_run: SmallRun, plan: list[PlannedJob], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CopiedRun]:
    before = states(small_run.folder)
    yield CopiedRun.make(small_run.folder, tmp_path_factory.mktemp("copy") / "run", small_run.root, plan)
    assert states(small_run.folder) == before, "the self-test changed the run that it copied"


@pytest.fixture
def copy(shared_copy: CopiedRun) -> Iterator[CopiedRun]:
    yield shared_copy
    shared_copy.undo()


def states(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files_below(folder / "results")}


def test_a_run_as_it_is_verifies(copy: CopiedRun) -> None:
    found = copy.verify()
    assert exit_code(found) == 0
    assert [each.text for each in found if each.verdict not in (SAME, NOT_CHECKED)] == []
    checks = {each.check for each in found if each.verdict == SAME}
    assert checks >= {
        "records", "integrity", "strays", "lineage", "seal", "code", "configuration", "accounting", "shards",
        "evidence", "traces",
    }  # fmt: skip


@pytest.mark.parametrize("number", range(SAMPLE))
def test_planted_faults_are_named(copy: CopiedRun, number: int) -> None:
    fault = selftest.FAULTS[number * len(selftest.FAULTS) // SAMPLE]
    expected, found = selftest.plant(copy, fault, selftest.draw_of(7, fault.__name__, 0))
    assert expected is not None
    assert selftest.caught(expected, found), [each.text for each in found if each.verdict != SAME]
    assert exit_code(found) == 1


@pytest.mark.parametrize("act", [aged, cloned, moved, other_key_order, commented])
def test_harmless_acts_raise_no_alarm(copy: CopiedRun, act: object) -> None:
    (finding,) = selftest.try_acts(copy, [act], 1, 7)  # type: ignore[list-item]
    assert finding.verdict == SAME, finding.text


def test_flipped_bits_are_found(copy: CopiedRun) -> None:
    found = list(selftest.try_flips(copy, 20, 7))
    assert len(found) == 20
    assert {each.verdict for each in found} == {SAME}


def test_the_self_test_says_what_is_missed(copy: CopiedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    # An audit that finds nothing must not pass its own test.
    monkeypatch.setattr(selftest.integrity, "check_integrity", lambda run: iter(()))
    (fault, *_) = selftest.try_faults(copy, selftest.FAULTS[:1], 1, 7)
    assert fault.verdict == DIFFERENT and "does not name it" in fault.text
    assert {each.verdict for each in selftest.try_flips(copy, 3, 7)} == {DIFFERENT}


@pytest.mark.slow
def test_the_full_self_test(copy: CopiedRun) -> None:
    faults = list(selftest.try_faults(copy, selftest.FAULTS, 5, 0))
    assert len(faults) >= 150 and {each.verdict for each in faults} == {SAME}
    acts = list(selftest.try_acts(copy, ACTS, 2, 0))
    assert len(acts) >= 30 and {each.verdict for each in acts} == {SAME}
    assert {each.verdict for each in selftest.try_flips(copy, 500, 0)} == {SAME}


def test_a_changed_file_has_no_heirs_and_its_tables_are_not_believed(copy: CopiedRun) -> None:
    path = "results/filter/select.parquet"
    copy.write(path, copy.bytes_of(path)[:-1])
    found = copy.verify()
    (broken,) = [each for each in found if each.verdict == DIFFERENT]
    assert (broken.check, broken.subject) == ("integrity", path)
    undecided = [each for each in found if each.verdict == UNDECIDABLE]
    assert undecided and {each.inherited for each in undecided} == {path}


def test_what_rests_on_another_code_is_inherited(copy: CopiedRun, tmp_path: Path) -> None:
    place = copy.edited_checkout(tmp_path / "code") / "scripts/filter/select.py"
    place.write_text(place.read_text() + "\nPLANTED = 1\n")
    found = [each for each in copy.verify(["configuration"]) if each.verdict == DIFFERENT]
    assert [each.subject for each in found if not each.inherited] == ["results/filter/select.parquet"]
    assert "scripts/filter/select.py" in found[0].cause
    heirs = {each.subject for each in found if each.inherited == "results/filter/select.parquet"}
    assert "results/report/index.html" in heirs and "results/filter/judge/0.parquet" not in heirs


def command(*arguments: str, folder: Path, root: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "scripts.audit.verify", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_needs_no_snakemake_and_compares_the_published_seal(copy: CopiedRun, tmp_path: Path) -> None:
    flags = ["--run", str(copy.folder), "--checkout", str(copy.checkout), "--report", str(tmp_path / "report")]
    flags += ["--leave-out", "configuration", "--recorded-seal"]
    seal = json.loads(copy.bytes_of("records/seal.json"))["seal"]
    assert verify.main([*flags, seal]) == 0
    assert verify.main([*flags, "0" * 64]) == 1
    told = json.loads((tmp_path / "report/verify.json").read_text())
    assert "the published one is 0000000000000000" in told["verdict"]
    assert told["facts"]["left out on request"] == "configuration"


def test_without_records_the_audit_fails_itself(tmp_path: Path, small_run: SmallRun) -> None:
    ended = command("--run", str(tmp_path), folder=tmp_path, root=small_run.root)
    assert ended.returncode == 3, ended.stderr
    assert "has no records/" in ended.stderr and "Traceback" not in ended.stderr


def test_without_snakemake_the_configuration_is_not_checked(copy: CopiedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify.importlib.util, "find_spec", lambda name: None)
    (finding,) = verify.planned_findings(copy.read(), copy.checkout, [], {}, [])
    assert (finding.verdict, finding.exempt) == (NOT_CHECKED, False)


@pytest.mark.whole
def test_the_target_makes_nothing_before_it_looks(small_run: SmallRun, tmp_path: Path) -> None:
    place = small_run.copied(tmp_path / "run")
    lost = place.folder / "results/report/funnel.json"
    lost.unlink()
    ended = place.snakemake("--cores", "1", "audit")
    assert ended.returncode != 0
    assert not lost.exists()
    told = json.loads((place.folder / "results/audit/verify.json").read_text())
    assert told["exit_code"] == 1
    assert "results/report/funnel.json is missing" in told["verdict"]
    assert {each["check"]: each["verdict"] for each in told["findings"]}["configuration"] == "same"
