"""The cache of `embed` while it is made: parts that are whole or absent, kept when the process is killed.

A shard holds the features of some hundred images of one split. It lies in a folder that is named by everything that its
numbers depend on, so a later process with the same key goes on where the earlier one stopped, and one with another key
starts anew.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors

from scripts.evaluate.features import Array, write_tensors
from scripts.lib.recipe import canonical_json

log = logging.getLogger(__name__)


class ShardFolder:
    """The shards of one encoder and task, beside the file that they become."""

    def __init__(self, target: str | Path, facts: Mapping[str, Any]) -> None:
        key = hashlib.sha256(canonical_json(dict(facts)).encode()).hexdigest()[:16]
        target = Path(target)
        self._all = target.with_name(target.name + ".shards")
        self._folder = self._all / key
        for other in sorted(self._all.glob("*")):
            if other != self._folder:
                log.warning("%s holds shards of other weights, images, settings or code; removed", other)
                shutil.rmtree(other)
        self._folder.mkdir(parents=True, exist_ok=True)

    def path(self, split: str, number: int) -> Path:
        """Return where a shard lies."""
        return self._folder / f"{split}-{number:05d}.safetensors"

    def has(self, split: str, number: int) -> bool:
        """Return whether a shard is there and whole; a damaged one is removed."""
        path = self.path(split, number)
        if not path.exists():
            return False
        try:
            with safetensors.safe_open(path, framework="np"):
                return True
        except safetensors.SafetensorError:
            log.warning("%s is damaged; it is made again", path)
            path.unlink()
            return False

    def write(self, split: str, number: int, tensors: Mapping[str, Array]) -> None:
        """Keep a shard."""
        write_tensors(self.path(split, number), tensors, {})

    def remove(self) -> None:
        """Remove all shards: the file that they become is there."""
        shutil.rmtree(self._all, ignore_errors=True)
