"""Under which circumstances a job ran: machine, packages, time. For whoever compares two runs; no result depends on it.

The hardware key names what bits of floating-point results may depend on: the same key promises the same bits, another
one does not (measured: processor features, number of threads; a GPU's model and libraries).
"""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import socket
import sys
from functools import cache
from pathlib import Path
from typing import Any

from scripts.lib.fingerprint import ROOT
from scripts.lib.recipe import canonical_json

_PACKAGES = "numpy scipy pyarrow pandas torch torchvision PIL cv2 simplejpeg sklearn onnxruntime safetensors matplotlib"
_VARIABLES = [
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "PYTHONHASHSEED",
    "TZ",
    "LANG",
    "LC_ALL",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
]
_SLURM = ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURMD_NODENAME")


@cache
def processor() -> dict[str, str]:
    """Return the processor's model and a digest of its features, as Linux shows them."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {"model": platform.processor() or platform.machine(), "features": ""}
    lines = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    kept = [lines.get(name, "") for name in ("vendor_id", "cpu family", "model", "model name")]
    features = " ".join(sorted((lines.get("flags") or lines.get("Features") or "").split()))
    return {"model": " / ".join(kept), "features": hashlib.sha256(features.encode()).hexdigest()[:16]}


def accelerators() -> list[dict[str, str]]:
    """Return the GPUs that this process has used, with the libraries that drive them; [] without torch or a GPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return []
    versions = {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
    return [{"model": torch.cuda.get_device_name(i), **versions} for i in range(torch.cuda.device_count())]


def hardware(threads: int | None) -> dict[str, Any]:
    """Return the parts of the hardware key and, as `key`, their digest. `threads`: those that the step was given."""
    parts = {"processor": processor(), "threads": threads, "accelerators": accelerators(), "system": platform.machine()}
    return {**parts, "key": hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:16]}


def packages() -> dict[str, str]:
    """Return the versions of Python and of those libraries that this process has loaded."""
    found = {name: getattr(sys.modules.get(name), "__version__", None) for name in _PACKAGES.split()}
    return {"python": platform.python_version(), **{name: str(version) for name, version in found.items() if version}}


@cache
def lock_digest() -> str:
    """Return the SHA-256 of requirements.lock."""
    return hashlib.sha256((ROOT / "requirements.lock").read_bytes()).hexdigest()


def circumstances(threads: int | None) -> dict[str, Any]:
    """Return machine, packages, variables and what the process and its children took so far."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "hardware": hardware(threads),
        "packages": packages(),
        "lock": lock_digest(),
        "libc": " ".join(platform.libc_ver()),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "slurm": {name: os.environ[name] for name in _SLURM if name in os.environ},
        "cpu_seconds": round(sum(each.ru_utime + each.ru_stime for each in (own, children)), 3),
        "peak_mb": round(max(own.ru_maxrss, children.ru_maxrss) / 1024),
    }
