"""Serve the photographs of UNPEOPLED_SHARED on 127.0.0.1 under the addresses that Multimedia Commons uses.

python -m tests.serve_photos                       serve until interrupted
python -m tests.serve_photos --run -- COMMAND...   serve while COMMAND runs; its status is the status
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PREFIX = "/data/images/"
DEFAULT_PORT = 8765


def photo_paths(data: Path) -> dict[str, Path]:
    """Return address path → file, from photos.csv."""
    with (data / "photos.csv").open(encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["key"]]
    return {f"{PREFIX}{key[:3]}/{key[3:6]}/{key}.jpg": data / row["file"] for row in rows for key in [row["key"]]}


@contextmanager
def photo_server(data: Path, port: int = 0) -> Iterator[int]:
    """Serve in a thread; yield the port. Answers S3's XML and 404 for a photo that is not there."""
    paths = photo_paths(data)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = paths.get(self.path)
            body = b"<Error><Code>NoSuchKey</Code></Error>" if path is None else path.read_bytes()
            self.send_response(404 if path is None else 200)
            self.send_header("Content-Type", "application/xml" if path is None else "image/jpeg")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent: the workflow logs what it fetched."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def main() -> None:
    """Serve, or serve while a command runs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--port", type=int, default=int(os.environ.get("UNPEOPLED_PHOTO_PORT", DEFAULT_PORT)))
    parser.add_argument("--run", action="store_true", help="run the command after -- and stop with it")
    parser.add_argument("command", nargs="*")
    args = parser.parse_args()
    data = Path(os.environ.get("UNPEOPLED_SHARED", "../shared")) / "data"
    if not (data / "photos.csv").is_file():
        sys.exit(f"no photos at {data}: set UNPEOPLED_SHARED to the folder that holds data/photos.csv")
    with photo_server(data, args.port) as port:
        if args.run:
            environment = {**os.environ, "UNPEOPLED_PHOTO_PORT": str(port)}
            sys.exit(subprocess.run(args.command, env=environment, check=False).returncode)
        print(f"photos at http://127.0.0.1:{port}{PREFIX} until interrupted (Ctrl-C)")
        threading.Event().wait()


if __name__ == "__main__":
    main()
