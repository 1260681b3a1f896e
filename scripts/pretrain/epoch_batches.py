"""Which images each step takes: an order that depends on the seed alone.

The batch of a step is a function of (seed, step), so a run continues at any step without having saved the state of a
generator; and a process's share of it is a slice, so that several processes see together what one would see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from scripts.lib.draws import generator

Item = tuple[int, int]  # epoch, index of the image


@dataclass(frozen=True)
class Share:
    """Which slice of a batch one process takes, and in how many micro-batches."""

    rank: int
    world: int
    parts: int


WHOLE = Share(rank=0, world=1, parts=1)


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the order of `count` images in an epoch."""
    return generator(seed, "epoch order", epoch).permutation(count)


class EpochBatches(Sampler[list[Item]]):
    """The batches of all steps from `start_step` on; the last, incomplete one of an epoch is dropped, as officially.

    A step's batch comes as `share.parts` micro-batches, one after the other, of each of which a process gets the
    contiguous slice of its rank.
    """

    def __init__(self, count: int, batch_size: int, epochs: int, *, seed: int, start_step: int, share: Share) -> None:
        self._count, self._batch_size, self._seed, self._share = count, batch_size, seed, share
        self._steps_per_epoch = count // batch_size
        self._steps = range(start_step, epochs * self._steps_per_epoch)

    def __len__(self) -> int:
        return len(self._steps) * self._share.parts

    def __iter__(self) -> Iterator[list[Item]]:
        order_of, order = -1, np.empty(0, dtype=np.int64)
        size = self._batch_size // (self._share.parts * self._share.world)
        for step in self._steps:
            epoch, batch = divmod(step, self._steps_per_epoch)
            if epoch != order_of:
                order_of, order = epoch, epoch_order(self._count, self._seed, epoch)
            for part in range(self._share.parts):
                first = batch * self._batch_size + (part * self._share.world + self._share.rank) * size
                yield [(epoch, int(index)) for index in order[first : first + size]]
