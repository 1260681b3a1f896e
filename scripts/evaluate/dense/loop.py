"""Train by steps: rates, pictures and random choices are functions of (seed, step), so a killed run continues alike.

Several processes share each batch (torch's DistributedDataParallel, which averages their gradients); the first writes
the checkpoints.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from scripts.evaluate.settings_finetuned import DenseRecipe, StepSchedule
from scripts.evaluate.views import ahead
from scripts.lib.checkpoints import load_checkpoint, save_checkpoint
from scripts.lib.draws import derived_seed, generator
from scripts.lib.errors import UserError

log = logging.getLogger(__name__)
LOG_SECONDS = 20.0
STEPS_AHEAD = 2  # whose pictures are prepared while the network works

Sample = TypeVar("Sample")
Losses = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Place:
    """Where a fit computes and where it leaves its checkpoints."""

    folder: Path
    key: str  # what a checkpoint must carry to be continued from
    threads: int
    device: torch.device
    rank: int = 0  # of this process
    world: int = 1  # processes

    @property
    def machine(self) -> str:
        """Return what equal bits depend on besides the key."""
        name = torch.cuda.get_device_name() if self.device.type == "cuda" else f"CPU, {self.threads} threads"
        return f"{self.world} x {name}"


@dataclass(frozen=True)
class Plan:
    """How long a fit is and what happens when."""

    steps: int
    batch_size: int  # of all processes
    seed: int
    checkpoint_every: int
    rate_of: Callable[[int], float]  # learning rate at a step, before the factor of a group of parameters
    batch_of: Callable[[int], Sequence[int]]  # indices of the pictures of a step


def step_rate(schedule: StepSchedule, step: int) -> float:
    """Return the learning rate at a step: a linear rise as detectron2's `WarmupMultiStepLR`, then steps."""
    rate = schedule.learning_rate * schedule.factor ** sum(step >= each for each in schedule.milestones)
    if step < schedule.warm_up_steps:
        share = step / schedule.warm_up_steps
        rate *= schedule.warm_up_factor * (1 - share) + share
    return rate


def endless_batch(count: int, batch_size: int, seed: int, step: int) -> list[int]:
    """Return the pictures of a step: shuffled epochs laid end to end, so that every batch is full."""
    places = range(step * batch_size, (step + 1) * batch_size)
    orders = {
        epoch: generator(seed, "fine-tune order", epoch).permutation(count)
        for epoch in {place // count for place in places}
    }
    return [int(orders[place // count][place % count]) for place in places]


def plan_of(recipe: DenseRecipe, seed: int, pictures: int) -> Plan:
    """Return the steps of a recipe on so many pictures."""
    schedule = recipe.schedule
    return Plan(
        schedule.steps,
        schedule.batch_size,
        seed,
        recipe.checkpoint_every_steps,
        lambda step: step_rate(schedule, step),
        lambda step: endless_batch(pictures, schedule.batch_size, seed, step),
    )


def prepared(plan: Plan, place: Place, load: Callable[[int, int], Sample], start: int) -> Iterator[list[Sample]]:
    """Yield the samples of this process's part of each step's batch; `load` takes (step, index of the picture)."""
    own = [
        (step, index) for step in range(start, plan.steps) for index in plan.batch_of(step)[place.rank :: place.world]
    ]
    each = [0] * (plan.steps - start)
    for step, _ in own:
        each[step - start] += 1
    samples = ahead(lambda wanted: load(*wanted), own, place.threads, STEPS_AHEAD * max(each, default=1))
    for count in each:
        yield [next(samples) for _ in range(count)]


class Fit:
    """A network on its way through a plan.

    Args:
        module: what is trained; its state is what a checkpoint holds.
        optimiser: groups may have the key `rate_factor`.
        plan: steps, rates and batches.
        place: where.
    """

    def __init__(self, module: nn.Module, optimiser: torch.optim.Optimizer, plan: Plan, place: Place) -> None:
        self.module, self.optimiser, self.plan, self.place = module, optimiser, plan, place
        self.step = 0
        self.history: list[tuple[float, float]] = []  # rate and loss of each step
        self._said = self._began = time.monotonic()

    def restore(self) -> None:
        """Continue from the checkpoint where there is one of this key."""
        state = load_checkpoint(self.place.folder, self.place.key)
        if state is None:
            return
        self.step = state["step"]
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimizer"])
        self.history = list(zip(*state["history"].double().tolist(), strict=True)) if self.step else []
        log.info("continues after step %d of %d (%s)", self.step, self.plan.steps, self.place.folder)
        if state["machine"] != self.place.machine:
            log.warning(
                "the fit began on %s and continues on %s: valid, but not bit for bit the fit of one machine",
                state["machine"],
                self.place.machine,
            )

    def run(self, load: Callable[[int, int], Sample], losses_of: Callable[[list[Sample]], Losses]) -> None:
        """Take all steps that are left.

        Args:
            load: (step, index of a picture) → sample; called from threads.
            losses_of: the parts of the loss of a batch.

        Raises:
            UserError: a loss is not finite.
        """
        self._began = self._said = time.monotonic()
        first = self.step
        for samples in prepared(self.plan, self.place, load, first):
            torch.manual_seed(derived_seed(self.plan.seed, "fine-tune step", self.step, self.place.rank))
            rate = self.plan.rate_of(self.step)
            for group in self.optimiser.param_groups:
                group["lr"] = rate * group.get("rate_factor", 1.0)
            parts = losses_of(samples)
            loss = torch.stack(list(parts.values())).sum()
            value = float(loss.detach())
            if not math.isfinite(value):
                shown = ", ".join(f"{name} {float(part.detach()):.3g}" for name, part in parts.items())
                raise UserError(
                    f"the loss is {value} at step {self.step} ({shown}), so the fit diverged: lower the learning rate "
                    "of the recipe, lengthen its warm-up, or, for keypoints, set fpn_norm to true"
                )
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            self.history.append((rate, value))
            self.step += 1
            self._log(first, parts)
            if self.step % self.plan.checkpoint_every == 0 or self.step == self.plan.steps:
                self._save()

    def _log(self, first: int, parts: Losses) -> None:
        now = time.monotonic()
        if now - self._said < LOG_SECONDS and self.step < self.plan.steps:
            return
        self._said = now
        rate = (self.step - first) / max(now - self._began, 1e-9)
        shown = ", ".join(f"{name} {float(part.detach()):.3f}" for name, part in parts.items())
        left = (self.plan.steps - self.step) / rate / 60
        log.info(
            "step %d/%d, loss %.3f (%s), %.1f images/s, %.0f minutes left",
            self.step,
            self.plan.steps,
            self.history[-1][1],
            shown,
            rate * self.plan.batch_size,
            left,
        )

    def _save(self) -> None:
        if self.place.rank:
            return
        history = np.array(self.history, dtype=np.float64).T.copy()
        state: dict[str, Any] = {
            "step": self.step,
            "machine": self.place.machine,
            "module": self.module.state_dict(),
            "optimizer": self.optimiser.state_dict(),
            "history": torch.from_numpy(history),
        }
        save_checkpoint(self.place.folder, self.place.key, state)


def sgd(groups: Sequence[dict[str, Any]], schedule: StepSchedule) -> torch.optim.SGD:
    """Return SGD on groups of parameters, with weight decay on all of them, as detectron2's default has it."""
    return torch.optim.SGD(
        list(groups), lr=schedule.learning_rate, momentum=schedule.momentum, weight_decay=schedule.weight_decay
    )
