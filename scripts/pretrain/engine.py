"""Train any method: Lightning moves and steps; position, schedules, metrics and checkpoints are functions of the step.

Lightning's own resume loses samples in mid-epoch (docs/decisions.md#28), so it is given one long epoch that
holds the steps still to do, and what a run needs to continue is saved and restored by `Steps`.
"""

from __future__ import annotations

import importlib
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from scripts.lib.checkpoints import load_checkpoint
from scripts.lib.errors import UserError
from scripts.pretrain.batch_norm import synchronise_batch_norms
from scripts.pretrain.contract import Method, Position
from scripts.pretrain.epoch_batches import EpochBatches, Share
from scripts.pretrain.interruption import outlive_signals
from scripts.pretrain.machine import PRECISIONS, Place
from scripts.pretrain.records import Records
from scripts.pretrain.run_base import RunBase
from scripts.pretrain.shard_images import ImageList, ShardImages
from scripts.pretrain.steps import Steps

LOG = logging.getLogger(__name__)


class Prepare(Callback):
    """Fits the networks to the machine, once the processes know each other and before the optimiser is made."""

    def __init__(self, run: RunBase, place: Place) -> None:
        self.run, self.place = run, place

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Lay out memory, share BatchNorm's statistics, compile."""
        assert isinstance(pl_module, Method)
        if self.run.memory_format == "channels_last":
            pl_module.to(memory_format=torch.channels_last)
        if self.place.world > 1:
            synchronise_batch_norms(pl_module, torch_kernels=self.place.accelerator == "gpu")
        if self.run.compile:
            for network in pl_module.networks():
                network.compile()


def check_images(run: RunBase, count: int) -> None:
    """Refuse a run that has not one full batch."""
    if count < run.batch_size:
        raise UserError(
            f"run {run.name} has {count} images ({run.images}), fewer than one batch: lower pretrain.runs.{run.name}"
            f".batch_size (now {run.batch_size}), or let more images through (filter: in the config; the report's "
            "funnel says where they went; for an image set, the log of index_images does)"
        )


def train_method(run: RunBase, method: Method, images: ImageList, place: Place, records: Records) -> None:
    """Train `method` in place for all epochs of `run`, from its checkpoint when there is one; fill `records`.

    There is one full batch: see `check_images`.

    Raises:
        UserError: a damaged shard, a loss that is not finite, or a stop before the end.
    """
    torch.set_num_threads(place.process_threads)
    start = Position(0, len(images) // run.batch_size, run.epochs)
    state = load_checkpoint(place.folder, place.key)
    if state is not None:
        start = Position(state["step"], start.steps_per_epoch, start.epochs)
        method.load_state_dict(state["module"])
        records.restore(state["records"])
        LOG.info("continues after step %d of %d (%s)", start.step, start.total_steps, place.folder)
        if state["machine"] != place.machine:
            LOG.warning(
                "the run began on %s and continues on %s: valid, but not bit for bit the run of one machine",
                state["machine"],
                place.machine,
            )
    if start.step < start.total_steps:
        watch = _new_watch(run, place, start, records)
        steps = Steps(run, place, start, records, watch=watch)
        steps.restored = state
        _fit(run, method, images, place, steps)
        if watch is not None:
            watch.close()


def _new_watch(run: RunBase, place: Place, start: Position, records: Records) -> Any:
    """Return what shows the run to a person, in the first process; loaded by name, so that the run's fingerprint does
    not cover it.
    """
    if place.rank > 0:
        return None
    module = importlib.import_module("scripts.pretrain.watch")
    seen = {"metrics": records.metrics, "monitor": records.monitor}
    return module.Watch(run, start, **seen, folder=place.watch, workers=place.workers, views=place.views)


def _fit(run: RunBase, method: Method, images: ImageList, place: Place, steps: Steps) -> None:
    share = Share(place.rank, place.world, run.accumulation_steps)
    first = steps.position.step
    batches = EpochBatches(len(images), run.batch_size, run.epochs, seed=run.seed, start_step=first, share=share)
    loader = DataLoader(
        ShardImages(images, method.make_views, run.seed),
        batch_sampler=batches,
        num_workers=place.workers,
        prefetch_factor=place.prefetch if place.workers else None,
        pin_memory=place.accelerator == "gpu",
        worker_init_fn=outlive_signals,
    )
    try:
        with _quiet_lightning():
            trainer = Trainer(
                accelerator=place.accelerator,
                devices=place.devices,
                num_nodes=place.nodes,
                strategy=place.strategy(),
                plugins=[place.environment(os.environ)],
                max_epochs=1,  # of Lightning's: all steps still to do
                accumulate_grad_batches=run.accumulation_steps,
                precision=PRECISIONS[run.precision],
                deterministic="warn",  # bits repeat on one machine; an operation that cannot says so
                benchmark=False,
                callbacks=[Prepare(run, place), steps, *([steps.watch] if steps.watch else [])],
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
                num_sanity_val_steps=0,
            )
            # Deterministic mode fills all fresh memory with NaN, for code that reads what it never wrote; not ours.
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
            trainer.fit(method, loader)
    except UserError as error:
        # A worker process hands its error over with a traceback in the text; the reader wants the last paragraph.
        raise UserError(str(error).rpartition("UserError: ")[2].strip()) from None
    if steps.position.step != steps.position.total_steps:
        raise UserError(
            f"run {run.name} was stopped after step {steps.position.step} of {steps.position.total_steps} because "
            f"{steps.stopped or 'Lightning ended early'}; run the same command again, it continues from last.ckpt"
        )


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Leave Lightning's warnings through, but not its notes on itself."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")  # Lightning's own use of torch
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
