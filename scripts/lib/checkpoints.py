"""`last.ckpt`: everything that a run needs to continue, and the key that says whether it belongs to this run.

A checkpoint is written beside and renamed, so it is whole or absent; the one before stays as `last-1.ckpt`. It
carries a SHA-256 of its content, loads with `weights_only=True`, and is used only when its key equals the run's:
recipe, code, images and torch. One with another key is set aside, never overwritten and never continued from.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from scripts.lib.files import replacing

LOG = logging.getLogger(__name__)
LAST, PREVIOUS = "last.ckpt", "last-1.ckpt"
KEPT = "kept"  # folder of those that an audit can start from

State = dict[str, Any]


def content_digest(value: Any) -> str:
    """Return the SHA-256 of a nest of dicts, lists, numbers, texts and tensors."""
    digest = hashlib.sha256()
    _add(digest, value)
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu().contiguous()
        digest.update(f"tensor {plain.dtype} {tuple(plain.shape)};".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(value, dict):
        digest.update(f"dict {len(value)};".encode())
        for key, item in value.items():
            _add(digest, key)
            _add(digest, item)
    elif isinstance(value, list | tuple):
        digest.update(f"list {len(value)};".encode())
        for item in value:
            _add(digest, item)
    else:
        digest.update(f"{type(value).__name__} {value!r};".encode())


def _state_digest(state: State, known: Mapping[str, str]) -> str:
    return content_digest({name: known.get(name) or content_digest(value) for name, value in state.items()})


def save_checkpoint(folder: Path, key: str, state: State, digests: Mapping[str, str] | None = None) -> None:
    """Write `last.ckpt`; the one before becomes `last-1.ckpt`. At any moment one of them is whole.

    Args:
        folder: where it is written.
        key: what it must carry to be continued from.
        state: all that a run needs to continue.
        digests: name → `content_digest` of entries of `state`, where the caller has them: weights take their time.
    """
    content = io.BytesIO()  # torch does not say of a full disk that it is full
    torch.save({"key": key, "digest": _state_digest(state, digests or {}), "state": state}, content)
    with replacing(folder / LAST) as private:
        private.write_bytes(content.getbuffer())
        with private.open("rb") as handle:
            os.fsync(handle.fileno())  # before the old one gives up its name
        if (folder / LAST).exists():
            os.replace(folder / LAST, folder / PREVIOUS)


def keep_checkpoint(folder: Path, step: int) -> None:
    """Give `last.ckpt` a second name that stays when the run is complete: `kept/<step>.ckpt`. It takes room then."""
    target = folder / KEPT / f"{step}.ckpt"
    target.parent.mkdir(exist_ok=True)
    with replacing(target) as private:
        os.link(folder / LAST, private)


def load_checkpoint(folder: Path, key: str) -> State | None:
    """Return the newest state with this key that is whole, None when there is none.

    A damaged file is renamed to `*.damaged`, one with another key to `*.<its key>.set-aside`; both are logged.
    """
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            found, digest, state = content["key"], content["digest"], dict(content["state"])
        except (OSError, EOFError, RuntimeError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
            LOG.warning("%s cannot be read (%s) and is renamed to *.damaged", path, type(error).__name__)
            path.replace(path.with_name(path.name + ".damaged"))
            continue
        if found != key:
            aside = path.with_name(f"{path.name}.{str(found)[:12]}.set-aside")
            LOG.warning("%s belongs to other settings, code, images or torch; it is set aside as %s", path, aside.name)
            path.replace(aside)
        elif digest != _state_digest(state, {}):
            LOG.warning("%s is damaged (its SHA-256 does not fit) and is renamed to *.damaged", path)
            path.replace(path.with_name(path.name + ".damaged"))
        else:
            result: State = state
            return result
    return None


def remove_checkpoints(folder: Path) -> None:
    """Remove both checkpoints: the run is complete."""
    for name in (LAST, PREVIOUS):
        (folder / name).unlink(missing_ok=True)
