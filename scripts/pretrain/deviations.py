"""Where a run differs from the official code of its method: the entries of docs/decisions.md that apply to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.pretrain.run_base import SHARDS

Holds = Callable[[Any], bool]  # of a run


@dataclass(frozen=True)
class Deviation:
    """An entry, with its title as it stands there."""

    number: int
    title: str
    means: str  # for a run to which it applies
    applies: Holds


def _method(*names: str) -> Holds:
    return lambda run: run.method in names


def _splits(run: Any) -> bool:
    return getattr(run, "bn_splits", 1) > 1 and run.encoder.startswith("resnet")


DEVIATIONS = (
    Deviation(
        14,
        "SplitBN on one device",
        "BatchNorm's statistics are over parts of the batch, as officially over several GPUs' shares of it",
        _splits,
    ),
    Deviation(
        29,
        "SplitBN's running statistics are the mean over groups",
        "the official code under several GPUs keeps those of the first",
        _splits,
    ),
    Deviation(
        32,
        "CLD clusters what one GPU saw",
        "k-means is over parts of the batch where cluster_splits is above 1, as officially; the term is in 32 bits",
        _method("moco_v2_cld"),
    ),
    Deviation(
        35,
        "SimCLR is built and not in `config.yaml`",
        "two layers without BatchNorm in the head, NT-Xent as a mean over views, pixels normalised",
        _method("simclr"),
    ),
    Deviation(
        36,
        "Crops of several sizes",
        "red is normalised with a deviation of 0.229, where SwAV's scripts have 0.228",
        _method("swav"),
    ),
    Deviation(37, "SwAV on one device", "scores and assignments are computed in 32 bits", _method("swav")),
    Deviation(
        38,
        "DINO's encoder is the teacher's",
        "AdamW for every encoder; the official recipe of ResNet-50 is not built",
        _method("dino"),
    ),
    Deviation(
        39,
        "The ViT is ours",
        "attention is written out and positions are interpolated by a matrix; the numbers are the official ones'",
        lambda run: run.encoder.startswith("vit_"),
    ),
    Deviation(
        70,
        "`augmentation_backend`",
        "pixels of views from OpenCV, not from PIL",
        lambda run: run.augmentation_backend != "pil",
    ),
    Deviation(
        71,
        "`memory_format: channels_last`",
        "another order of memory, which rounds otherwise",
        lambda run: run.memory_format == "channels_last",
    ),
    Deviation(
        72,
        "`accumulation_steps`",
        "a batch goes through in parts; what looks at the whole batch sees a part",
        lambda run: run.accumulation_steps > 1,
    ),
    Deviation(
        80,
        "Image sets",
        "the images are not this project's selection",
        lambda run: run.images != SHARDS,
    ),
    Deviation(
        88,
        "The CIFAR-10 tier",
        "ImageNet's mean and deviation, and a head of two layers where MoCo's notebook has one",
        lambda run: run.encoder == "resnet18_cifar",
    ),
)


def deviations_of(run: Any) -> list[Deviation]:
    """Return those that apply to a run, by number."""
    return [each for each in DEVIATIONS if each.applies(run)]
