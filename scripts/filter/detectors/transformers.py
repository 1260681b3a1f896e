"""A detection transformer of the package `transformers`, trained on COCO: D-FINE, RF-DETR, RT-DETR and RT-DETRv2.

They are the strongest open COCO detectors whose code and weights may be used for anything (Apache-2.0): D-FINE-X after
Objects365 has a box AP of 59.3, RF-DETR-L 56.5. The network is built from the published `config.json` and filled from
the published `model.safetensors`, both brought by `fetch_weights`; nothing is looked up on a server and no pickle is
read. Preprocessing is that of the published processors: the picture becomes a square without keeping its proportions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.transforms.v2 import functional

from scripts.filter.boxes import Boxes, as_boxes
from scripts.filter.settings import TransformersDetector
from scripts.filter.torch_weights import choose_device
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels

PERSON = "person"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Architecture:
    """A `model_type`, as config.json names it."""

    network: str  # class in the package
    prepare: Callable[[Tensor, int], Tensor]  # uint8 [n, 3, h, w] and the side → float32 [n, 3, side, side]


def prepare_rt_detr(pixels: Tensor, side: int) -> Tensor:
    """OFFICIAL RTDetrImageProcessor: smoothed bilinear scaling of levels, which are then divided by 255."""
    ready: Tensor = functional.resize(pixels, [side, side], antialias=True).float() / 255
    return ready


def prepare_rf_detr(pixels: Tensor, side: int) -> Tensor:
    """OFFICIAL RfDetrImageProcessor: division by 255, bilinear scaling without smoothing, ImageNet's normalisation."""
    ready: Tensor = functional.resize(pixels.float() / 255, [side, side], antialias=False)
    mean, deviation = (
        torch.tensor(values, device=ready.device)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return (ready - mean) / deviation


ARCHITECTURES = {
    "d_fine": Architecture("DFineForObjectDetection", prepare_rt_detr),
    "rf_detr": Architecture("RfDetrForObjectDetection", prepare_rf_detr),
    "rt_detr": Architecture("RTDetrForObjectDetection", prepare_rt_detr),
    "rt_detr_v2": Architecture("RTDetrV2ForObjectDetection", prepare_rt_detr),
}


def import_offline() -> Any:
    """Import the package with its way to servers shut: it then raises where it would download or report."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY"):
        os.environ[name] = "1"
    import transformers

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return transformers


def read_config(path: Path, name: str) -> tuple[dict[str, Any], Architecture, int]:
    """Return a config.json, its architecture and the number of its person class.

    Raises:
        UserError: not a config of one of `ARCHITECTURES`, or its classes hold no person, or several.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        kind = values["model_type"]
        labels = values.get("id2label") or {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"the config of the detector {name} at {path} is not a config.json of transformers") from None
    if kind not in ARCHITECTURES:
        raise UserError(f"the detector {name} is a {kind}; this step knows {', '.join(ARCHITECTURES)}")
    people = [int(number) for number, label in labels.items() if str(label).lower() == PERSON]
    if len(people) != 1:
        raise UserError(
            f"the config of the detector {name} at {path} names {len(people)} classes `{PERSON}` in id2label, and one "
            "is needed: take the config.json of a detector that was trained on COCO"
        )
    return values, ARCHITECTURES[kind], people[0]


def build_network(values: dict[str, Any], weights: Path, name: str) -> nn.Module:
    """Return the network of a config.json with all its tensors from a safetensors file, in eval mode.

    Raises:
        UserError: the file is no safetensors file, or its tensors are not those of the network.
    """
    package = import_offline()
    try:
        state = load_file(weights)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"the weights of the detector {name} at {weights} are no safetensors file: {error}") from None
    network_class = getattr(package, ARCHITECTURES[values["model_type"]].network)
    config = network_class.config_class.from_dict(values)
    # With a state dict and no name this reads nothing; it knows the tensors that a file leaves out because others
    # are equal to them, and the names that older files use.
    try:
        network, report = network_class.from_pretrained(
            None, config=config, state_dict=state, output_loading_info=True, ignore_mismatched_sizes=True
        )
    except Exception as error:  # the package has no class of its own for a config that its network cannot be built of
        raise UserError(
            f"the network of the detector {name} cannot be built: {' '.join(str(error).split())[:400]}"
        ) from error
    wrong = {what: sorted(map(str, report[what])) for what in ("missing_keys", "unexpected_keys", "mismatched_keys")}
    if any(wrong.values()):
        found = "; ".join(f"{what.replace('_', ' ')} {', '.join(keys[:3])}" for what, keys in wrong.items() if keys)
        raise UserError(f"the weights {weights} are not those of the detector {name}: {found}"[:600])
    evaluated: nn.Module = network.float().eval()
    return evaluated


def read_outputs(logits: Tensor, places: Tensor, person: int) -> tuple[Tensor, Tensor]:
    """Return corners [n, k, 4] as shares of the image and scores [n, k], 0 where the class is another.

    As the package's `post_process_object_detection`: of all pairs of query and class, the best k = number of queries.

    Args:
        logits: [n, queries, classes].
        places: [n, queries, 4], centre x, y, width, height as shares of the image.
        person: class.
    """
    queries, classes = logits.shape[1:]
    scores, index = logits.sigmoid().flatten(1).topk(queries, dim=1)  # [n, k]
    chosen = places.gather(1, (index // classes)[..., None].expand(-1, -1, 4))
    centres, halves = chosen[..., :2], chosen[..., 2:] / 2
    corners = torch.cat([centres - halves, centres + halves], dim=-1)
    return corners, torch.where(index % classes == person, scores, torch.zeros_like(scores))


class TransformersRunner:
    """A loaded detection transformer."""

    def __init__(
        self, settings: TransformersDetector, network: nn.Module, kind: Architecture, person: int, device: torch.device
    ) -> None:
        self.settings, self.kind, self.person, self.device = settings, kind, person, device
        self.network = network.to(device)

    def prepare(self, images: list[Pixels]) -> Tensor:
        """Return [n, 3, side, side] as the network wants it."""
        batch = torch.from_numpy(np.stack(images)).to(self.device).permute(0, 3, 1, 2)
        return self.kind.prepare(batch, self.settings.input_size)

    def detect(self, images: list[Pixels], scale: float = 1.0) -> list[Boxes]:
        """Return the people of images of equal size."""
        assert scale == 1  # `load_detector` refuses others
        height, width = images[0].shape[:2]
        with torch.inference_mode():
            outputs = self.network(self.prepare(images))
            corners, scores = read_outputs(outputs.logits, outputs.pred_boxes, self.person)
        back = np.array([width, height, width, height], np.float32)
        floor = self.settings.score_floor
        return [
            as_boxes(each_corners * back, each_scores, floor)
            for each_corners, each_scores in zip(corners.cpu().numpy(), scores.cpu().numpy(), strict=True)
        ]


def load_detector(settings: TransformersDetector, weights: list[Path], threads: int) -> TransformersRunner:
    """Return the detector of `settings`.

    Args:
        settings: of the detector.
        weights: its model.safetensors, and its config.json.
        threads: of the CPU.

    Raises:
        UserError: the files are not those of a detector that this module knows.
    """
    if len(weights) != 2:
        raise UserError(
            f"the detector {settings.name} needs two files, weights and config; --weights has {len(weights)}"
        )
    if settings.views is not None and set(settings.views.scales) != {1.0}:
        raise UserError(
            f"the detector {settings.name} ({settings.kind}) sees every picture at {settings.input_size} pixels, so "
            "views.scales can only be [1.0]: give it views.tiles"
        )
    values, architecture, person = read_config(weights[1], settings.name)
    device = choose_device(threads)
    network = build_network(values, weights[0], settings.name)
    return TransformersRunner(settings, network, architecture, person, device)
