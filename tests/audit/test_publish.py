"""What is published, what is refused, and what a stranger can check."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.audit.findings import DIFFERENT, NOT_CHECKED, SAME, exit_code
from scripts.audit.publication import PUBLISHED, SUMS, read_sums
from scripts.audit.publish import NOBODY, NotCleanError, main, publish
from scripts.audit.published_check import check_publication
from scripts.lib.errors import UserError
from scripts.lib.files import sha256_file, write_json
from scripts.lib.records import identity
from tests.audit.made_run import HOST, MadeRun
from tests.conftest import ROOT

CLEAN = (0, "All that was looked at is within its class.")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeRun:
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    return MadeRun()


@pytest.fixture
def out(run: MadeRun) -> Path:
    publish(Path(), Path("results/audit/publish"), CLEAN)
    return run.root / "results/audit/publish"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flip(path: Path, place: int = -1) -> None:
    """Change one bit of a file, and only of this name of it."""
    changed = bytearray(path.read_bytes())
    changed[place] ^= 1
    path.unlink()
    path.write_bytes(changed)


def test_the_folder_holds_the_data_the_code_and_the_records(out: Path) -> None:
    there = contents(out)
    for path in (
        "README.md", "croissant.json", "ro-crate-metadata.json", SUMS, "Snakefile", "LICENSE", "rules/shard.smk",
        "scripts/audit/publish.py", "records/seal.json", "records/filter/judge/0.parquet.json",
        "results/shard/write_shards/00000.tar", "results/shard/write_metadata/metadata.parquet",
    ):  # fmt: skip
        assert path in there, path
    assert not [path for path in there if path.startswith(("results/curate", "results/filter")) or "config" in path[:6]]
    assert not [path for path in there if path.endswith(".part")]


def test_sha256sum_agrees(out: Path) -> None:
    checked = subprocess.run(["sha256sum", "-c", "--strict", SUMS], cwd=out, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert len(checked.stdout.splitlines()) == len(contents(out)) - 1
    flip(out / "results/shard/write_shards/00001.tar", 700)
    assert subprocess.run(["sha256sum", "-c", "--quiet", SUMS], cwd=out, capture_output=True).returncode == 1


def test_the_same_run_gives_the_same_bytes(run: MadeRun, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HOME": "/elsewhere", "TZ": "Asia/Kathmandu", "USER": "else", "LANG": "C"}.items():
        monkeypatch.setenv(name, value)
    publish(Path(), run.root / "again", CLEAN)
    monkeypatch.chdir(run.root.parent)
    publish(Path("run"), run.root / "elsewhere", CLEAN)
    assert contents(out) == contents(run.root / "again") == contents(run.root / "elsewhere")


def test_it_names_no_machine_no_person_and_no_place(run: MadeRun, out: Path) -> None:
    code = ("scripts/", "rules/", "envs/", "results/", "requirements.lock", "LICENSE", "Snakefile")
    ours = {path: content.decode() for path, content in contents(out).items() if not path.startswith(code)}
    secrets = [
        HOST, "gpu-node17", "login1", str(run.root), "anna", "home of", "s3cret", "zqzq", "Chatham", "mi_NZ",
        "\"pid\"", "\"slurm\"", "\"argv\"", str(Path.home()),
    ]  # fmt: skip
    for path, text in ours.items():
        assert not [secret for secret in secrets if secret in text], path
    judged = json.loads(ours["records/filter/judge/0.parquet.json"])
    assert judged["inputs"][1]["path"] == "outside/1.csv"
    assert judged["withheld"] == ["recipe.note"]
    assert judged["circumstances"]["machine"] == 2
    assert judged["circumstances"]["hardware"]["key"] == "0a1b"


def test_a_stranger_finds_nothing_wrong(run: MadeRun, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = json.loads(Path("records/seal.json").read_text())["seal"]
    monkeypatch.chdir("/")
    seal, findings = check_publication(out, sealed)
    assert seal == sealed
    assert {finding.verdict for finding in findings} == {SAME, NOT_CHECKED}
    assert [finding.subject for finding in findings if finding.verdict == NOT_CHECKED] == [
        "curate/download/0.tar",
        "filter/judge/0.parquet",
    ]
    assert main(["--check", str(out)]) == exit_code(findings) == 2


def test_each_changed_file_is_found(out: Path) -> None:
    names = sorted(name for name in contents(out) if not name.startswith("scripts/") and name != SUMS)
    for name in [*names, "scripts/lib/seal.py"]:
        before = (out / name).read_bytes()
        flip(out / name)
        try:
            _, findings = check_publication(out)
            different = {finding.subject for finding in findings if finding.verdict == DIFFERENT}
        except UserError:
            different = {name}  # a record that is no JSON any more
        assert name in different, name
        (out / name).write_bytes(before)


def test_files_too_many_and_too_few_are_found(out: Path) -> None:
    (out / "extra").write_text("x")
    (out / "README.md").unlink()
    _, findings = check_publication(out)
    assert {each.subject for each in findings if each.verdict == DIFFERENT} == {"extra", "README.md"}


def test_a_forger_has_to_change_the_seal(out: Path) -> None:
    """A shard is exchanged; then, one after the other, all that speaks of it is made to fit."""
    quoted = json.loads((out / "records/seal.json").read_text())["seal"]
    shard, place = "results/shard/write_shards/00001.tar", out / "records/shard/write_shards/00001.tar.json"
    flip(out / shard, 700)

    def differing() -> set[str]:
        sums = {name: sha256_file(out / name) for name in read_sums(out)}
        (out / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
        return {each.check for each in check_publication(out, quoted)[1] if each.verdict == DIFFERENT}

    assert differing() == {"records"}  # the sum is not that of the record
    record = json.loads(place.read_text())
    record["outputs"][0]["sha256"] = sha256_file(out / shard)
    write_json(place, record)
    assert "seal" in differing()
    record["identity"] = identity(record)
    write_json(place, record)
    assert "seal" in differing()
    record["withheld"] = ["recipe"]
    record["identity"] = json.loads((out.parents[2] / place.relative_to(out)).read_text())["identity"]
    write_json(place, record)
    _, findings = check_publication(out, quoted)
    assert place.relative_to(out / "records").as_posix().removesuffix(".json") in {
        each.subject for each in findings if each.verdict == NOT_CHECKED
    }


@pytest.mark.parametrize("name", ["shard/write_shards/00000.tar", "shard/write_metadata/metadata.parquet",
                                  "report/funnel.json", "shard/write_card.md"])  # fmt: skip
def test_one_changed_bit_of_a_result_is_refused(name: str, run: MadeRun, out: Path) -> None:
    before = contents(out)
    flip(Path("results", name), -8)
    with pytest.raises(UserError, match="was changed after"):
        publish(Path(), out, CLEAN)
    assert contents(out) == before
    assert not list(out.parent.glob(".publish*"))


def test_one_changed_record_is_refused(run: MadeRun) -> None:
    place = Path("records/filter/select.parquet.json")
    place.write_text(place.read_text().replace('"seed": 3', '"seed": 4'))
    with pytest.raises(NotCleanError, match="but the records give the seal") as refused:
        publish(Path(), Path("out"), CLEAN)
    assert refused.value.status == 1
    place.unlink()
    with pytest.raises(NotCleanError, match=r"no record of filter/select\.parquet"):
        publish(Path(), Path("out"), CLEAN)
    Path("records/seal.json").unlink()
    with pytest.raises(NotCleanError, match="Run snakemake until it says"):
        publish(Path(), Path("out"), CLEAN)


@pytest.mark.parametrize("status", [1, 2, 3])
def test_what_does_not_verify_is_refused(status: int, run: MadeRun) -> None:
    with pytest.raises(NotCleanError, match=r"Not as recorded\. Look at results/audit/verify.html") as refused:
        publish(Path(), Path("out"), (status, "Not as recorded."))
    assert refused.value.status == status
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("made", "text"),
    [
        ({"waiting": 2}, "because 2 images await review.*list_review_pages.html"),
        ({"contact": NOBODY}, "nobody is named whom to write to"),
    ],
)
def test_what_is_not_ready_is_refused(made: dict, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    MadeRun(**made)
    with pytest.raises(UserError, match=text):
        publish(Path(), Path("out"), CLEAN)
    assert not Path("out").exists()


def test_there_is_no_way_around() -> None:
    command = [sys.executable, "-m", "scripts.audit.publish", "--help"]
    help_text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert help_text.returncode == 0
    assert not [word for word in ("force", "leave-out", "skip", "ignore") if word in help_text.stdout]


def test_a_killed_publication_leaves_nothing(run: MadeRun, out: Path) -> None:
    left = out.with_name(f".{out.name}.0123-new.part")
    left.mkdir()
    (left / "half").write_text("x")
    publish(Path(), out, CLEAN)
    assert [path.name for path in out.parent.iterdir()] == ["publish"]


def test_what_is_published_are_outputs_of_steps() -> None:
    for step, flags in PUBLISHED.items():
        source = (ROOT / "scripts" / f"{step.replace('.', '/')}.py").read_text()
        for flag in flags:
            assert f'"--{flag}"' in source, (step, flag)
