"""Files of `torch.save` and safetensors that other people made: read without running what is in them."""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from scripts.lib.errors import UserError

MAX_UNPACKED_BYTES = 4_000_000_000  # of the member of a wrapping zip


def load_torch_file(path: Path) -> Any:
    """Return what `torch.save` or safetensors put into a file, or into a zip of one file (torch.hub's old wrapping).

    Tensors, containers, numbers and texts load, and the flags of a program (`argparse.Namespace`, as DINO keeps them
    beside its weights): a container of attributes. Anything else is refused before it runs.

    Raises:
        UserError: the file is neither, is not there, or holds anything else.
    """
    try:
        if _is_safetensors(path):
            return safetensors.torch.load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(_unwrapped(path), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - the restricted unpickler answers damaged bytes with nearly any
        first = str(error).strip().splitlines()[:1]
        raise UserError(
            f"{path} is no state dict that loads with weights_only=True ({type(error).__name__}: {first})"
        ) from None


def _is_safetensors(path: Path) -> bool:
    """Tell it by its start: the length of a JSON text, then the text."""
    with path.open("rb") as handle:
        return handle.read(9)[8:] == b"{"


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
