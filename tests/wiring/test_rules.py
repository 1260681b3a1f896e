"""One name, four places: rule, module, result folder, log. Every scale plans, and planning is light."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.workflow import planned_jobs, run_snakemake

STAGES = ("curate", "filter", "shard", "pretrain", "evaluate", "report", "audit")
SCALES = [path.stem for path in sorted((ROOT / "scales").glob("*.yaml"))]


def rules() -> dict[str, tuple[str, str]]:
    """Return rule → (stage, text)."""
    found = {}
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for match in re.finditer(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", path.read_text(), re.MULTILINE | re.DOTALL):
            found[match[1]] = (path.stem.split("_")[0], match[2])  # filter_review.smk is of the stage filter
    return found


@pytest.mark.parametrize("rule", sorted(rules()))
def test_one_name_in_four_places(rule: str) -> None:
    stage, text = rules()[rule]
    assert (ROOT / "scripts" / stage / f"{rule}.py").is_file()
    assert f"python -m scripts.{stage}.{rule} " in text
    assert f"logs/{stage}/{rule}" in text
    environment = re.search(r'conda:\n +"\.\./envs/(\w+)\.yaml"', text)
    assert environment is not None
    assert f'PLAN.code("{stage}.{rule}", "{environment[1]}"' in re.sub(
        r'(\(|",)\s+', lambda part: part[1].replace('",', '", '), text
    )
    assert " --code={params.code:q} " in text
    declared = re.search(r"output:(.*?)log:", text, re.DOTALL)
    assert (declared is None) == (stage == "audit")  # an audit is run whenever it is asked for, and makes nothing first
    assert stage != "audit" or "input:" not in text
    for output in re.findall(r'"(results/[^"]+)"', declared[1] if declared else ""):
        named = output.startswith(f"results/{stage}/{rule}")
        assert named or output == CONTRACT.get(rule), output


CONTRACT = {"count_funnel": "results/report/funnel.json", "write_report": "results/report/index.html"}


def test_every_caption_of_snakemakes_report_is_there_and_used() -> None:
    named = {
        caption
        for path in (ROOT / "rules").glob("*.smk")
        for caption in re.findall(
            r'shown\( ?(?:expand\(.*?\)|".*?"), "[\w ]+", "(\w+)"', re.sub(r"\s+", " ", path.read_text())
        )
    }
    assert len(named) >= 12
    assert {path.stem for path in (ROOT / "rules/captions").glob("*.rst")} == named | {"workflow"}
    assert named <= set(rules())


def test_every_step_has_a_rule() -> None:
    steps = {
        (path.parent.name, path.stem)
        for stage in STAGES
        for path in (ROOT / "scripts" / stage).glob("*.py")
        if re.search(r"^def main\(", path.read_text(), re.MULTILINE)
    }
    assert steps == {(stage, rule) for rule, (stage, _) in rules().items()}


def test_stages_do_not_import_each_other() -> None:
    # The shape of another stage's part of config.yaml may be read; its code may not.
    for stage in STAGES:
        for path in sorted((ROOT / "scripts" / stage).rglob("*.py")):
            imported = re.findall(r"^\s*(?:from|import) scripts\.(\w+)(\.settings\b)?", path.read_text(), re.MULTILINE)
            assert not [name for name, settings in imported if name not in (stage, "lib") and not settings], path


def test_rules_hold_no_logic() -> None:
    for path in sorted((ROOT / "rules").glob("*.smk")):
        text = path.read_text()
        assert not re.search(r"^ {4}(run|script|notebook):", text, re.MULTILINE), path
        if path.name != "common.smk":
            assert not re.search(r"^(def|for|if|import|from) ", text, re.MULTILINE), path


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_plans(scale: str, tmp_path: Path) -> None:
    environment = {"UNPEOPLED_SHARED": str(tmp_path)}  # nothing needs to lie there for a plan
    result = run_snakemake(
        "-n",
        "--configfile",
        str(ROOT / f"scales/{scale}.yaml"),
        folder=tmp_path,
        without_torch=True,
        environment=environment,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    jobs = planned_jobs(result.stdout)
    assert jobs["write_report"] == 1
    assert jobs["write_model_card"] == jobs["train"] + jobs.get("train_on_nodes", 0) >= 1


def test_the_check_against_published_figures_plans_without_curation(tmp_path: Path) -> None:
    scale = str(ROOT / "scales/cifar10.yaml")
    shared = {"UNPEOPLED_SHARED": str(tmp_path)}
    result = run_snakemake(
        "-n", "--configfile", scale, "--", "encoders", folder=tmp_path, without_torch=True, environment=shared
    )
    assert result.returncode == 0, result.stdout + result.stderr
    jobs = planned_jobs(result.stdout)
    jobs.pop("encoders")
    assert jobs == {
        "index_images": 1, "train": 2, "write_model_card": 2, "draw_curves": 2, "diagnose_run": 2, "sample_task": 1,
        "list_task": 1, "embed": 4, "apply_head": 2, "knn": 6, "rank_me": 6, "linear_probe": 4,
        "collect_results": 1, "compare_encoders": 1,
    }  # fmt: skip


def test_the_paper_plans_without_torch(tmp_path: Path) -> None:
    result = run_snakemake("-n", "--quiet", "rules", folder=tmp_path, without_torch=True)
    assert result.returncode == 0, result.stdout + result.stderr
    jobs = planned_jobs(result.stdout)
    for rule in ("download", "inspect_images", "detect_faces", "detect_people", "judge", "write_shards"):
        assert jobs[rule] == 256, rule
    assert (jobs["train"], jobs["train_on_nodes"]) == (6, 1)
    assert jobs["linear_probe"] == 7 * 2 * 2  # runs, trained or not, tasks
    assert jobs["knn"] == jobs["rank_me"] == 7 * 3 * 2  # and after the head
    assert jobs["apply_head"] == 7 * 2


def test_a_wrong_key_is_one_paragraph(tmp_path: Path) -> None:
    scale = tmp_path / "scale.yaml"
    scale.write_text("filter:\n  judge:\n    face_threshold: 0.7\n")
    result = run_snakemake("-n", "--configfile", str(scale), folder=tmp_path)
    assert result.returncode != 0
    assert "filter.judge.face_threshold: unknown key" in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
