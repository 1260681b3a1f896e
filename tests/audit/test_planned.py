"""What Snakemake plans, read as data."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from scripts.audit.planned import PlannedJob, planned_jobs
from scripts.lib.errors import UserError
from scripts.lib.files import write_json
from tests.conftest import ROOT
from tests.workflow import planned_jobs as table_of
from tests.workflow import run_snakemake

DEMO = ROOT / "scales/demo.yaml"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> list[PlannedJob]:
    return planned_jobs(ROOT / "Snakefile", tmp_path_factory.mktemp("demo"), configfiles=[DEMO])


def test_the_jobs_are_those_that_snakemake_counts(demo: list[PlannedJob], tmp_path: Path) -> None:
    told = run_snakemake("-n", "--configfile", str(DEMO), folder=tmp_path).stdout
    assert Counter(job.rule for job in demo) == table_of(told)
    assert len(demo) == 61


def test_each_file_has_one_maker_and_each_job_a_command(demo: list[PlannedJob]) -> None:
    made = [path for job in demo for path in job.outputs]
    assert len(made) == len(set(made))
    for job in demo:
        assert {path for path in job.inputs if path.startswith("results/")} <= set(made)
        assert job.argv[:2] == ("python", "-m") and job.argv[2].endswith(f".{job.rule}")
        assert job.log.startswith("logs/") or job.rule == "train"  # which writes its log itself
        assert not {">", "2>&1"} & set(job.argv)
        words = {part for word in job.argv for part in (word, word.partition("=")[2])}
        assert set(job.outputs) <= words


def test_files_come_in_the_order_of_the_rule_and_not_in_the_settings(demo: list[PlannedJob]) -> None:
    [job] = [job for job in demo if job.rule == "detect_faces" and job.wildcards["part"] == "1"]
    files = {
        "--tar": "results/curate/download/1.tar",
        "--status": "results/curate/download/1.parquet",
        "--inspection": "results/curate/inspect_images/1.parquet",
    }
    out = "results/filter/detect_faces/centerface/1.parquet"
    assert job.inputs == tuple(files.values()) and job.outputs == (out,)
    assert job.wildcards == {"detector": "centerface", "part": "1"}
    recipe = job.argv[job.argv.index("--recipe") + 1]
    named = [word for pair in files.items() for word in pair]
    assert job.argv[3].startswith("--code=") and job.argv[3].endswith(job.settings[3].partition("=")[2])
    assert job.argv[4:] == ("--recipe", recipe, *named, "--weights", "--threads", "1", "--out", out)
    assert job.settings[4:] == ("--recipe", recipe, *files, "--weights", "--threads", "1", "--out")


def test_finished_files_are_planned_with_the_threads_of_the_rule(tmp_path: Path) -> None:
    target = Path("results/curate/inspect_images/10.parquet")
    (tmp_path / target).parent.mkdir(parents=True)
    (tmp_path / target).touch()
    over = {"partition_bits": 5}  # a value over those of the files
    found = planned_jobs(
        ROOT / "Snakefile",
        tmp_path,
        configfiles=[DEMO],
        config=over,
        targets=[str(target), "results/curate/deduplicate.parquet"],
    )
    jobs = [job for job in found if job.rule == "inspect_images"]
    assert len(jobs) == 32
    [job] = [job for job in jobs if job.outputs == (str(target),)]
    assert job.argv[job.argv.index("--threads") + 1] == "2"
    assert not (tmp_path / ".snakemake/log").exists()


def test_what_cannot_be_planned_is_one_paragraph(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    write_json(wrong, {"filter": {"judge": {"face_threshold": 0.7}}})
    with pytest.raises(UserError, match=r"cannot be planned in .*filter\.judge\.face_threshold: unknown key") as caught:
        planned_jobs(ROOT / "Snakefile", tmp_path, configfiles=[wrong])
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)
