"""Bring a detector's weights here, from a path or an address; nothing loads them before their SHA-256 agrees.

A SHA-256 of fewer than 64 digits is compared with the leading digits of the file's (some publishers give no more).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

from scripts.lib.errors import UserError
from scripts.lib.fetch import fetch_file
from scripts.lib.files import replacing, sha256_file
from scripts.lib.flags import output_file, outside_data
from scripts.lib.step import run_step, step_parser

LOG = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
MAX_BYTES = 10_000_000_000  # of a download


def copy_checked(detector: str, source: Path, target: Path, sha256: str) -> None:
    """Copy `source` to `target`, whole or not at all; the bytes that are checked are those that were copied.

    Raises:
        UserError: there is no such file, it cannot be read, or it is another one; `target` is then not touched.
    """
    if not source.is_file():
        raise UserError(
            f"the weights of the detector {detector} are not here: expected a file at {source} (that is "
            f"{source.absolute()}), with SHA-256 {_expected(sha256)}. Put the file there, or name another "
            f"place or an address in the config (filter, detector {detector}, weights.path or weights.url)"
        )
    digest = hashlib.sha256()
    try:
        with replacing(target) as private, source.open("rb") as reader, private.open("wb") as writer:
            while chunk := reader.read(CHUNK_BYTES):
                digest.update(chunk)
                writer.write(chunk)
            _check(detector, str(source), digest.hexdigest(), sha256)
    except OSError as error:
        raise UserError(
            f"the weights of the detector {detector} cannot be copied from {source} to {target}: {error}"
        ) from None


def download_checked(detector: str, url: str, target: Path, sha256: str) -> None:
    """Bring `url` to `target`, whole or not at all; private addresses are refused, as weights have no business there.

    Raises:
        UserError: what `fetch_file` says, with the detector's name and the other way to get the file here.
    """
    try:
        fetch_file(url, target, sha256, allow_private_addresses=False, max_bytes=MAX_BYTES)
    except UserError as error:
        raise UserError(
            f"the weights of the detector {detector} did not come: {error}. A machine without internet takes them from "
            f"a file (in the config: filter, detector {detector}, weights.path in the place of weights.url; SHA-256 "
            f"{_expected(sha256)})"
        ) from None


def _check(detector: str, place: str, found: str, sha256: str) -> None:
    if not found.startswith(sha256):
        raise UserError(
            f"the weights of the detector {detector} at {place} are not the expected file: SHA-256 {_expected(sha256)} "
            f"was expected and {found} was found. Replace the file; only if you trust this one, write its SHA-256 into "
            f"the config (filter, detector {detector}, weights.sha256)"
        )


def _expected(sha256: str) -> str:
    return sha256 if len(sha256) == 64 else f"{sha256}... (its first {len(sha256)} digits)"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--detector", required=True, help="name of the detector, for messages")
    parser.add_argument("--path", required=True, type=outside_data, help="local file, empty when --url is given")
    parser.add_argument("--url", required=True, help="address, empty when --path is given")
    parser.add_argument("--sha256", required=True, help="8 to 64 leading hexadecimal digits")
    parser.add_argument("--out", required=True, type=output_file, help="checked copy to write")
    arguments = parser.parse_args(argv)
    if bool(arguments.path) == bool(arguments.url):
        raise UserError(
            f"the weights of the detector {arguments.detector} need either a path or an address in the config (filter, "
            f"detector {arguments.detector}, weights.path or weights.url), and exactly one of them"
        )
    if arguments.path:
        copy_checked(arguments.detector, Path(arguments.path), arguments.out, arguments.sha256)
    else:
        download_checked(arguments.detector, arguments.url, arguments.out, arguments.sha256)
    size, found = arguments.out.stat().st_size, sha256_file(arguments.out)
    LOG.info(
        "%s: %d bytes from %s, SHA-256 %s, agrees", arguments.detector, size, arguments.path or arguments.url, found
    )


if __name__ == "__main__":
    run_step(main)
