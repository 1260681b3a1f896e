"""Under which circumstances the jobs ran, against those of the audit: notes, because no verdict follows from them.

Results lie there with the bytes that were recorded, whatever ran them. But whether another run would give the same ones
depends on software and, for floating-point numbers, on the processor: where these differ the reader has to know.
"""

from __future__ import annotations

import hashlib
import platform
from collections import defaultdict
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from scripts.audit.findings import NOT_CHECKED, SAME, Finding
from scripts.audit.run_folder import RunFolder
from scripts.lib.circumstances import processor
from scripts.lib.recipe import canonical_json

CHECK = "circumstances"
_DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless", "sklearn": "scikit-learn"}
_MEANS = "Whether these jobs give the same bytes here is not shown by this command; `rebuild` shows it."


def check_circumstances(run: RunFolder, checkout: Path) -> Iterator[Finding]:
    """Yield a note for each lock file, processor and package version with which jobs ran: the same as here, or not."""
    lock = checkout / "requirements.lock"
    here = hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else ""
    seen: dict[tuple[str, str, str], set[str]] = defaultdict(set)  # kind, then, here → steps
    for record in run.jobs.values():
        then, step = record["circumstances"], record["step"]
        seen["requirements.lock", str(then.get("lock", ""))[:16], here[:16]].add(step)
        hardware = then.get("hardware") if isinstance(then.get("hardware"), dict) else {}
        seen["processor", _processor(hardware.get("processor")), _processor(processor())].add(step)
        for gpu in hardware.get("accelerators") or []:
            seen["accelerator", canonical_json(gpu), "not looked at"].add(step)
        packages = then.get("packages") if isinstance(then.get("packages"), dict) else {}
        for name, version in packages.items():
            seen[name, str(version), _version(name)].add(step)
    for (kind, then, now), steps in sorted(seen.items()):
        told = f"{len(steps)} steps ({', '.join(sorted(steps)[:3])}{', ...' if len(steps) > 3 else ''})"
        if now == then or _release(now) == _release(then):
            yield Finding(CHECK, SAME, kind, f"{kind} {then} is that of {told}.")
        else:
            yield Finding(
                CHECK, NOT_CHECKED, kind, f"{told} ran with {kind} {then or 'unknown'}; here it is {now or 'absent'}.",
                _MEANS, exempt=True,
            )  # fmt: skip


def _processor(parts: object) -> str:
    return f"{parts.get('model')} ({parts.get('features')})" if isinstance(parts, dict) else "unknown"


def _release(version: str) -> str:
    """Return a version without what a build or a packager added to it: 2.15.0 of 2.15.0+cu132, 4.14.0 of 4.14.0.94."""
    plain = version.partition("+")[0]
    return ".".join(plain.split(".")[:3]) if plain[:1].isdigit() else version


def _version(package: str) -> str:
    if package == "python":
        return platform.python_version()
    try:
        return metadata.version(_DISTRIBUTIONS.get(package, package))
    except metadata.PackageNotFoundError:
        return ""
