"""Sources, seals and damaged records, on a made run whose every record is written here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.verify_cost import CODE, MadeRun, make
from scripts.audit import evidence, integrity, lineage, row_account, shard_contents
from scripts.audit.findings import DIFFERENT, NOT_CHECKED, SAME, UNDECIDABLE, Finding
from scripts.audit.run_folder import RunFolder
from scripts.lib.errors import UserError
from scripts.lib.files import sha256_file
from scripts.lib.records import identity, record_digest


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    return make(tmp_path, 8)


def verdicts(findings: Any) -> dict[str, str]:
    return {each.subject: each.verdict for each in findings}


def only(findings: Any, verdict: str) -> Finding:
    (found,) = [each for each in findings if each.verdict == verdict]
    return found


def test_the_made_run_is_in_order(made: MadeRun) -> None:
    run = RunFolder.read(made.folder)
    for check in (integrity.check_integrity, integrity.check_strays, lineage.check_lineage):
        assert set(verdicts(check(run)).values()) == {SAME}
    assert [each.text for each in row_account.check_rows(run)] == [
        "0 rows = 0 kept + 0 rejected for a reason: each row of the source once.",
        "Part 0: 96 rows = 8 kept + 88 rejected for a reason: each candidate once.",
        "In all, 96 rows = 8 kept + 88 rejected for a reason.",
    ]
    assert {each.verdict for each in shard_contents.check_shards(run)} == {SAME}
    assert {each.verdict for each in evidence.check_evidence(run) if not each.exempt} == {SAME}


def test_jobs_stand_after_what_they_are_made_from(made: MadeRun) -> None:
    run = RunFolder.read(made.folder)
    order = list(run.jobs)
    for name, record in run.jobs.items():
        assert all(order.index(maker) < order.index(name) for maker in run.made_from(record))
    assert run.below["filter/judge/0.parquet"] >= {"filter/select.parquet", "shard/write_shards/00000.tar"}
    assert run.below["shard/write_shards/00000.tar"] == set()


def with_sources(made: MadeRun, **digests: str) -> RunFolder:
    place = made.folder / "records/filter/select.parquet.json"
    record = json.loads(place.read_text())
    record["inputs"] += [{"flag": "x", "path": path, "sha256": digest} for path, digest in digests.items()]
    record["identity"] = identity(record)
    record["digest"] = record_digest(record)
    place.write_text(json.dumps(record))
    return RunFolder.read(made.folder)


def test_sources_are_the_same_or_not_decided(made: MadeRun) -> None:
    (made.folder / "data").mkdir()
    for name in ("same", "edited"):
        (made.folder / "data" / name).write_text(name)
    digest = sha256_file(made.folder / "data/same")
    paths = ("data/same", "data/edited", "data/gone", "/elsewhere/of/another/machine")
    found = verdicts(lineage.check_sources(with_sources(made, **dict.fromkeys(paths, digest))))
    assert [found[path] for path in paths] == [SAME, UNDECIDABLE, UNDECIDABLE, NOT_CHECKED]


def test_an_input_without_a_record_is_not_decided(made: MadeRun) -> None:
    (made.folder / "records/filter/judge/0.parquet.json").unlink()
    run = RunFolder.read(made.folder)
    assert "of which there is no record" in only(lineage.check_lineage(run), UNDECIDABLE).text
    stray = only(integrity.check_strays(run), DIFFERENT)
    assert stray.subject == "results/filter/judge/0.parquet" and "its record is lost" in stray.cause


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "it cannot be read"),
        ("[]", "no record of format 1"),
        ('{"format": 2}', "no record of format 1"),
        ('{"format": 1, "record": "nothing"}', "it points to the record of nothing"),
        ('{"format": 1, "step": "a"}', "it has no values"),
        (json.dumps({**{k: {} for k in ("values", "circumstances")}, "format": 1, "step": "a", "code": CODE,
                     "inputs": [], "outputs": [], "identity": "", "digest": ""}), "it has no outputs"),
        (json.dumps({**{k: {} for k in ("values", "circumstances")}, "format": 1, "step": "a", "code": CODE,
                     "inputs": [{}], "outputs": [], "identity": "", "digest": ""}), "one of its files has no flag"),
        ('{"format": 1, "step": NaN}', "NaN is no number"),
    ],
)  # fmt: skip
def test_a_damaged_record_is_named_and_ends_nothing(made: MadeRun, content: str, told: str) -> None:
    (made.folder / "records/filter/select.parquet.json").write_text(content)
    run = RunFolder.read(made.folder)
    assert told in run.damaged["records/filter/select.parquet.json"]
    (finding, *_) = integrity.check_records(run, {name: identity(record) for name, record in run.jobs.items()})
    assert (finding.verdict, finding.subject) == (DIFFERENT, "records/filter/select.parquet.json")


def test_no_records_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no records/"):
        RunFolder.read(tmp_path)


def say(made: MadeRun, rows: str) -> RunFolder:
    """Give the part a table of human verdicts."""
    made.path("filter/gather_human_verdicts.csv").write_text("image_id,verdict,reviewer\n" + rows)
    place = made.folder / "records/filter/judge/0.parquet.json"
    record = json.loads(place.read_text())
    record["inputs"].append(
        {"flag": "human-verdicts", "path": "results/filter/gather_human_verdicts.csv", "sha256": ""}
    )
    record["values"]["recipe"]["rules"][0]["drop"] = {"a": 0.5, "b": 0.05}  # every picture is above it
    place.write_text(json.dumps(record))
    return RunFolder.read(made.folder)


def test_a_reviewer_overrules_detectors_and_another_reviewer_him(made: MadeRun) -> None:
    kept = evidence._kept(RunFolder.read(made.folder), "results/filter/select.parquet", "0")["image_id"].to_pylist()
    found = list(evidence.check_evidence(say(made, "")))
    assert f"image {kept[0]} (8 in all) of part 0 should not be kept" in only(found, DIFFERENT).text
    keeps = "".join(f"{name},keep,ann\n" for name in kept)
    made.path("filter/gather_human_verdicts.csv").write_text("image_id,verdict,reviewer\n" + keeps)
    run = RunFolder.read(made.folder)
    assert [each.verdict for each in evidence.check_evidence(run) if not each.exempt] == [SAME]
    made.path("filter/gather_human_verdicts.csv").write_text(
        "image_id,verdict,reviewer\n" + keeps + f"{kept[3]},drop,bob\n{kept[3]},keep,eve\n"
    )
    told = [each.text for each in evidence.check_evidence(run) if each.verdict == DIFFERENT]
    assert any(f"keeps {kept[3]}, of which a reviewer said drop (1 in all)" in text for text in told)


def test_of_large_shards_a_share_is_hashed(made: MadeRun) -> None:
    run = RunFolder.read(made.folder)
    whole, none = ([each.text for each in shard_contents.check_shards(run, most)][:4] for most in (float("inf"), 0.0))
    hashed = [[int(text.split("the bytes of ")[1].split()[0]) for text in texts] for texts in (whole, none)]
    assert (sum(hashed[0]), sum(hashed[1])) == (8, 0)
