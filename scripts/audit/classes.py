"""What may be expected of a step that is run again: each output's class, with the reason where it is not the strictest.

Class A, of every output that is not named here: the same bytes on any machine, with any number of threads. Class A/hw:
the same bytes on one kind of machine (the hardware key of the record), close ones on another. Class D: outputs that
their step declares as varying (`scripts/lib/flags.py`): recorded, never compared. Final figures of trainings with
several seeds are of class C (`scripts/audit/equivalence.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.lib.records import Record

A, A_HW, D = "A", "A/hw", "D"

_NETWORK = "a network's floating-point sums depend on the processor's instructions, the threads and the GPU's libraries"
_SIMILAR = "products of float matrices: their rounding depends on the processor and the threads, and near ties turn"
_FITTED = "a fit in floating point: its rounding depends on the processor and the threads, and it adds up over steps"

# Step → why its outputs may differ between two kinds of machines.
HARDWARE: Mapping[str, str] = {
    "filter.detect_faces": _NETWORK,
    "filter.detect_people": _NETWORK,
    "pretrain.train": _NETWORK,
    "evaluate.embed": _NETWORK,
    "evaluate.apply_head": _NETWORK,
    "evaluate.finetune_classifier": _NETWORK,
    "evaluate.finetune_detector": _NETWORK,
    "evaluate.finetune_segmenter": _NETWORK,
    "evaluate.knn": _SIMILAR,
    "evaluate.few_shot": _SIMILAR,
    "evaluate.rank_me": _SIMILAR,
    "evaluate.cluster": _FITTED,
    "evaluate.linear_probe": _FITTED,
    "evaluate.linear_svm": _FITTED,
    "evaluate.low_shot": _FITTED,
    "evaluate.sgd_probe": _FITTED,
    "evaluate.draw_embedding": _FITTED,
}

# Step → why it is not run again: a second answer of the world says nothing about the first.
ASKS_OUTSIDE: Mapping[str, str] = {
    "curate.fetch_metadata": "it downloads; its bytes are checked against the SHA-256 of the configuration",
    "curate.download": "it asks servers or stores; its bytes are in its tar, and `verify` checks them",
    "evaluate.fetch_encoder": "it downloads; `verify` checks its bytes",
    "filter.fetch_weights": "it downloads or copies; its bytes are checked against the SHA-256 of the configuration",
    "pretrain.index_images": "it lists a folder outside the workflow, which its record does not hold",
}

# Packages whose versions can change bits of floating-point results or of decoded images.
NUMERIC = ("numpy", "scipy", "torch", "torchvision", "PIL", "cv2", "simplejpeg", "sklearn", "onnxruntime")


def class_of(step: str, output: Mapping[str, Any]) -> str:
    """Return the class of one entry of a record's outputs."""
    if output.get("varying"):
        return D
    return A_HW if step in HARDWARE else A


def hardware_key(record: Record) -> str:
    """Return the hardware key that a job was recorded with, "" when there is none."""
    return str(record.get("circumstances", {}).get("hardware", {}).get("key", ""))


def machine_differences(one: Record, other: Record) -> list[str]:
    """Return in words what may change bits between the machines of two jobs; [] when they are of one kind."""
    found = []
    mine, theirs = (each.get("circumstances", {}) for each in (one, other))
    if hardware_key(one) != hardware_key(other):
        parts = [each.get("hardware", {}) for each in (mine, theirs)]
        for name in ("processor", "threads", "accelerators", "system"):
            left, right = (part.get(name) for part in parts)
            if left != right:
                found.append(f"{name}: {_short(left)} and {_short(right)}")
        found = found or ["the hardware key"]
    versions = [each.get("packages", {}) for each in (mine, theirs)]
    for name in NUMERIC:
        left, right = (each.get(name) for each in versions)
        if left and right and left != right:
            found.append(f"{name} {left} and {right}")
    return found


def _short(part: Any) -> str:
    if isinstance(part, Mapping):
        return str(part.get("model") or part)
    if isinstance(part, list):
        return ", ".join(map(_short, part)) or "none"
    return str(part)
