"""The file between `sample_task` and `train`: labelled pictures, cut to what an encoder is shown."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from scripts.lib.errors import UserError
from scripts.lib.files import replacing
from scripts.lib.images import Pixels
from scripts.lib.recipe import canonical_json


@dataclass(frozen=True)
class LabelledSample:
    """Images of one size with one label each."""

    task: str
    pixels: Pixels  # [n, h, w, 3]
    labels: npt.NDArray[np.int64]  # [n]
    classes: int  # labels are below it


def write_sample(path: str | os.PathLike[str], sample: LabelledSample) -> None:
    """Write a sample as safetensors."""
    tensors: dict[str, npt.NDArray[Any]] = {
        "pixels": np.ascontiguousarray(sample.pixels),
        "labels": np.ascontiguousarray(sample.labels),
    }
    description = canonical_json({"task": sample.task, "classes": sample.classes})
    with replacing(path) as private:
        private.write_bytes(safetensors.numpy.save(tensors, metadata={"description": description}))


def read_sample(path: str | os.PathLike[str]) -> LabelledSample:
    """Read what `write_sample` wrote.

    Raises:
        UserError: the file is of something else, or damaged.
    """
    try:
        with safetensors.safe_open(path, framework="np") as handle:
            description: dict[str, Any] = json.loads((handle.metadata() or {})["description"])
            pixels, labels = handle.get_tensor("pixels"), handle.get_tensor("labels")
        return LabelledSample(str(description["task"]), pixels, labels, int(description["classes"]))
    except (KeyError, OSError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} is not a sample of a labelled set ({error}); make it again with `sample_task`"
        ) from None
