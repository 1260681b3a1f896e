"""Can training use these bytes? Asked in several processes, because decoding takes time and a decoder may die.

The picture is decoded as training will decode it. When a process dies (a crash, too much processor time), the images
under way are asked once more, one by one, so an answer depends on the file and not on how many processes there are.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import re
import resource
import signal
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

from scripts.lib.images import open_image, sniff_format, to_rgb
from scripts.lib.reasons import ImageSetReason, InspectionReason
from scripts.lib.tars import TarReader
from scripts.pretrain.image_sets import Place
from scripts.pretrain.settings_images import DecodeLimits

BATCH = 32  # images handed to a process at once
WAITING_PER_WORKER = 2  # batches: one that is being decoded and one that is not waited for
SNIFFED_BYTES = 16
_CONTEXT = multiprocessing.get_context("forkserver")

Answer = tuple[str, str, str]  # sha256, reason, detail
Waiting = tuple[list[Place], Future[list[Answer]] | None]


def check_places(
    places: Iterable[Place], root: Path, limits: DecodeLimits, workers: int
) -> Iterator[tuple[Place, Answer]]:
    """Yield each place with its SHA-256, reason and detail, in the order of `places`, of which only some are held."""
    _CONTEXT.set_forkserver_preload([__name__])
    batches = _batches(places)
    done = False
    while not done:
        waiting: deque[Waiting] = deque()
        with ProcessPoolExecutor(workers, mp_context=_CONTEXT) as pool:
            try:
                for batch in batches:
                    waiting.append((batch, None))  # before `submit`, which raises when a process has died
                    waiting[-1] = (batch, pool.submit(_check_batch, root, batch, limits))
                    if len(waiting) > WAITING_PER_WORKER * workers:
                        yield from _first_answers(waiting)
                while waiting:
                    yield from _first_answers(waiting)
                done = True
            except BrokenProcessPool:
                pass  # one of the images under way killed its process; all of them are asked again
        yield from _check_alone(root, [place for batch, _ in waiting for place in batch], limits)


def _batches(places: Iterable[Place]) -> Iterator[list[Place]]:
    todo = iter(places)
    while batch := list(islice(todo, BATCH)):
        yield batch


def _first_answers(waiting: deque[Waiting]) -> Iterator[tuple[Place, Answer]]:
    batch, future = waiting[0]
    assert future is not None
    answers = future.result()
    waiting.popleft()
    yield from zip(batch, answers, strict=True)


def _check_batch(root: Path, places: list[Place], limits: DecodeLimits) -> list[Answer]:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return [check_place(root, place, limits) for place in places]


def _check_alone(root: Path, places: Iterable[Place], limits: DecodeLimits) -> Iterator[tuple[Place, Answer]]:
    """Check images one after the other in a process that may die, and is then started again."""
    todo = deque(places)
    while todo:
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=_serve, args=(theirs, root, limits), daemon=True)
        process.start()
        theirs.close()
        with ours:
            try:
                while todo:
                    ours.send(todo[0])
                    answer = ours.recv()
                    if isinstance(answer, OSError):
                        raise answer
                    yield todo.popleft(), answer
            except (EOFError, ConnectionError):
                process.join()
                yield todo.popleft(), _epitaph(process.exitcode, limits)


def _epitaph(status: int | None, limits: DecodeLimits) -> Answer:
    if status == -signal.SIGPROF:
        return "", InspectionReason.DECODER_TIMEOUT, f"not decoded in {limits.cpu_seconds} s of processor time"
    return "", InspectionReason.DECODER_CRASH, f"exit status {status}"


def _serve(connection: Connection, root: Path, limits: DecodeLimits) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(EOFError):  # the other side has no more questions
        while True:
            place = connection.recv()
            try:
                answer: Answer | OSError = check_place(root, place, limits)
            except OSError as error:
                answer = error
            connection.send(answer)


def check_place(root: Path, place: Place, limits: DecodeLimits) -> Answer:
    """Read and decode one file; return its SHA-256 ("" where not all was read), reason and detail ("" when usable).

    Raises:
        OSError: the disk does not answer as it should.
    """
    if place.reason:
        return "", place.reason, place.detail
    try:
        with TarReader(root / place.container) as reader:
            head = reader.read(place.offset, min(place.size, SNIFFED_BYTES))
            if sniff_format(head) is None:
                return "", InspectionReason.UNSUPPORTED_FORMAT, f"first bytes {head[:8].hex(' ') or 'none'}"
            if place.size > limits.max_bytes:
                return "", InspectionReason.FILE_TOO_LARGE, f"{place.size} bytes, more than {limits.max_bytes}"
            content = reader.read(place.offset, place.size)
    except (PermissionError, FileNotFoundError) as error:
        return "", ImageSetReason.UNREADABLE, os.strerror(error.errno or 0)
    except EOFError:
        return "", ImageSetReason.UNREADABLE, "it became shorter while it was read"
    reason, detail = check_content(content, limits)
    return hashlib.sha256(content).hexdigest(), reason, detail


def check_content(content: bytes, limits: DecodeLimits) -> tuple[str, str]:
    """Decode a picture in full, as training does; return the reason and detail why it cannot be used, or ("", "")."""
    signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)  # the kernel then ends this process
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = open_image(content)
            if image.width * image.height > limits.max_pixels:
                detail = f"{image.width} x {image.height}, more than {limits.max_pixels} pixels"
                return InspectionReason.TOO_MANY_PIXELS, detail
            to_rgb(image)
    except MemoryError:
        return InspectionReason.DECODER_MEMORY, "more than this machine gives"
    except Exception as error:  # noqa: BLE001 - decoders raise nearly everything; the row keeps what it was
        text = re.sub(r"<[^<>]* at 0x[0-9a-f]+>", "the file", str(error))
        return InspectionReason.UNDECODABLE, f"{type(error).__name__}: {text}"[:200]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "", ""
