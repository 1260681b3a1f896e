"""Whatever happens to nodes, jobs and drivers, one command leads to the results of an undisturbed local run."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.slurm.cluster import Cluster, wait_until
from tests.slurm.place import ENCODER, Place

DOWNLOAD, TRAIN = "curate/download", "pretrain/train"
LONG = 400  # seconds: many tests may share this machine
DRAWING, TRAINING = "records/leases/curate/download/0.tar", "results/pretrain/train/tiny/last.ckpt"


DRAWN = ("results/curate/download/0.tar", "results/curate/download/1.tar")


def same(place: Place, local: Place) -> None:
    assert place.results() == local.results()
    assert place.seal() == replace(local, targets=place.targets).seal()


def running(cluster: Cluster, form: str = "%i") -> list[str]:
    return cluster.jobs("R", form)


def test_a_run_from_the_start(copy: Callable[..., Place], local: Place, cluster: Cluster) -> None:
    place = copy()
    said = place.run()
    same(place, local)
    name = re.search(r"SLURM run ID: (\S+)", said)
    assert name is not None
    lines = [line.split("|") for line in cluster.jobs("all", "%j|%k|%i|%P|%C|%m|%N") if line.startswith(name[1])]
    jobs = {comment.removeprefix("rule_").split("_wildcards")[0]: rest for _, comment, *rest in lines}
    number, *asked, node = jobs["train"]
    assert asked == ["gpu", "1", "16000M"] and node in ("n1", "n2")
    assert "TresPerJob=gres:gpu:1\n" in cluster.call("scontrol", "show", "job", number)
    assert place.record(ENCODER)["circumstances"]["variables"]["CUDA_VISIBLE_DEVICES"] in ("0", "1")
    assert jobs["index_images"][1:4] == ["cpu", "8", "8000M"]  # whatever this machine has
    # Two partitions share a job of each kind, and their needs add up.
    assert len(lines) == len(jobs) == 6 and jobs["inspect_images_inspect_images"][1:4] == ["cpu", "4", "6000M"]


def test_a_job_whose_node_dies(copy: Callable[..., Place], local: Place, cluster: Cluster) -> None:
    place = copy(TRAIN)
    driver = place.start()
    place.wait_for(TRAINING)
    (job,), (node,) = running(cluster), running(cluster, "%N")
    cluster.kill_node(node)
    wait_until(lambda: running(cluster, "%i %N") not in ([], [f"{job} {node}"]), "it runs elsewhere", LONG)
    assert running(cluster) == [job]  # SLURM's own doing
    place.end(driver)
    same(place, local)
    assert "continues after step" in place.log(TRAIN)


@pytest.mark.slow
def test_a_cancelled_job(copy: Callable[..., Place], local: Place, cluster: Cluster) -> None:
    place = copy(TRAIN)
    driver = place.start()
    place.wait_for(TRAINING)
    (job,) = running(cluster)
    cluster.call("scancel", job)
    wait_until(lambda: running(cluster) not in ([], [job]), "it is repeated", LONG)
    assert running(cluster, "%m") == ["32000M"]  # a second attempt may take twice the memory
    place.end(driver)
    same(place, local)
    assert "continues after step" in place.log(TRAIN)


def test_a_driver_that_dies_while_its_job_lives_on(copy: Callable[..., Place], local: Place, cluster: Cluster) -> None:
    place = copy(DOWNLOAD)
    place.targets = DRAWN
    driver = place.start()
    place.wait_for(DRAWING)
    orphan, (job,) = place.processes("curate.download"), running(cluster)
    for process in orphan:
        process.suspend()  # so that it is not over before another comes
    place.kill(driver)
    again = place.start()
    wait_until(lambda: "waiting for its end" in place.log(DOWNLOAD), "a second writer waits", LONG)
    assert orphan and job in running(cluster) and len(running(cluster)) == 2
    for process in orphan:
        process.resume()
    place.end(again)
    same(place, local)


@pytest.mark.slow
def test_a_job_over_its_time(copy: Callable[..., Place], local: Place, cluster: Cluster) -> None:
    """It hangs, as on a file system that does not answer."""
    place = copy(DOWNLOAD)
    place.targets = DRAWN
    driver = place.start()
    place.wait_for(DRAWING)
    (job,) = running(cluster)
    for process in place.processes("curate.download"):
        process.suspend()
    cluster.call("scontrol", "update", f"JobId={job}", "TimeLimit=1")  # the least that SLURM knows
    wait_until(lambda: job in cluster.jobs("TO"), "SLURM ends it", LONG)
    wait_until(lambda: running(cluster) not in ([], [job]), "it is repeated", LONG)
    assert running(cluster, "%l") == ["1-00:00:00"]  # twice twelve hours
    place.end(driver)
    same(place, local)


@pytest.mark.slow
def test_a_preempted_job(copy: Callable[..., Place], local: Place, cluster: Cluster) -> None:
    place = copy(TRAIN)
    driver = place.start()
    place.wait_for(TRAINING)
    (job,) = running(cluster)
    cluster.call(
        "sbatch", "-p", "urgent", "--nodes=3", "--exclusive", "-t", "1", "-o", "/dev/null", "--wrap", "sleep 5"
    )
    wait_until(lambda: job in cluster.jobs("PD"), "it has to make way", LONG)
    wait_until(lambda: running(cluster) == [job], "it has its turn again", LONG)
    place.end(driver)
    same(place, local)
    assert "continues after step" in place.log(TRAIN)


@pytest.mark.slow
def test_a_training_that_sees_the_end_of_its_time(copy: Callable[..., Place], local: Place, cluster: Cluster) -> None:
    """One minute is what it wants for saving, so it stops after its first step, again and again."""
    place = copy(TRAIN)
    said = place.run("--set-resources", "train:runtime=attempt", "--retries", "9")
    same(place, local)
    assert "the time of its job ends" in said and "continues after step" in place.log(TRAIN)
