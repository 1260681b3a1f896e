"""Where a run computes: device, processes, precision, and how processes find each other.

A run's settings name devices and nodes (`devices`, `nodes`); flags bring them here. On a machine without a GPU one
process takes whole batches, unless the CPU is asked for by name, as tests do.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy, Strategy

from scripts.lib.errors import UserError
from scripts.pretrain.run_base import RunBase

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


LONGEST_TMPDIR = 107 - len("/pymp-12345678/listener-12345678")


def launched_rank(variables: Mapping[str, str]) -> int:
    """Return the number of this process among those that a launcher started, from 0; 0 where there is none."""
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        if variables.get(name, "").isdigit():
            return int(variables[name])
    return 0


def launched_world(variables: Mapping[str, str]) -> int:
    """Return how many processes a launcher started for this run, 1 where there is none.

    SLURM's variables count only in one of its tasks. Inside an ordinary job of one task they would make a run of eight
    devices train on one.
    """
    if "TORCHELASTIC_RUN_ID" in variables:
        return int(variables.get("WORLD_SIZE", "1"))
    return int(variables.get("SLURM_NTASKS", "1")) if "SLURM_PROCID" in variables else 1


@dataclass(frozen=True)
class Place:
    """Where a run computes and where it leaves its checkpoints."""

    folder: Path
    key: str  # what a checkpoint must carry to be continued from
    threads: int  # of all processes of this node together
    devices: int = 1  # processes of one node
    nodes: int = 1
    accelerator: Literal["gpu", "cpu"] = "cpu"
    watch: Path | None = None  # for speed.csv and TensorBoard; None: neither
    stop_after: int = 0  # steps, then stop as if asked to; 0: at the end
    keep_every: int = 0  # epochs, whose checkpoints stay for an audit (scripts/audit/segment.py); 0: none

    @property
    def views(self) -> Path:
        """Return where the picture of the first batch's views lies."""
        return self.folder / "views.png"

    @property
    def world(self) -> int:
        """Return the number of processes."""
        return self.devices * self.nodes

    @property
    def process_threads(self) -> int:
        """Return the threads of one process and its loaders."""
        return max(1, self.threads // self.devices)

    @property
    def workers(self) -> int:
        """Return the number of a process's loader processes; the process itself needs one thread."""
        return self.process_threads - 1

    @property
    def prefetch(self) -> int:
        """Return the number of batches that each loader process makes in advance."""
        return 2

    @property
    def machine(self) -> str:
        """Return what equal bits depend on besides the key."""
        one = torch.cuda.get_device_name() if self.accelerator == "gpu" else f"CPU, {self.process_threads} threads"
        return one if self.world == 1 else f"{self.world} x {one}"

    @property
    def rank(self) -> int:
        """Return the number of this process among all, from 0, as whoever launched it says.

        In the process that a rule starts it is 0: that one launches the others of its node when training begins.
        """
        return 0 if self.world == 1 else self.environment(os.environ).global_rank()

    def environment(self, variables: Mapping[str, str]) -> ClusterEnvironment:
        """Return how processes find each other.

        On one node the first process launches the others. Several nodes need `srun` or `torchrun`, which start them
        all.
        """
        if self.world > 1 and "TORCHELASTIC_RUN_ID" in variables:
            return TorchElasticEnvironment()
        if self.world > 1 and launched_world(variables) == self.world:
            return SLURMEnvironment(auto_requeue=False)  # Snakemake repeats a job; two who do would compete
        if self.nodes > 1:
            raise UserError(
                f"a run on {self.nodes} nodes with {self.devices} devices each must be started as {self.world} tasks by"
                f" srun (--nodes={self.nodes} --ntasks-per-node={self.devices}) or torchrun; profiles/slurm does the "
                "former. To train on one node, set nodes to 1"
            )
        environment = LightningEnvironment()
        environment.set_world_size(self.world)
        environment.set_global_rank(int(variables.get("LOCAL_RANK", "0")))
        return environment

    def strategy(self) -> Strategy | str:
        """Return how gradients meet."""
        if self.world == 1:
            return "auto"
        backend = "cpu:gloo,cuda:nccl" if self.accelerator == "gpu" else "gloo"
        # Buffers are all the same everywhere, or averaged by the method (ranks.py): none needs to be broadcast.
        options: dict[str, Any] = {"broadcast_buffers": False, "gradient_as_bucket_view": True}
        return DDPStrategy(process_group_backend=backend, find_unused_parameters=False, **options)


def place_of(
    run: RunBase,
    folder: Path,
    key: str,
    *,
    threads: int,
    devices: int,
    nodes: int,
    accelerator: str,
    watch_folder: Path | None = None,
    stop_after: int = 0,
    keep_every: int = 0,
) -> Place:
    """Return where this machine trains a run.

    `threads` are those of the processes that one command starts: of all of a node's, or of one where a launcher starts
    each.

    Raises:
        UserError: the machine lacks what is asked for, or the batch cannot be shared so.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if accelerator == "auto" and gpus == 0:
        if launched_world(os.environ) > 1 or launched_rank(os.environ) > 0:
            raise UserError(
                f"run {run.name} was started as several tasks, and this machine shows no GPU to any of them"
            )
        devices, nodes, accelerator = 1, 1, "cpu"
    elif accelerator == "auto":
        accelerator = "gpu"
        if devices > gpus:
            raise UserError(
                f"run {run.name} asks for {devices} devices of a node and this machine shows {gpus}; set "
                f"pretrain.runs.{run.name}.devices (no other setting has to change), or ask for a larger node"
            )
    if run.precision == "fp16" and accelerator == "cpu":
        raise UserError(
            f"run {run.name} asks for precision fp16, which needs a GPU, and this machine shows none; set precision to "
            "fp32 or bf16, or run on a GPU node"
        )
    world = devices * nodes
    if run.micro_batch % (world * run.indivisible):
        groups = f", in which groups of {run.indivisible} images must stay together" if run.indivisible > 1 else ""
        raise UserError(
            f"run {run.name} cannot share micro-batches of {run.micro_batch} images between {world} devices{groups}: "
            "change devices, nodes, batch_size or accumulation_steps of the run"
        )
    threads *= devices if world > 1 and launched_world(os.environ) == world else 1
    kind: Literal["gpu", "cpu"] = "gpu" if accelerator == "gpu" else "cpu"
    place = Place(folder, key, threads, devices, nodes, kind, watch_folder, stop_after, keep_every)
    if place.workers and len(os.fsencode(tempfile.gettempdir())) > LONGEST_TMPDIR:
        raise UserError(
            f"the temporary folder {tempfile.gettempdir()} has a name of more than {LONGEST_TMPDIR} bytes, and loader "
            "processes make sockets in it, whose paths may have 107: the run would wait for its images for ever. Set "
            "TMPDIR to a shorter path"
        )
    return place
