"""The file between `embed` and the protocols: features and labels of both splits, and what they are of.

One safetensors file for each encoder and task. `embed` makes it in shards that outlive a kill and joins them without
holding them all; protocols read it without torch.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from scripts.lib.errors import UserError
from scripts.lib.files import replacing
from scripts.lib.recipe import canonical_json

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[Any]

TENSORS = ("train_features", "train_labels", "test_features", "test_labels")
_DTYPES = {"float16": "F16", "float32": "F32", "int32": "I32", "int64": "I64", "bool": "BOOL"}


@dataclass(frozen=True)
class Features:
    """Features of a labelled set under one encoder."""

    train_features: Array  # [n, d] float32
    train_labels: Array  # [n] int64
    test_features: Array  # [m, d] float32
    test_labels: Array  # [m] int64
    # {"task": name, "class_names": [...], "encoder": description of the encoder, "inputs": {...}, "multi_label": bool}
    description: dict[str, Any]
    # What some protocols ask for: <split>_blocks [n, k, d], <split>_patches [n, d], train_views [n, v, d] float32;
    # <split>_accepted [n, classes] bool, where an image has other than one label; test_ignored [m, classes],
    # where a label counts neither as right nor as wrong
    extras: Mapping[str, Array] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.description["class_names"])

    @property
    def multi_label(self) -> bool:
        """Whether train images have several labels; the metric is then mean average precision."""
        return bool(self.description.get("multi_label", False))

    @property
    def inputs(self) -> dict[str, Any]:
        """What the features were made from."""
        return dict(self.description.get("inputs", {}))


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Array], metadata: Mapping[str, Any]) -> None:
    """Write tensors as safetensors, `metadata` as one text, whole or not at all."""
    with replacing(path) as private:
        plain = {name: np.ascontiguousarray(each) for name, each in tensors.items()}
        private.write_bytes(safetensors.numpy.save(plain, metadata={"description": canonical_json(dict(metadata))}))


def save_features(path: str | os.PathLike[str], features: Features) -> None:
    """Write features as safetensors, their description as one metadata text."""
    tensors = {name: getattr(features, name) for name in TENSORS} | dict(features.extras)
    write_tensors(path, tensors, features.description)


def join_shards(
    path: str | os.PathLike[str],
    shards: Mapping[str, Iterable[Path]],
    tensors: Mapping[str, Array],
    description: Mapping[str, Any],
) -> None:
    """Write the file of `save_features` from shards, one of which is held at a time.

    Args:
        path: the file.
        shards: split → files of `write_tensors` in order; a tensor `x` of them becomes `<split>_x`.
        tensors: further tensors, small.
        description: of the features.
    """
    listed = {split: list(files) for split, files in shards.items()}
    header: dict[str, Any] = {"__metadata__": {"description": canonical_json(dict(description))}}
    sources: list[tuple[str, list[Path] | Array]] = []
    end = 0
    for split, files in listed.items():
        for name, (dtype, shape) in _joined_shapes(files).items():
            size = int(np.prod(shape)) * dtype.itemsize
            header[f"{split}_{name}"] = _entry(dtype, shape, end, size)
            sources.append((name, files))
            end += size
    for name, tensor in sorted(tensors.items()):
        header[name] = _entry(tensor.dtype, tensor.shape, end, tensor.nbytes)
        sources.append((name, np.ascontiguousarray(tensor)))
        end += tensor.nbytes
    text = canonical_json(header).encode()
    text += b" " * (-len(text) % 8)  # the format asks for aligned tensors
    with replacing(path) as private, private.open("wb") as handle:
        handle.write(struct.pack("<Q", len(text)) + text)
        for name, source in sources:
            if isinstance(source, np.ndarray):
                handle.write(source.tobytes())
                continue
            for file in source:
                with safetensors.safe_open(file, framework="np") as shard:
                    handle.write(np.ascontiguousarray(shard.get_tensor(name)).tobytes())


def _entry(dtype: np.dtype[Any], shape: Iterable[int], start: int, size: int) -> dict[str, Any]:
    return {"dtype": _DTYPES[dtype.name], "shape": list(shape), "data_offsets": [start, start + size]}


def _joined_shapes(files: list[Path]) -> dict[str, tuple[np.dtype[Any], list[int]]]:
    shapes: dict[str, tuple[np.dtype[Any], list[int]]] = {}
    for file in files:
        with safetensors.safe_open(file, framework="np") as shard:
            for name in sorted(shard.keys()):
                tensor = shard.get_tensor(name)
                rows = shapes[name][1][0] if name in shapes else 0
                shapes[name] = (tensor.dtype, [rows + tensor.shape[0], *tensor.shape[1:]])
    return shapes


def load_features(path: str | os.PathLike[str], extras: Iterable[str] = ()) -> Features:
    """Read what `save_features` wrote; of the extras those that are named and there.

    Raises:
        UserError: the file is not of `save_features`.
    """
    try:
        with safetensors.safe_open(path, framework="np") as handle:
            description = json.loads((handle.metadata() or {})["description"])
            there = set(handle.keys())
            # A whole file is opened or none: a header that promises more than the file holds is refused here.
            found = {name: _plain(handle.get_tensor(name)) for name in TENSORS}
            more = {name: _plain(handle.get_tensor(name)) for name in sorted(set(extras) & there)}
    except (KeyError, OSError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} is not a file of features ({error}); make it again with the rule `embed`") from None
    return Features(**found, description=description, extras=more)


def _plain(tensor: Array) -> Array:
    return tensor.astype(np.float32) if tensor.dtype == np.float16 else tensor


def best_device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    import torch  # protocols that need no network start without it

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
