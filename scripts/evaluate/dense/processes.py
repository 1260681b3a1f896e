"""One process for each GPU of a node: they share every batch. One alone needs none of this."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.multiprocessing.spawn import ProcessRaisedException, spawn
from torch.nn.parallel import DistributedDataParallel

from scripts.lib.errors import UserError
from scripts.lib.step import LINE, TIME

Work = Callable[[int, int, Any], None]  # (rank, processes, argument)


def own_device(rank: int) -> torch.device:
    """Return the GPU of a process, or the CPU where there is none."""
    return torch.device("cuda", rank) if torch.cuda.is_available() else torch.device("cpu")


def _enter(rank: int, world: int, meeting: str, work: Work, argument: Any) -> None:
    logging.basicConfig(level=logging.INFO if rank == 0 else logging.WARNING, format=LINE, datefmt=TIME)
    if torch.cuda.is_available():
        torch.cuda.set_device(rank)
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, init_method=f"file://{meeting}", rank=rank, world_size=world)
    try:
        work(rank, world, argument)
    finally:
        distributed.destroy_process_group()


def launch(processes: int, work: Work, argument: Any) -> None:
    """Run `work` in `processes` processes that can talk to each other, in this one where it is one.

    Raises:
        UserError: one of them raised it, or there are fewer GPUs than processes.
    """
    if processes == 1:
        work(0, 1, argument)
        return
    if 0 < torch.cuda.device_count() < processes:
        raise UserError(
            f"{processes} devices are asked for and {torch.cuda.device_count()} are here; set `devices` of the recipe "
            "to that number, the batch stays the same"
        )
    with tempfile.TemporaryDirectory() as folder:
        try:
            spawn(_enter, (processes, str(Path(folder) / "meeting"), work, argument), processes)  # type: ignore[no-untyped-call]
        except ProcessRaisedException as error:
            told = str(error)
            if "UserError: " not in told:
                raise
            raise UserError(told.rpartition("UserError: ")[2].strip()) from None


def wait_for_all(world: int) -> None:
    """Return when every process is here."""
    if world > 1:
        distributed.barrier()


def shared(module: nn.Module, world: int, device: torch.device) -> nn.Module:
    """Return the module to call in training: one that averages gradients where there are several processes."""
    if world == 1:
        return module
    return DistributedDataParallel(module, device_ids=[device.index] if device.type == "cuda" else None)


def threads_of(threads: int, world: int) -> int:
    """Return the CPU threads of each process."""
    return max(1, min(threads, os.cpu_count() or 1) // world)
