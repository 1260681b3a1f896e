"""One MoCo-v2 step on the CPU, and the losses alone, against the same from lightly's blocks.

The step is the whole of it but for the data: EMA of the key encoder, both forward passes, InfoNCE over the queue,
backward, SGD, the queue. Both have the same networks (torchvision's ResNet and a two-layer head), sizes, batch, rates,
K = 65,536 and one thread. It is not quite the same work: ours turns bytes into normalised floats and measures accuracy
and deviation of the features too, lightly is handed the floats. Ours runs in channels_last, lightly in both layouts,
and the faster of its two is what ours is compared with.

The losses, forward and backward: DINO's with the change of the centre, SwAV's with the assignments, InfoNCE with the
change of the queue, from the same outputs. The values of both are printed beside each other.

One measurement after the other, programs alternating, CPU-seconds of this process; `ratios` are medians over rounds of
lightly's time by ours in the same round, because the load of a shared machine moves both.

    make peers && python -m benchmarks.train_step --rounds 5
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
import yaml
from torch import Tensor, nn
from torch.nn import functional

from scripts.config import load_config
from scripts.pretrain.contract import Position, normalised
from scripts.pretrain.methods.dino import distillation_loss, targets_of
from scripts.pretrain.methods.moco_v2 import build_method
from scripts.pretrain.methods.swav import sinkhorn, swapped_loss
from scripts.pretrain.momentum import info_nce
from scripts.pretrain.settings import MocoV2Run

PEERS = Path(".venv-peers/beside-torch")
STEPS = {"r18_64px": ("resnet18", 64, 64), "r50_64px": ("resnet50", 64, 32)}  # encoder, pixels, batch
CHANNELS_LAST, CONTIGUOUS = torch.channels_last, torch.contiguous_format
OURS = "ours"

Program = Callable[[], float]  # one step → its loss
Loss = tuple[Callable[[], Tensor], list[Tensor]]  # the loss of outputs, and those which have a gradient


def our_step(run: MocoV2Run, views: list[Tensor]) -> Program:
    """Return a step as the engine makes it."""
    method = build_method(run).to(memory_format=CHANNELS_LAST)
    optimiser, done = method.configure_optimizers(), 0

    def step() -> float:
        nonlocal done
        method.begin_step(Position(done, 1000, 200), optimiser)
        loss = method.training_step(views, done)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        method.end_step()
        done += 1
        return float(loss.detach())

    return step


def lightly_step(run: MocoV2Run, views: list[Tensor], layout: torch.memory_format) -> Program:
    """Return the step of lightly's `benchmarks/imagenet/resnet50/mocov2.py`, with the values of `run`."""
    from lightly.loss import NTXentLoss
    from lightly.models.modules import MoCoProjectionHead
    from lightly.models.utils import batch_shuffle, batch_unshuffle, update_momentum

    backbone = getattr(torchvision.models, run.encoder)()
    width = backbone.fc.in_features
    backbone.fc = nn.Identity()
    query = nn.Sequential(backbone, MoCoProjectionHead(width, width, run.feature_dim)).to(memory_format=layout)
    key = copy.deepcopy(query).requires_grad_(False)
    criterion = NTXentLoss(temperature=run.temperature, memory_bank_size=(run.queue_size, run.feature_dim))
    optimiser = torch.optim.SGD(
        query.parameters(), lr=run.learning_rate, momentum=run.sgd_momentum, weight_decay=run.weight_decay
    )
    one, two = (normalised(view).contiguous(memory_format=layout) for view in views)

    def step() -> float:
        update_momentum(query, key, m=run.key_momentum)
        queries = query(one)
        with torch.no_grad():
            shuffled, order = batch_shuffle(two)
            keys = batch_unshuffle(key(shuffled), order)
        loss = criterion(queries, keys)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def backwards(loss: Loss) -> Program:
    """Return a program that makes a loss and its gradient with respect to the outputs."""
    compute, outputs = loss

    def program() -> float:
        value = compute()
        for each in outputs:
            each.grad = None
        value.backward()
        return float(value.detach())

    return program


def dino_losses(images: int = 8, crops: int = 10, width: int = 65536) -> tuple[Loss, Loss]:
    """Return ours and lightly's for outputs like those of two networks whose last layer has rows of length 1."""
    from lightly.loss import DINOLoss

    student = (0.1 * torch.randn(crops, images, width)).requires_grad_()
    teacher, centre = 0.1 * torch.randn(2, images, width), torch.zeros(width)
    criterion = DINOLoss(width)

    def ours() -> Tensor:
        loss = distillation_loss(student, targets_of(teacher, centre, 0.04), 0.1)
        centre.lerp_(teacher.mean(dim=(0, 1)), 0.1)
        return loss

    theirs = [each.detach().requires_grad_() for each in student]
    return (ours, [student]), (lambda: criterion(list(teacher), theirs, teacher_temp=0.04), theirs)


def swav_losses(images: int = 64, crops: int = 8, prototypes: int = 3000) -> tuple[Loss, Loss]:
    """Return ours and lightly's, for cosines of 128 dimensions."""
    from lightly.loss import SwaVLoss

    scores = (torch.randn(crops, images, prototypes) / 128**0.5).requires_grad_()

    def ours() -> Tensor:
        assignments = torch.stack([sinkhorn(scores[crop].detach(), 0.05, 3) for crop in (0, 1)])
        return swapped_loss(scores, assignments, 0.1)

    theirs, criterion = [each.detach().requires_grad_() for each in scores], SwaVLoss()
    return (ours, [scores]), (lambda: criterion(theirs[:2], theirs[2:]).squeeze(), theirs)


def info_nce_losses(images: int = 32, width: int = 128, size: int = 65536) -> tuple[Loss, Loss]:
    """Return ours and lightly's, from one queue."""
    from lightly.loss import NTXentLoss

    criterion = NTXentLoss(temperature=0.2, memory_bank_size=(size, width))
    query, key = torch.randn(images, width).requires_grad_(), functional.normalize(torch.randn(images, width), dim=1)
    bank: Tensor = criterion.memory_bank.bank
    queue, done = bank.T.contiguous(), 0

    def ours() -> Tensor:
        nonlocal done
        queue[:, done : done + images] = key.T  # those of the step before: the backward pass reads the queue
        done = (done + images) % size
        return info_nce(functional.normalize(query, dim=1), key, queue, 0.2)[0]

    their = query.detach().clone().requires_grad_()
    return (ours, [query]), (lambda: criterion(their, key), [their])


def race(name: str, programs: dict[str, Program], rounds: int, repeats: int) -> float:
    """Print the times of the programs; return the median ratio of lightly's better one to ours."""
    seconds: dict[str, list[float]] = {each: [] for each in programs}
    first = {each: program() for each, program in programs.items()}  # what is made once is not counted
    for _ in range(rounds):
        for each, program in programs.items():
            began = time.process_time()
            for _ in range(repeats):
                program()
            seconds[each].append((time.process_time() - began) / repeats)
    middle = {each: statistics.median(values) for each, values in seconds.items()}
    told = ", ".join(f"{each} {1000 * value:.1f} ms (loss {first[each]:.5f})" for each, value in middle.items())
    print(f"{name}: {told}")
    peer = min((each for each in programs if each != OURS), key=lambda each: middle[each])
    ratios = [theirs / mine for theirs, mine in zip(seconds[peer], seconds[OURS], strict=True)]
    print(f"  {peer} / ours: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)
    return round(statistics.median(ratios), 2)


def main() -> None:
    """Print the times of each comparison, and the JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], help="names of comparisons; none: all")
    parser.add_argument("--peers", type=Path, default=PEERS, help="folder that holds lightly")
    args = parser.parse_args()
    if not (args.peers / "lightly").is_dir():
        sys.exit(f"{args.peers} does not hold lightly: run `make peers` first")
    sys.path.insert(0, str(args.peers))
    torch.set_num_threads(1)
    config = load_config(yaml.safe_load(Path("config.yaml").read_text()))
    official: Any = next(run for run in config.pretrain.runs if run.name == "moco_v2_r50_200")
    ratios: dict[str, float] = {}
    for name, losses in {"dino_loss": dino_losses, "swav_loss": swav_losses, "info_nce": info_nce_losses}.items():
        if not args.only or name in args.only:
            torch.manual_seed(0)
            mine, theirs = losses()
            programs = {OURS: backwards(mine), "lightly": backwards(theirs)}
            ratios[name] = race(name, programs, args.rounds, repeats=5)
    for name, (encoder, size, batch) in STEPS.items():
        if not args.only or name in args.only:
            torch.manual_seed(0)
            # Ordinary BatchNorm in both: lightly has no SplitBN for one device.
            run = official.model_copy(update={"encoder": encoder, "batch_size": batch, "bn_splits": 1})
            views = [torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8) for _ in range(2)]
            programs = {OURS: our_step(run, views)}
            for label, layout in {"lightly": CONTIGUOUS, "lightly, channels_last": CHANNELS_LAST}.items():
                programs[label] = lightly_step(run, views, layout)
            ratios[name] = race(name, programs, args.rounds, repeats=2)
    print(json.dumps({"name": "train_step", "ratios": ratios, "peer": "lightly 1.6.0", "rounds": args.rounds}))


if __name__ == "__main__":
    main()
