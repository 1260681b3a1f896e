"""Training on several nodes: SLURM is asked for what is used, and four processes on two nodes are four on one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.slurm.cluster import Cluster
from tests.slurm.place import ENCODER, Drivers, Place, make_place, scale
from tests.workflow import write_scale

FIRST_CHECKPOINT = "results/pretrain/train/tiny/last.ckpt"


def on_cpus(place: Place) -> None:
    """Without this the rule's command wants as many GPUs as it asks for."""
    path = place.root / "rules/pretrain.smk"
    text = path.read_text()
    assert text.count(" --log {log}") == 1
    path.write_text(text.replace(" --log {log}", " --accelerator cpu --log {log}"))


def test_two_nodes_with_two_processes_each(cluster: Cluster, tmp_path: Path, drivers: Drivers) -> None:
    several = make_place(tmp_path, cluster, "several", devices=2, nodes=2, epochs=2)
    several.drivers = drivers
    several.targets = (ENCODER,)
    on_cpus(several)
    driver = several.start()
    several.wait_for(FIRST_CHECKPOINT)
    (asked,) = cluster.jobs("R", "%D|%C|%b|%P|%m")
    assert asked == "2|4|gres:gpu:2|gpu|32000M"
    several.end(driver)

    log = (several.folder / "logs/pretrain/train/tiny.log").read_text()
    assert "4 x CPU, 1 threads" in log
    alone = replace(several, folder=tmp_path / "alone", cluster=None)
    alone.scale = write_scale(tmp_path / "alone.yaml", scale(tmp_path / "images", devices=4, nodes=1, epochs=2))
    alone.run()
    assert "4 x CPU, 1 threads" in (alone.folder / "logs/pretrain/train/tiny.log").read_text()
    assert several.results() == alone.results()
    assert several.seal() == alone.seal()
