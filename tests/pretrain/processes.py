"""Run `train` in as many processes as asked for, and keep the last checkpoint, with all that a run consists of.

`python -m tests.pretrain.processes '<JSON>'` takes a list of {"flags": [...], "devices": n}, and forks the processes of
each, one run after the other; torch is loaded once. They find each other as those of torchrun do. All is computed in 64
bits, so that rounding cannot hide a mistake, nor look like one: BatchNorm over few values amplifies it within three
steps from 1e-7 to a hundredth.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys

from scripts.pretrain import train  # isort: skip (sets how OpenMP waits, before torch is loaded)
import torch


def launch(flags: list[str], devices: int) -> None:
    """Train in `devices` processes; raise when one of them fails."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(devices)}
    found |= {"LOCAL_WORLD_SIZE": str(devices), "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test"}
    children = []
    for rank in range(devices):
        child = os.fork()
        if child == 0:
            os.environ.update(found | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
            train.remove_checkpoints = lambda folder: None
            train.main([*flags, "--devices", str(devices), "--accelerator", "cpu"])
            os._exit(0)
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(ends):
        sys.exit(f"processes ended with {ends}: {flags}")


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign, assignment]
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    for run in json.loads(sys.argv[1]):
        launch(run["flags"], run["devices"])
