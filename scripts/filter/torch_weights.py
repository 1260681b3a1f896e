"""State dicts of other people's networks: read without running what is in them, loaded strictly."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from scripts.lib.errors import UserError
from scripts.lib.torch_files import load_torch_file


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Return a state dict from a `torch.save` file, or from a zip with one such file in it (torch.hub's old wrapping).

    A prefix `module.` that all keys share (DataParallel) is taken off.

    Raises:
        UserError: the file is neither, or holds anything but tensors by name.
    """
    content = load_torch_file(path)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise UserError(f"{path} holds {type(content).__name__} where tensors by name were expected")
    prefix = "module." if content and all(str(name).startswith("module.") for name in content) else ""
    return {str(name).removeprefix(prefix): value for name, value in content.items()}


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
