"""What of a run goes into a publication: the data, the encoders, figures and the code; and the folder that holds them.

Results are linked, not copied, where the file system allows it: a data set of 180 GB is published in seconds and takes
no space. A step never writes into a file that is there (`scripts/lib/files.py`), so a link stays what was published.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib.errors import UserError
from scripts.lib.files import sync_folder
from scripts.lib.fingerprint import ROOT
from scripts.lib.kept import sha256_files
from scripts.lib.records import Record, result_name

CRATE, CROISSANT, SUMS = "ro-crate-metadata.json", "croissant.json", "SHA256SUMS"
_SYNCS = 32

# Step → flags whose files are published. All else is named in the records by its SHA-256 and stays here: the bytes of
# photos that were not kept, the verdict on each candidate with its author, names of reviewers, pages and contact
# sheets that show people, features of other people's labelled sets, files with times and machines.
PUBLISHED: dict[str, tuple[str, ...]] = {
    "shard.write_shards": ("tar", "index"),
    "shard.write_metadata": ("pass-metadata", "metadata"),
    "shard.write_card": ("out",),
    "report.count_funnel": ("out",),
    "pretrain.train": ("encoder", "head", "metrics", "monitor", "trace"),
    "pretrain.write_model_card": ("out",),
    "evaluate.collect_results": ("out",),
    "evaluate.compare_encoders": ("out",),
}
_CODE = ("Snakefile", "LICENSE", "requirements.lock", "rules/*.smk", "envs/*.yaml", "scripts/**/*.py")

MEDIA_TYPES = {
    ".tar": "application/x-tar",
    ".parquet": "application/x-parquet",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".md": "text/markdown",
    ".json": "application/json",
    ".html": "text/html",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".py": "text/x-python",
    ".safetensors": "application/octet-stream",
}


@dataclass(frozen=True)
class PublishedFile:
    """A file of the publication: its place below the folder, which is also its place below the run's, and its maker."""

    path: str
    sha256: str
    bytes: int
    step: str
    flag: str


def media_type(path: str) -> str:
    """Return the media type of a file, by its suffix."""
    return MEDIA_TYPES.get(Path(path).suffix, "application/octet-stream")


def published_files(jobs: Mapping[str, Record]) -> list[PublishedFile]:
    """Return the files of a run that are published, in the order of their paths."""
    found = []
    for record in jobs.values():
        for each in record["outputs"]:
            if each["flag"] in PUBLISHED.get(record["step"], ()):
                path = f"results/{result_name(each['path'])}"
                found.append(PublishedFile(path, each["sha256"], each["bytes"], record["step"], each["flag"]))
    return sorted(found, key=lambda each: each.path)


def link_files(run: Path, files: list[PublishedFile], folder: Path) -> None:
    """Link files of the run into `folder` and hash what is there.

    Raises:
        UserError: a file is not what its record says.
    """
    for each in files:
        _link(run / each.path, folder / each.path)
    digests = sha256_files([folder / each.path for each in files])
    for each, digest in zip(files, digests, strict=True):
        if digest != each.sha256:
            raise UserError(
                f"{each.path} was changed after {each.step} made it: its SHA-256 is {digest[:16]}..., recorded was "
                f"{each.sha256[:16]}... Nothing is published. Have it made again: snakemake --forcerun {each.path} "
                "(with your other flags)"
            )


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise UserError(f"{source} is recorded and not there. Run the workflow again, then publish") from None
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOTSUP):
            raise
        shutil.copyfile(source, target)  # another file system, or one without links


def copy_code(folder: Path, root: Path = ROOT) -> list[str]:
    """Copy the workflow and all steps, without configuration, and return their paths."""
    paths = sorted(path for pattern in _CODE for path in root.glob(pattern) if path.is_file())
    for path in paths:
        target = folder / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return [path.relative_to(root).as_posix() for path in paths]


def write_sums(folder: Path, known: Mapping[str, str]) -> None:
    """Write `SHA256SUMS` over all files of a folder, as `sha256sum -c` reads it. `known`: digests that need no look."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    others = [name for name in names if name not in known]
    digests = dict(known) | dict(zip(others, sha256_files([folder / name for name in others]), strict=True))
    text = "".join(f"{digests[name]}  {name}\n" for name in names)
    (folder / SUMS).write_bytes(text.encode("utf-8"))


def read_sums(folder: Path) -> dict[str, str]:
    """Return path → SHA-256 as `SHA256SUMS` of a publication says.

    Raises:
        UserError: there is none, or a line of it is none.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        raise UserError(f"{folder} has no {SUMS} that can be read: it is no publication, or not all of it") from None
    pairs = [line.split("  ", maxsplit=1) for line in lines]
    if any(len(pair) != 2 or len(pair[0]) != 64 for pair in pairs):
        raise UserError(f"{folder / SUMS} has a line that is not `<64 digits>  <path>`: it was changed")
    return {path: digest for digest, path in pairs}


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield a private folder; when the block ends well, it takes the place of `folder`, else it is removed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}.*.part"):
        shutil.rmtree(left, ignore_errors=True)  # of one that was killed
    token = uuid.uuid4().hex[:12]
    private, old = (folder.with_name(f".{folder.name}.{token}-{word}.part") for word in ("new", "old"))
    private.mkdir()
    try:
        yield private
        with ThreadPoolExecutor(_SYNCS) as pool:  # the disk writes down many files in the time of a few
            list(pool.map(_sync, private.rglob("*")))
        if folder.exists():
            folder.rename(old)
        private.rename(folder)
        sync_folder(folder.parent)
    finally:
        for left in (private, old):
            shutil.rmtree(left, ignore_errors=True)


def _sync(path: Path) -> None:
    if path.is_dir():
        sync_folder(path)
        return
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


def put_text(path: Path, text: str) -> None:
    """Write a file of a private folder, which is synced as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))


def json_text(value: Any) -> str:
    """Return indented JSON in which no text can act: not in a page that holds it, nor by characters that are unseen."""
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text + "\n"
