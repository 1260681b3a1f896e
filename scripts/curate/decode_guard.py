"""Decoding at arm's length: a worker process under limits, restarted when an image kills it.

Measured: of 256 hostile files each common decoder crashes, hangs or takes gigabytes on
some. The guard turns each of these into a reason of one image.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from scripts.curate import decode_worker
from scripts.curate.measure_image import Measurement
from scripts.curate.settings import InspectImagesSettings
from scripts.lib.errors import UserError
from scripts.lib.images import sniff_format
from scripts.lib.reasons import InspectionReason
from scripts.lib.recipe import write_recipe

LOG = logging.getLogger(__name__)

START_SECONDS = 120.0  # a cluster's file system may take its time to load Python and Pillow
MAX_ANSWER_BYTES = 1 << 16
WATCH_EVERY = 16  # answers: the worker's memory is looked at so often, and before it is ended
_ROOT = Path(__file__).resolve().parents[2]


class _WorkerGoneError(Exception):
    """The worker process ended; `code` is as `subprocess.Popen.returncode`."""

    def __init__(self, code: int) -> None:
        super().__init__(f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}")
        self.code = code


class DecodeGuard:
    """Measures images in a worker process. Use as a context manager; `measure` never raises for a bad image.

    An answer depends on the image alone: an image that dies or runs out of memory in a worker which has seen other
    images is tried once more in a fresh one.
    """

    def __init__(self, limits: InspectImagesSettings) -> None:
        self.limits = limits
        self.starts = 0  # of worker processes
        self.peak_mb = 0  # largest resident memory of a worker that was seen
        self._worker: subprocess.Popen[bytes] | None = None
        self._served = 0

    def measure(self, content: bytes) -> Measurement:
        """Return the measurements of an image file, or the reason why there are none."""
        if len(content) > self.limits.max_bytes:
            detail = f"{len(content)} bytes, more than {self.limits.max_bytes}"
            return Measurement(format=sniff_format(content)).rejected(InspectionReason.FILE_TOO_LARGE, detail)
        used = self._served > 0
        answer = self._measure_once(content)
        if used and answer.reason in (InspectionReason.DECODER_CRASH, InspectionReason.DECODER_MEMORY):
            self._stop()
            answer = self._measure_once(content)
        return answer

    def _measure_once(self, content: bytes) -> Measurement:
        failed = Measurement(format=sniff_format(content))
        try:
            worker = self._running()
            self._served += 1
            if self._served % WATCH_EVERY == 0:
                self.peak_mb = max(self.peak_mb, _peak_mb(worker.pid))
            return Measurement(**json.loads(self._exchange(worker, content)))
        except (ValueError, TypeError):
            self._stop()
            return failed.rejected(InspectionReason.DECODER_CRASH, "the worker's answer is damaged")
        except TimeoutError:
            self._stop()
            return failed.rejected(InspectionReason.DECODER_TIMEOUT, f"not decoded in {self.limits.timeout_seconds} s")
        except _WorkerGoneError as gone:
            self._stop()
            if gone.code == -signal.SIGPROF:
                detail = f"not decoded in {self.limits.cpu_seconds} s of processor time"
                return failed.rejected(InspectionReason.DECODER_TIMEOUT, detail)
            return failed.rejected(InspectionReason.DECODER_CRASH, str(gone))

    def _exchange(self, worker: subprocess.Popen[bytes], content: bytes) -> bytes:
        deadline = time.monotonic() + self.limits.timeout_seconds
        self._request(worker, len(content).to_bytes(decode_worker.LENGTH_BYTES, "big"), deadline)
        self._request(worker, content, deadline)
        return self._answer(worker, deadline)

    def _request(self, worker: subprocess.Popen[bytes], message: bytes, deadline: float) -> None:
        """Write to a worker that may be dead, or too busy to read."""
        assert worker.stdin is not None
        descriptor = worker.stdin.fileno()
        left = memoryview(message)
        while left:
            seconds = deadline - time.monotonic()
            if seconds <= 0 or not select.select([], [descriptor], [], seconds)[1]:
                raise TimeoutError
            try:
                left = left[os.write(descriptor, left) :]
            except BrokenPipeError:
                raise _WorkerGoneError(worker.wait()) from None

    def _answer(self, worker: subprocess.Popen[bytes], deadline: float) -> bytes:
        length = int.from_bytes(self._receive(worker, decode_worker.LENGTH_BYTES, deadline), "big")
        return self._receive(worker, min(length, MAX_ANSWER_BYTES), deadline)

    def _receive(self, worker: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
        assert worker.stdout is not None
        descriptor = worker.stdout.fileno()
        gathered = bytearray()
        while len(gathered) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise TimeoutError
            chunk = os.read(descriptor, size - len(gathered))
            if not chunk:
                raise _WorkerGoneError(worker.wait())
            gathered += chunk
        return bytes(gathered)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._worker is None:
            path = os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
            self._worker = subprocess.Popen(
                [sys.executable, "-m", decode_worker.__name__, write_recipe(self.limits)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
            assert self._worker.stdin is not None
            os.set_blocking(self._worker.stdin.fileno(), False)
            self._served = 0
            self.starts += 1
            try:
                ready = self._answer(self._worker, time.monotonic() + START_SECONDS)
            except (_WorkerGoneError, TimeoutError) as error:
                ready = str(error).encode()
            if ready != decode_worker.READY:
                raise UserError(
                    f"the decoding process did not start ({ready[:100]!r}); its own message is above in the log. Check"
                    f" that `{sys.executable} -m {decode_worker.__name__}` can import its libraries and that"
                    f" curate.inspect_images.memory_mb ({self.limits.memory_mb}) is not too small."
                )
        return self._worker

    def _stop(self) -> None:
        worker, self._worker, self._served = self._worker, None, 0
        if worker is None:
            return
        self.peak_mb = max(self.peak_mb, _peak_mb(worker.pid))
        worker.kill()
        for stream in (worker.stdin, worker.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        worker.wait()

    def __enter__(self) -> DecodeGuard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()


def _peak_mb(pid: int) -> int:
    """Return the largest resident memory that a process had, in MB; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    return next((int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmHWM:")), 0)
