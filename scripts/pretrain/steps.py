"""What happens around each step, as one Lightning callback."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from scripts.lib.checkpoints import State, content_digest, keep_checkpoint, save_checkpoint
from scripts.lib.disk import disk_problem
from scripts.lib.draws import derived_seed
from scripts.lib.errors import UserError
from scripts.pretrain import ranks
from scripts.pretrain.contract import Method, Position
from scripts.pretrain.interruption import Interruption
from scripts.pretrain.machine import Place
from scripts.pretrain.records import Records
from scripts.pretrain.run_base import RunBase
from scripts.pretrain.trace import FIRST_STEPS

LOG = logging.getLogger(__name__)


class Steps(Callback):
    """Sets what a step depends on, notes what came out of it, and saves."""

    def __init__(self, run: RunBase, place: Place, start: Position, records: Records, *, watch: Any) -> None:
        self.run, self.place, self.position, self.records, self.watch = run, place, start, records, watch
        self.restored: State | None = None
        self.stopped: str | None = None  # why, when it was before the end
        self._interruption = Interruption()
        self._parts: list[Mapping[str, Tensor]] = []  # what the micro-batches of this step returned

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put back what only exists once Lightning has set up: the optimiser's state and the loss scale."""
        if trainer.world_size != self.place.world:
            raise UserError(
                f"run {self.run.name} was to train in {self.place.world} processes, and {trainer.world_size} came up"
            )
        starts = ranks.gathered(torch.tensor([self.position.step], device=pl_module.device))
        if not bool((starts == self.position.step).all()):
            raise UserError(
                f"the processes of run {self.run.name} found different checkpoints in {self.place.folder} (steps "
                f"{starts.tolist()}): its file system shows old content. Wait a minute and run the same command again"
            )
        if self.restored is not None:
            trainer.optimizers[0].load_state_dict(self.restored["optimizer"])
            if self.restored["scaler"]:
                trainer.precision_plugin.load_state_dict(self.restored["scaler"])
            self.restored = None
        self._observe(pl_module)
        self._interruption.watch()  # after Lightning has set its own

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set schedules, and the global generator for methods with dropout, as functions of the step."""
        assert isinstance(pl_module, Method)
        part = pl_module.part = len(self._parts)
        draw = (self.position.step * self.run.accumulation_steps + part) * self.place.world + ranks.rank()
        torch.manual_seed(derived_seed(self.run.seed, "step", draw))
        if part == 0:
            pl_module.begin_step(self.position, trainer.optimizers[0])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the step, note its metrics, save when it is time."""
        assert isinstance(pl_module, Method)
        self._parts.append(outputs)
        if len(self._parts) < self.run.accumulation_steps:
            return
        pl_module.end_step()
        means = self._means()
        loss = self.records.metrics.record(self.position, trainer.optimizers[0].param_groups[0]["lr"], means)
        if self.watch is not None:
            self.watch.step(self.position, loss)
        self.position = done = self.position.next
        self._observe(pl_module)
        reason = self._interruption.reason()
        if done.step == self.place.stop_after:
            reason = "--stop-after says so"
        stop = ranks.anywhere(reason is not None) and done.step < done.total_steps
        regular = done.step % self.run.checkpoint_every_steps == 0 or done.step % done.steps_per_epoch == 0
        traced = regular or done.step <= FIRST_STEPS
        if ranks.rank() == 0 and (stop or traced):  # all hold the same
            learnt = {"module": pl_module.state_dict(), "optimizer": trainer.optimizers[0].state_dict()}
            digests = {name: content_digest(state) for name, state in learnt.items()}
            if traced:
                self.records.trace.record(done, float(means["loss"]), **digests)
            if stop or regular:
                self._save({**learnt, "scaler": trainer.precision_plugin.state_dict()}, digests, must=stop)
        if stop:
            self.stopped = reason or "another process was asked to stop"
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the signals back."""
        self._interruption.release()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self._interruption.release()

    def _means(self) -> dict[str, Tensor]:
        """Return the means over the step's micro-batches and the processes."""
        names = list(self._parts[0])
        values = torch.stack([torch.stack([part[name].detach().float() for name in names]) for part in self._parts])
        means = ranks.averaged(values.mean(dim=0))
        self._parts = []
        # Lightning has divided the loss by the number of micro-batches already.
        scale = {"loss": self.run.accumulation_steps}
        return {name: mean * scale.get(name, 1) for name, mean in zip(names, means, strict=True)}

    def _observe(self, module: LightningModule) -> None:
        """Try the encoder on the monitor's images when it is time; the other processes wait at their next exchange."""
        assert isinstance(module, Method)
        if ranks.rank() == 0:
            self.records.monitor.observe(self.position, module.encoder())

    def _save(self, learnt: State, digests: dict[str, str], must: bool) -> None:
        """Write a checkpoint. A disk that is full for a while does not end a run of weeks, unless it ends now."""
        state = {
            "step": self.position.step,
            "machine": self.place.machine,
            **learnt,
            "records": self.records.state(),
        }
        try:
            save_checkpoint(self.place.folder, self.place.key, state, digests)
            done, kept = self.position, self.place.keep_every * self.position.steps_per_epoch
            if kept and done.step % kept == 0 and done.step < done.total_steps:
                keep_checkpoint(self.place.folder, done.step)
        except OSError as error:
            problem = disk_problem(error)
            if must or problem is None or self.position.step == self.position.total_steps:
                raise
            LOG.warning("no checkpoint after step %d, and the run goes on: %s", self.position.step, problem)
