"""A server of made JPEGs on 127.0.0.1, fast enough not to be what a benchmark measures. It runs in its own process.

with static_server(count=2000) as addresses: ...
"""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import multiprocessing.connection
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image

PICTURES = 16  # different pictures; every file has its own number in a comment, so no two files are equal
SIDES = (375, 500)


def make_files(count: int) -> list[bytes]:
    """Return `count` different JPEGs of about 72 kB, 500 by 375 pixels, as YFCC100M's are."""
    pictures = []
    for seed in range(PICTURES):
        draws = np.random.default_rng(seed)
        coarse = Image.fromarray(draws.integers(0, 256, (24, 32, 3), dtype=np.uint8)).resize(SIDES[::-1])
        grain = draws.normal(0, 28, (*SIDES, 3))
        buffer = io.BytesIO()
        Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=75)
        pictures.append(buffer.getvalue())
    files = []
    for index in range(count):
        picture, number = pictures[index % PICTURES], b"%08d" % index
        files.append(picture[:2] + b"\xff\xfe" + (len(number) + 2).to_bytes(2, "big") + number + picture[2:])
    return files


class _Connection(asyncio.Protocol):
    """Answers `GET /<index>.jpg`; keeps the connection unless the client asks otherwise."""

    def __init__(self, files: list[bytes]) -> None:
        self.files = files
        self.asked = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.asked += data
        while b"\r\n\r\n" in self.asked:
            request, _, self.asked = self.asked.partition(b"\r\n\r\n")
            self.answer(request)

    def answer(self, request: bytes) -> None:
        path = request.split(b" ", 2)[1].strip(b"/").removesuffix(b".jpg")
        close = b"connection: close" in request.lower()
        end = b"Connection: close\r\n\r\n" if close else b"\r\n"
        if path.isdigit() and int(path) < len(self.files):
            body = self.files[int(path)]
            head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n" % len(body)
        else:
            body, head = b"", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n"
        self.transport.writelines([head + end, body])
        if close:
            self.transport.close()


async def _serve(files: list[bytes], pipe: multiprocessing.connection.Connection) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(files), "127.0.0.1", 0, backlog=512)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _run(count: int, pipe: multiprocessing.connection.Connection) -> None:
    asyncio.run(_serve(make_files(count), pipe))


@contextmanager
def static_server(count: int) -> Iterator[list[str]]:
    """Yield the addresses of `count` JPEGs while a process serves them."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_run, args=(count, theirs), daemon=True)
    process.start()
    try:
        port = ours.recv()
        yield [f"http://127.0.0.1:{port}/{index}.jpg" for index in range(count)]
    finally:
        process.terminate()
        process.join()
