"""Results that stay: a second name of each file, digests of many files, and what a folder holds."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from scripts.lib.files import sha256_file
from scripts.lib.records import KEPT, Record, result_name

log = logging.getLogger(__name__)

_SIDE_BY_SIDE = 64 * 1024**2  # bytes, from which on files are hashed by several threads


def sha256_files(paths: Sequence[Path]) -> list[str]:
    """Return the SHA-256 of each file; large ones are read side by side."""
    if sum(path.stat().st_size for path in paths) < _SIDE_BY_SIDE:
        return [sha256_file(path) for path in paths]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(sha256_file, paths))


def folder_listing(folder: Path) -> str:
    """Return a digest of the names, sizes and times below a folder: equal only where nothing was written since."""
    digest = hashlib.sha256()
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for path in (Path(parent, name) for name in sorted(files)):
            with suppress(OSError):
                found, place = path.stat(), path.relative_to(folder)
                digest.update(f"{place}\0{found.st_size}\0{found.st_mtime_ns}\0{found.st_ctime_ns}\n".encode())
    return digest.hexdigest()


def keep(path: Path) -> None:
    """Give a result a second name, since Snakemake removes what a job is about to make. It takes no room."""
    kept = KEPT / str(result_name(path))
    kept.parent.mkdir(parents=True, exist_ok=True)
    private = kept.with_name(f".{kept.name}.{os.getpid()}.part")
    try:
        os.link(path, private)
        os.replace(private, kept)
    except OSError as error:  # a file system without links: the job is computed again where it might have been spared
        log.info("no second name for %s (%s)", path, error)
    finally:
        private.unlink(missing_ok=True)  # a rename between two names of one file does nothing


def put_back(before: Record) -> bool:
    """Let the outputs of `before` lie in their places, unless one of them is lost or no longer what it was."""
    places = []
    for each in before["outputs"]:
        path = Path(each["path"])
        kept = KEPT / str(result_name(path))
        source = next((place for place in (path, kept) if place.is_file()), None)
        if source is None or source.stat().st_size != each["bytes"]:
            return False
        places.append((source, path))
    if sha256_files([source for source, _ in places]) != [each["sha256"] for each in before["outputs"]]:
        return False
    for source, path in places:
        if source != path:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, path)
        os.utime(path)  # later than its inputs, as Snakemake wants it
    return True
