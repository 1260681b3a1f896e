"""Image sets as they come from outside, made for the tests of this folder."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

LIMITS = {"max_bytes": 1_000_000, "max_pixels": 1_000_000, "cpu_seconds": 20}


def recipe_of(kind: str, limits: dict[str, Any] | None = None, **values: Any) -> str:
    """The recipe of index_images."""
    return json.dumps({"images": {"name": "other", "kind": kind, "path": "", **values}, "limits": limits or LIMITS})


def folder_of(root: Path, contents: dict[str, bytes]) -> Path:
    """A folder of files."""
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def tar_of(path: Path, contents: dict[str, bytes] | list[tuple[str, bytes]]) -> Path:
    """A tar as GNU tar writes it: with folders, owners and times."""
    pairs = list(contents.items()) if isinstance(contents, dict) else contents
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        folder = tarfile.TarInfo("PASS_dataset")
        folder.type, folder.mtime = tarfile.DIRTYPE, 1_700_000_000
        tar.addfile(folder)
        for name, content in pairs:
            info = tarfile.TarInfo(name)
            info.size, info.uname, info.mtime = len(content), "somebody", 1_700_000_000
            tar.addfile(info, io.BytesIO(content))
    return path
