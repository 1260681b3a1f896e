"""Run `train` several times in processes that die at given steps.

`python -m tests.pretrain.lives '<JSON>'` takes a list of lives {"flags": [...], "die_at": steps or null, "workers": n
or null}, and forks one process for each, one after the other; torch is loaded once and used only in the children. A
life ends in the middle of a step: when the gradients are there and the weights are not yet changed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from scripts.pretrain.train import main  # isort: skip (sets how OpenMP waits, before torch is loaded)
from scripts.pretrain import machine, steps

DIED = 9


def live(life: dict[str, Any]) -> None:
    """Train in this process, which does not come back when `die_at` says so."""
    if life["workers"] is not None:
        machine.Place.workers = property(lambda self: life["workers"])  # type: ignore[assignment, method-assign]
    if life["die_at"] is not None:
        done = 0

        def count(*_: Any) -> None:
            nonlocal done
            done += 1
            if done > life["die_at"]:
                os._exit(DIED)

        # Lightning calls this when loss and gradients are there, whatever the optimiser.
        steps.Steps.on_before_optimizer_step = count  # type: ignore[method-assign]
    main(life["flags"])


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    for number, life in enumerate(json.loads(sys.argv[1])):
        child = os.fork()
        if child == 0:
            live(life)
            sys.exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        expected = 0 if life["die_at"] is None else DIED
        if status != expected:
            sys.exit(f"life {number} ended with {status} where {expected} was expected: {life}")
