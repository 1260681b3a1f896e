"""profiles/slurm: what it asks for, and that it covers the rules as they are."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yte

from scripts.lib.errors import UserError
from tests.conftest import ROOT
from tests.pretrain.made import RUN
from tests.wiring.test_plan import plan
from tests.wiring.test_rules import rules
from tests.workflow import planned_jobs, run_snakemake, write_scale

# A repeated job goes on from its checkpoint: it needs no more time than the first.
CONTINUE = {"train", "finetune_classifier", "finetune_detector", "finetune_segmenter"}


@pytest.fixture
def profile() -> dict[str, dict[str, object]]:
    with open(ROOT / "profiles/slurm/config.yaml") as file:
        return yte.process_yaml(file, require_use_yte=True)


def test_a_repeated_job_asks_for_more() -> None:
    for rule, (_, text) in rules().items():
        assert re.search(r"^ +mem_mb=grow\(", text, re.MULTILINE), rule
        grows = re.search(r"^ +runtime=grow\(", text, re.MULTILINE) is not None
        assert grows != (rule in CONTINUE), rule
        assert not re.search(r"^ +retries:", text, re.MULTILINE), f"{rule}: they multiply inside of a SLURM job"
        assert all(int(mb) >= 2000 for mb in re.findall(r"mem_mb=grow\((\d+)\)", text)), rule


def test_rules_with_a_gpu_go_where_gpus_are(profile: dict[str, dict[str, object]]) -> None:
    asking = {rule for rule, (_, text) in rules().items() if re.search(r"^ +gpu=", text, re.MULTILINE)}
    named = {rule for rule, found in profile["set-resources"].items() if found["slurm_partition"] == "gpu"}  # type: ignore[index]
    assert named == asking - {"detect_faces"} | {"train_on_nodes"}
    assert profile["default-resources"]["slurm_partition"] == "cpu"


def test_groups_are_of_equals_without_gpu(profile: dict[str, dict[str, object]]) -> None:
    groups = profile["groups"]
    assert groups == {rule: rule for rule in groups} and set(profile["group-components"]) == set(groups)
    assert not set(groups) & set(profile["set-resources"])
    for rule in groups:
        assert re.search(r"\{(part|shard)\}", rules()[rule][1]), rule


def test_the_demo_plans_in_groups(tmp_path: Path) -> None:
    arguments = ("--profile", str(ROOT / "profiles/slurm"), "--configfile", str(ROOT / "scales/demo.yaml"))
    result = run_snakemake("-n", *arguments, folder=tmp_path, without_torch=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert planned_jobs(result.stdout)["download"] == 2


def test_the_login_node_does_not_limit_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    def default(*arguments: str) -> dict[str, object]:
        monkeypatch.setattr(sys, "argv", ["snakemake", *arguments])
        with open(ROOT / "profiles/default/config.yaml") as file:
            return yte.process_yaml(file, require_use_yte=True)

    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    assert default("--configfile", "scales/demo.yaml")["cores"] == "all"
    # Snakemake reads it after the other one, and `cores` would cut the threads of each job.
    for arguments in (("--profile", "profiles/slurm"), ("--profile=profiles/slurm",)):
        assert default(*arguments) == {name: value for name, value in default().items() if name != "cores"}
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "site")
    assert "cores" not in default()


def test_a_run_on_two_nodes_asks_for_its_tasks_once(tmp_path: Path) -> None:
    run = {
        **RUN,
        "images": "photos",
        "batch_size": 64,
        "queue_size": 64,
        "devices": 8,
        "nodes": 2,
        "threads": 12,
        "bn_splits": 1,
    }
    sets = [{"name": "photos", "kind": "folder", "path": "/nowhere"}]
    scale = write_scale(tmp_path / "scale.yaml", {"pretrain": {"monitor": None, "image_sets": sets, "runs": [run]}})
    arguments = ("--profile", str(ROOT / "profiles/slurm"), "--configfile", str(scale), "--printshellcmds")
    target = "results/pretrain/train/tiny/encoder.safetensors"
    result = run_snakemake("-n", *arguments, "--", target, folder=tmp_path)
    text = result.stdout[result.stdout.index("rule train_on_nodes:") :]
    for part in ("mem_mb=128000", "gres=gpu:8", "tasks_per_node=8", "tasks=0", "nodes=2", "slurm_partition=gpu"):
        assert f" {part}," in text, text
    assert "srun --nodes=2 --ntasks-per-node=8 --cpus-per-task=12 --kill-on-bad-exit python -m" in text


def test_one_device_on_each_node_is_as_many_tasks_as_nodes() -> None:
    name = "moco_v2_r50_200"
    alone = plan(pretrain__runs__0__devices=1, pretrain__runs__0__nodes=4)
    assert alone.tasks_of(name) == {"per_node": 0, "in_all": 4} and "--ntasks-per-node=1 " in alone.launch(name)
    with pytest.raises(UserError):
        plan(pretrain__runs__0__nodes=0)


def test_each_settings_of_the_block_is_documented() -> None:
    block = (ROOT / "profiles/slurm/config.yaml").read_text().split("# -----")[1]
    names = re.findall(r"^  (\w+): ", block, re.MULTILINE)
    assert len(names) == 5
    text = (ROOT / "docs/cluster.md").read_text()
    assert all(f"`{name}`" in text for name in names)


def test_the_documented_command_makes_what_needs_internet_and_no_more(tmp_path: Path) -> None:
    line = re.search(r"^ +snakemake (--cores .*--until .*)$", (ROOT / "docs/cluster.md").read_text(), re.MULTILINE)
    assert line is not None
    scale = ("--configfile", str(ROOT / "scales/demo.yaml"))
    result = run_snakemake("-n", *scale, *line[1].split(), folder=tmp_path, without_torch=True)
    assert planned_jobs(result.stdout) == {"plant_hazards": 1, "select_candidates": 2, "download": 2}, result.stderr
