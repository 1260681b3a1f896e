"""State dicts of other people's networks: read without running what is in them, loaded strictly."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from scripts.lib.errors import UserError

MAX_UNPACKED_BYTES = 4_000_000_000  # of the member of a wrapping zip


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Return a state dict from a `torch.save` file, or from a zip with one such file in it (torch.hub's old wrapping).

    A prefix `module.` that all keys share (DataParallel) is taken off.

    Raises:
        UserError: the file is neither, or holds anything but tensors by name.
    """
    try:
        content = torch.load(_unwrapped(path), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - the restricted unpickler answers damaged bytes with nearly any
        first = str(error).strip().splitlines()[:1]
        raise UserError(
            f"{path} is no state dict that loads with weights_only=True ({type(error).__name__}: {first})"
        ) from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise UserError(f"{path} holds {type(content).__name__} where tensors by name were expected")
    prefix = "module." if content and all(str(name).startswith("module.") for name in content) else ""
    return {str(name).removeprefix(prefix): value for name, value in content.items()}


def _unwrapped(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        if any(info.filename.endswith("/data.pkl") for info in members):
            return path  # torch.save's own format
        if len(members) != 1 or members[0].file_size > MAX_UNPACKED_BYTES:
            raise ValueError(f"a zip of {len(members)} files where one weights file was expected")
        return io.BytesIO(archive.read(members[0]))


def load_strictly(model: nn.Module, path: Path | None, what: str) -> nn.Module:
    """Load the weights at `path` into `model`, every tensor and no other, and return it in eval mode.

    Raises:
        UserError: no file, or its tensors are not those of `what`.
    """
    if path is None:
        raise UserError(f"{what} needs a weights file, and --weights is empty")
    try:
        model.load_state_dict(read_state_dict(path), strict=True)
    except RuntimeError as error:
        lines = " ".join(str(error).split())
        raise UserError(f"the weights {path} are not those of {what}: {lines[:400]}") from None
    return model.eval()


def choose_device(threads: int) -> torch.device:
    """Return the GPU where there is one, else the CPU with `threads` threads; full precision, repeatable kernels."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
