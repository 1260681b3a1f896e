"""The worker process of `decode_guard`: reads an image from its input, answers with measurements, under hard limits.

Started as `python -m scripts.curate.decode_worker <recipe>`. A message is its length (4 bytes, big-endian) and its
bytes; the first answer is READY, the others are JSON, so that nothing a broken worker sends can run in the parent.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import warnings
from pathlib import Path
from typing import BinaryIO

from scripts.curate.measure_image import measure_image
from scripts.curate.settings import InspectImagesSettings
from scripts.lib.recipe import read_recipe

LENGTH_BYTES = 4
READY = b"ready"


def limit_memory(extra_bytes: int) -> None:
    """Allow this process `extra_bytes` of address space above what it has now, and no core file."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + extra_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_cpu(seconds: float) -> None:
    """Let the kernel end this process (SIGPROF) when it uses `seconds` of processor time from now on."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def serve(recipe: str) -> None:
    """Answer until the input ends."""
    limits = read_recipe(InspectImagesSettings, recipe)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints goes to the log, not between the answers
    warnings.simplefilter("ignore")
    limit_memory(limits.memory_mb * 2**20)
    requests = sys.stdin.buffer
    _send(answers, READY)
    while header := requests.read(LENGTH_BYTES):
        _send(answers, _answer(requests.read(int.from_bytes(header, "big")), limits))


def _answer(content: bytes, limits: InspectImagesSettings) -> bytes:
    limit_cpu(limits.cpu_seconds)
    answer = json.dumps(measure_image(content, limits).as_row()).encode("utf-8")
    limit_cpu(0)
    return answer


def _send(answers: BinaryIO, message: bytes) -> None:
    answers.write(len(message).to_bytes(LENGTH_BYTES, "big") + message)
    answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
