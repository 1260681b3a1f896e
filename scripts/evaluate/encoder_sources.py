"""Each kind of encoder from elsewhere: what it is shown, how its file is read, where its publisher keeps it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scripts.evaluate.pass_checkpoints import CHECKPOINTS, LICENCE, checkpoint_address
from scripts.evaluate.settings_encoders import (
    PassCheckpointEncoder,
    StateDictEncoder,
    Stranger,
    TimmEncoder,
    TorchvisionEncoder,
)
from scripts.evaluate.settings_weights import KeyMapping, Preprocessing
from scripts.lib.errors import UserError

UNSTATED = "not stated"
CLASSIFIER = ("fc.",)  # of torchvision's ResNets
INTERPOLATIONS = ("bilinear", "bicubic")


@dataclass(frozen=True)
class Source:
    """What is known of the weights of an entry before its file is read."""

    method: str
    mapping: KeyMapping
    preprocessing: Preprocessing
    licence: str
    facts: dict[str, Any]  # more of the description


def source_of(entry: Stranger) -> Source:
    """Return what is known of an entry.

    Raises:
        UserError: torchvision or timm have no such weights, or do not say how they are shown pictures.
    """
    if isinstance(entry, PassCheckpointEncoder):
        known = CHECKPOINTS[entry.checkpoint]
        facts = {"epochs": known.epochs, "images_of": "PASS"}
        return Source(known.method, known.mapping, known.preprocessing, entry.licence or LICENCE, facts)
    if isinstance(entry, StateDictEncoder):
        return Source("unknown", entry.mapping, entry.preprocessing, entry.licence or UNSTATED, {})
    if isinstance(entry, TorchvisionEncoder):
        mapping = KeyMapping(section=None, prefixes=(), rename={}, drop=CLASSIFIER)
        shown = entry.preprocessing or _torchvision_preprocessing(entry)
        return Source(
            "unknown" if entry.weights is None else "supervised", mapping, shown, entry.licence or UNSTATED, {}
        )
    config = _timm_config(entry)
    classifier = config["classifier"]
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier or ())
    mapping = KeyMapping(section=None, prefixes=(), rename={}, drop=tuple(f"{name}." for name in names))
    shown = entry.preprocessing or _timm_preprocessing(entry, config)
    return Source("unknown", mapping, shown, entry.licence or config.get("license") or UNSTATED, {})


def address_of(entry: Stranger) -> tuple[str, str]:
    """Return the address of an entry's weights and what their publisher says of the SHA-256: its first digits, or "".

    Raises:
        UserError: nobody publishes them.
    """
    if isinstance(entry, PassCheckpointEncoder):
        return checkpoint_address(entry.checkpoint), ""
    if isinstance(entry, TorchvisionEncoder):
        url = str(_torchvision_weights(entry).url)
        return url, url.rpartition("-")[2].removesuffix(".pth")
    if isinstance(entry, TimmEncoder):
        config = _timm_config(entry)
        repository, file = config.get("hf_hub_id"), config.get("hf_hub_filename") or "model.safetensors"
        if not repository:
            raise UserError(
                f"evaluate.encoders, {entry.name}: timm publishes no state dict of {entry.model}. Name a model "
                "with the tag of its weights (resnet50.a1_in1k), or give the `path` of a file"
            )
        return f"https://huggingface.co/{repository}/resolve/main/{file}", ""
    raise UserError(f"evaluate.encoders, {entry.name}: nobody publishes this file; give its `path`")


def _torchvision_weights(entry: TorchvisionEncoder) -> Any:
    from torchvision.models import get_model_weights

    known = get_model_weights(entry.model)
    if entry.weights not in known.__members__:
        raise UserError(
            f"evaluate.encoders, {entry.name}, weights: torchvision has no {entry.weights} of {entry.model}; there are "
            f"{', '.join(known.__members__)}"
        )
    return known[str(entry.weights)]


def _torchvision_preprocessing(entry: TorchvisionEncoder) -> Preprocessing:
    shown = _torchvision_weights(entry).transforms()
    return Preprocessing(
        mean=tuple(shown.mean),
        std=tuple(shown.std),
        image_size=shown.crop_size[0],
        resize=shown.resize_size[0],
        interpolation=shown.interpolation.value,
    )


def _timm_config(entry: TimmEncoder) -> dict[str, Any]:
    import timm

    found = timm.get_pretrained_cfg(entry.model) if timm.is_model(entry.model) else None
    if found is None:
        close = ", ".join(timm.list_models(f"{entry.model.partition('.')[0][:8]}*")[:5]) or "none like it"
        raise UserError(
            f"evaluate.encoders, {entry.name}, model: timm {timm.__version__} has no {entry.model}; it has {close}"
        )
    config: dict[str, Any] = found.to_dict()  # type: ignore[no-untyped-call]
    return config


def _timm_preprocessing(entry: TimmEncoder, config: dict[str, Any]) -> Preprocessing:
    _, height, width = config["input_size"]
    shown = (config["interpolation"], config.get("crop_mode") or "center")
    if height != width or shown[0] not in INTERPOLATIONS or shown[1] != "center":
        raise UserError(
            f"evaluate.encoders, {entry.name}: timm shows {entry.model} pictures of {height} x {width}, {shown[0]}, "
            f"{shown[1]}, and here they are squares from the centre, bilinear or bicubic; give `preprocessing`"
        )
    resize = math.floor(height / config["crop_pct"])  # as timm's own transform
    return Preprocessing(
        mean=tuple(config["mean"]), std=tuple(config["std"]), image_size=height, resize=resize, interpolation=shown[0]
    )
