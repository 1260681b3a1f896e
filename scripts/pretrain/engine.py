"""Train any method: Lightning moves and steps; position, schedules, metrics and checkpoints are functions of the step.

Lightning's own resume loses samples in mid-epoch (docs/decisions.md#28), so it is given one long epoch that
holds the steps still to do, and what a run needs to continue is saved and restored here.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from scripts.lib.checkpoints import State, load_checkpoint, save_checkpoint
from scripts.lib.draws import derived_seed
from scripts.lib.errors import UserError
from scripts.pretrain.contract import Method, Position
from scripts.pretrain.epoch_batches import EpochBatches
from scripts.pretrain.metrics import Metrics
from scripts.pretrain.progress import Progress
from scripts.pretrain.settings import RunBase
from scripts.pretrain.shard_images import ImageList, ShardImages

LOG = logging.getLogger(__name__)
PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


@dataclass(frozen=True)
class Place:
    """Where a run computes and where it leaves its checkpoints."""

    folder: Path
    key: str  # what a checkpoint must carry to be continued from
    threads: int

    @property
    def workers(self) -> int:
        """Return the number of loader processes; the training process itself needs one thread."""
        return self.threads - 1

    @property
    def machine(self) -> str:
        """Return what equal bits depend on besides the key."""
        return torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {self.threads} threads"


class Steps(Callback):
    """What happens around each step."""

    def __init__(self, run: RunBase, metrics: Metrics, progress: Progress, place: Place, start: Position) -> None:
        self.run, self.metrics, self.progress, self.place, self.position = run, metrics, progress, place, start
        self.restored: State | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put back what only exists once Lightning has set up: the optimiser's state and the loss scale."""
        if self.restored is not None:
            trainer.optimizers[0].load_state_dict(self.restored["optimizer"])
            if self.restored["scaler"]:
                trainer.precision_plugin.load_state_dict(self.restored["scaler"])
            self.restored = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set schedules, and the global generator for methods with dropout, as functions of the step."""
        assert isinstance(pl_module, Method)
        torch.manual_seed(derived_seed(self.run.seed, "step", self.position.step))
        pl_module.begin_step(self.position, trainer.optimizers[0])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the step, note its metrics, save when it is time."""
        loss = self.metrics.record(self.position, trainer.optimizers[0].param_groups[0]["lr"], outputs)
        done = Position(self.position.step + 1, self.position.steps_per_epoch, self.position.epochs)
        self.progress.step(self.position, loss)
        self.position = done
        if done.step % self.run.checkpoint_every_steps == 0 or done.step % done.steps_per_epoch == 0:
            self._save(trainer, pl_module)

    def _save(self, trainer: Trainer, module: LightningModule) -> None:
        state = {
            "step": self.position.step,
            "machine": self.place.machine,
            "module": module.state_dict(),
            "optimizer": trainer.optimizers[0].state_dict(),
            "scaler": trainer.precision_plugin.state_dict(),
            "metrics": self.metrics.state(),
        }
        save_checkpoint(self.place.folder, self.place.key, state)


def check_images(run: RunBase, count: int) -> None:
    """Refuse a run that has not one full batch."""
    if count < run.batch_size:
        raise UserError(
            f"the shards hold {count} images, fewer than one batch of run {run.name}: lower pretrain.runs.{run.name}"
            f".batch_size (now {run.batch_size}), or let more images through (filter: in the config; the report's "
            "funnel says where they went)"
        )


def train_method(run: RunBase, method: Method, images: ImageList, place: Place) -> Metrics:
    """Train `method` in place for all epochs of `run`, from its checkpoint when there is one; return the metrics.

    Raises:
        UserError: too few images, a damaged shard, a loss that is not finite, or a precision that this machine lacks.
    """
    check_images(run, len(images))
    torch.set_num_threads(place.threads)
    start = Position(0, len(images) // run.batch_size, run.epochs)
    metrics = Metrics(method.metric_names, start.total_steps)
    state = load_checkpoint(place.folder, place.key)
    if state is not None:
        start = Position(state["step"], start.steps_per_epoch, start.epochs)
        method.load_state_dict(state["module"])
        metrics.restore(state["metrics"])
        LOG.info("continues after step %d of %d (%s)", start.step, start.total_steps, place.folder)
        if state["machine"] != place.machine:
            LOG.warning(
                "the run began on %s and continues on %s: valid, but not bit for bit the run of one machine",
                state["machine"],
                place.machine,
            )
    if start.step < start.total_steps:
        progress = Progress(start, run.batch_size)
        steps = Steps(run, metrics, progress, place, start)
        steps.restored = state
        _fit(run, method, images, place, steps)
        progress.close()
    return metrics


def _fit(run: RunBase, method: Method, images: ImageList, place: Place, steps: Steps) -> None:
    gpu = torch.cuda.is_available()
    if run.precision == "fp16" and not gpu:
        raise UserError(
            f"run {run.name} asks for precision fp16, which needs a GPU, and this machine shows none; set precision to "
            "fp32 or bf16, or run on a GPU node"
        )
    loader = DataLoader(
        ShardImages(images, method.make_views, run.seed),
        batch_sampler=EpochBatches(len(images), run.batch_size, run.epochs, run.seed, steps.position.step),
        num_workers=place.workers,
        pin_memory=gpu,
    )
    quiet = logging.getLogger("lightning.pytorch")
    level = quiet.level
    quiet.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")  # Lightning's own use of torch
            trainer = Trainer(
                accelerator="gpu" if gpu else "cpu",
                devices=1,
                max_epochs=1,  # of Lightning's: all steps still to do
                precision=PRECISIONS[run.precision],
                deterministic="warn",  # bits repeat on one machine; an operation that cannot says so
                benchmark=False,
                callbacks=[steps],
                plugins=[LightningEnvironment()],  # never reads SLURM's variables: one process, one device
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
    finally:
        quiet.setLevel(level)
    if steps.position.step != steps.position.total_steps:
        raise UserError(
            f"run {run.name} was stopped after step {steps.position.step} of {steps.position.total_steps}; run the "
            "same command again, it continues from last.ckpt"
        )
