"""Several decode guards at once; answers come in the order of the questions, whatever the number of workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from types import TracebackType
from typing import TypeVar

from scripts.curate.decode_guard import DecodeGuard
from scripts.curate.measure_image import Measurement
from scripts.curate.settings import InspectImagesSettings

WAITING_PER_WORKER = 2  # images read ahead: one that is being decoded and one that is not waited for

Key = TypeVar("Key")


class DecodePool:
    """Measures images in `workers` guarded processes. Use as a context manager.

    An answer depends on its image alone (see `DecodeGuard`), so the number of workers changes nothing but the time.
    """

    def __init__(self, limits: InspectImagesSettings, workers: int) -> None:
        self.guards = [DecodeGuard(limits) for _ in range(workers)]
        self._idle: SimpleQueue[DecodeGuard] = SimpleQueue()
        for guard in self.guards:
            self._idle.put(guard)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        self._stack = ExitStack()

    def measure(self, images: Iterable[tuple[Key, bytes]]) -> Iterator[tuple[Key, Measurement]]:
        """Yield the measurements of each image, in the order of `images`, of which only some are held at a time."""
        waiting: deque[tuple[Key, Future[Measurement]]] = deque()
        for key, content in images:
            waiting.append((key, self._threads.submit(self._measure, content)))
            if len(waiting) > WAITING_PER_WORKER * len(self.guards):
                first, answer = waiting.popleft()
                yield first, answer.result()
        for first, answer in waiting:
            yield first, answer.result()

    def _measure(self, content: bytes) -> Measurement:
        guard = self._idle.get()
        try:
            return guard.measure(content)
        finally:
            self._idle.put(guard)

    @property
    def starts(self) -> int:
        """Return how many worker processes were started."""
        return sum(guard.starts for guard in self.guards)

    @property
    def peak_mb(self) -> int:
        """Return the largest resident memory of a worker process that has ended, in MB."""
        return max(guard.peak_mb for guard in self.guards)

    def __enter__(self) -> DecodePool:
        for guard in self.guards:
            self._stack.enter_context(guard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Threads first: a guard must not be stopped while one of them uses it.
        self._threads.shutdown(cancel_futures=True)
        self._stack.close()
