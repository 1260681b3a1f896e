"""What a run took, over all of its sessions: which device, how long, how many images.

The figures travel in the checkpoint, so a kill loses those since the last one and no others. `cost.json` is the one
output of this project that differs when a run is repeated.
"""

from __future__ import annotations

import platform
import re
import time
from pathlib import Path
from typing import Any

import lightning
import torch
import torchvision

from scripts.lib.files import write_json
from scripts.pretrain.run_cost import DeviceTime, RunCost

TIMES = " x "  # between the number of processes and their device
CPU_FACTS = Path("/proc/cpuinfo")


def device_name(threads: int, gpu: bool) -> str:
    """Return the model of the GPU, or of the CPU and how many threads are used; never the name of a machine."""
    if gpu:
        return torch.cuda.get_device_name()
    facts = CPU_FACTS.read_text(encoding="utf-8", errors="replace") if CPU_FACTS.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", facts, re.MULTILINE)
    name = found[1].strip() if found else platform.machine()
    return f"{name}, {threads} thread{'s' if threads > 1 else ''}"


class Cost:
    """A clock for each kind of device that the run was on; it begins to count when it is made."""

    def __init__(self, device: str, processes: int) -> None:
        self._now = f"{processes}{TIMES}{device}"
        self._seconds: dict[str, float] = {}  # of earlier sessions, by number and kind of device
        self._sessions = 1
        self._began = time.monotonic()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        session = time.monotonic() - self._began
        return {
            "seconds": {**self._seconds, self._now: self._seconds.get(self._now, 0.0) + session},
            "sessions": self._sessions,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint: this session comes on top of those before."""
        self._seconds, self._sessions = dict(state["seconds"]), int(state["sessions"]) + 1

    def total(self, images_seen: int, software: dict[str, str]) -> RunCost:
        """Return the figures of all sessions; `software` is name → version."""
        state = self.state()
        devices = tuple(
            DeviceTime(device=device, processes=int(processes), wall_seconds=round(seconds, 1))
            for name, seconds in sorted(state["seconds"].items())
            for processes, _, device in [name.partition(TIMES)]
        )
        hours = sum(each.processes * each.wall_seconds for each in devices) / 3600
        return RunCost(
            devices=devices,
            device_hours=round(hours, 4),
            sessions=state["sessions"],
            images_seen=images_seen,
            software=dict(sorted(software.items())),
        )

    def write(self, path: Path, images_seen: int) -> None:
        """Write cost.json; `images_seen` by all steps of the run."""
        software = {"python": platform.python_version(), "torch": torch.__version__}
        software |= {"torchvision": torchvision.__version__, "lightning": lightning.__version__}
        write_json(path, self.total(images_seen, software).model_dump())
