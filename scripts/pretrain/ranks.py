"""What the processes of a run tell each other, on one device or many.

Every process holds all of the method's state (queues and centres too, they are small), and takes its own, contiguous
slice of each micro-batch. Without a process group, each function here is the identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, distributed


def world() -> int:
    """Return the number of processes that share a batch."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def own(rows: Tensor) -> Tensor:
    """Return this process's slice [n / world, ...] of `rows` [n, ...]."""
    return rows.chunk(world())[rank()] if world() > 1 else rows


@torch.no_grad()
def gathered(rows: Tensor) -> Tensor:
    """Return the `rows` [n, ...] of all processes, in their order: [world · n, ...]."""
    if world() == 1:
        return rows
    parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(world())]
    distributed.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


@torch.no_grad()
def summed(values: Tensor) -> Tensor:
    """Return the sum of `values` over all processes; all get the same bits."""
    if world() == 1:
        return values
    total = values.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total


def averaged(values: Tensor) -> Tensor:
    """Return the mean of `values` over all processes."""
    return summed(values) / world()


def anywhere(here: bool) -> bool:
    """Return whether something holds in any process. Asked on the CPU, so that no GPU is waited for."""
    return bool(summed(torch.tensor(int(here)))) if world() > 1 else here


@torch.no_grad()
def average_in_place(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its mean over all processes."""
    if world() == 1 or not tensors:
        return
    flat = averaged(torch.cat([each.reshape(-1) for each in tensors]))
    for each, mean in zip(tensors, torch.split(flat, [each.numel() for each in tensors]), strict=True):
        each.copy_(mean.view_as(each))


class _Gather(torch.autograd.Function):
    """All processes' rows, forwards; the sum of all processes' gradients of one's own rows, backwards."""

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        context.count = len(rows)
        return gathered(rows)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        first = rank() * context.count
        return summed(gradients[0])[first : first + context.count]


class _Sum(torch.autograd.Function):
    """The sum over processes, forwards and backwards."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        return summed(values)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return summed(gradients[0])


def gathered_with_gradient(rows: Tensor) -> Tensor:
    """Return all processes' `rows` as `gathered` does, differentiable.

    A loss of all rows, computed alike in every process, then has the gradient of the loss once gradients of parameters
    are averaged over processes: each process's share arrives `world` times.
    """
    result: Tensor = _Gather.apply(rows) if world() > 1 else rows
    return result


def summed_with_gradient(values: Tensor) -> Tensor:
    """Return the sum of `values` over all processes, differentiable."""
    result: Tensor = _Sum.apply(values) if world() > 1 else values
    return result
