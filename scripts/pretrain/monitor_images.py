"""The images that a run is watched on: labelled ones that `sample_task` cut, or some of those that it is trained on."""

from __future__ import annotations

import heapq
import logging
from pathlib import Path

import numpy as np
import torch

from scripts.lib.draws import rank
from scripts.lib.images import Pixels, centre_view
from scripts.lib.labelled_sample import LabelledSample, read_sample
from scripts.pretrain.backend import View
from scripts.pretrain.contract import ViewDraws
from scripts.pretrain.run_base import RunBase
from scripts.pretrain.settings_monitor import MonitorSettings
from scripts.pretrain.shard_images import ImageList, ShardImages

LOG = logging.getLogger(__name__)
UNLABELLED = ""  # in place of a task's name
LARGER = 256 / 224  # OFFICIAL: short side before the centre crop, in crops


def whole_picture(image: Pixels, draws: ViewDraws) -> list[View]:
    """Return the only "view" of an image: itself, uint8 [h, w, 3]."""
    return [torch.from_numpy(np.array(image))]


def training_sample(run: RunBase, images: ImageList, count: int) -> LabelledSample:
    """Return the centre crops of `count` of the images that `run` is trained on: by the hash of their ids, sorted."""
    ids = images.table["image_id"].to_pylist()
    chosen = heapq.nsmallest(count, range(len(ids)), key=lambda index: rank(run.seed, "monitor", ids[index]))
    whole, size = ShardImages(images, whole_picture, run.seed), run.image_size
    pictures = (np.asarray(whole[0, index][0]) for index in sorted(chosen))
    pixels = [centre_view(picture, round(LARGER * size), size) for picture in pictures]
    return LabelledSample(UNLABELLED, np.stack(pixels), np.zeros(len(pixels), dtype=np.int64), classes=1)


def monitor_sample(settings: MonitorSettings, run: RunBase, images: ImageList, file: Path | None) -> LabelledSample:
    """Return what a run is watched on; `file` is what `sample_task` wrote where the settings name a task."""
    sample = training_sample(run, images, settings.images) if file is None else read_sample(file)
    LOG.info(
        "watched on %d images %s, before the first step, every %d epochs and at the end",
        len(sample.pixels),
        f"of the train split of {sample.task}" if sample.task else "that it is trained on, without labels",
        settings.every_epochs,
    )
    return sample
