"""Networks with noise on all weights, and training states with the names of the official codes around them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scripts.evaluate import import_encoder
from scripts.lib.encoders import build_encoder, load_encoder

SHOWN = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.3], "image_size": 64, "resize": 72, "interpolation": "bicubic"}


def noisy(network: nn.Module, seed: int = 0) -> nn.Module:
    """Return the network with noise on every number of its state, so that any two tensors taken for another show."""
    random = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=random) - 0.5
            tensor.mul_(1 + 0.1 * noise).add_(0.01 * noise, alpha=0 if "var" in name else 1)
    return network.eval()


def pictures(size: int, images: int = 2) -> Tensor:
    return torch.randn(images, 3, size, size, generator=torch.Generator().manual_seed(7))


def under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def linear(name: str, rows: int, columns: int, bias: bool = True) -> dict[str, Tensor]:
    weights = {f"{name}.weight": torch.zeros(rows, columns)}
    return weights | ({f"{name}.bias": torch.zeros(rows)} if bias else {})


def moco_file(state: dict[str, Tensor], width: int, cld: bool = False) -> dict[str, Any]:
    """Return what MoCo's `main_moco.py`, or CLD's, saves: `moco/builder.py` in DistributedDataParallel."""
    head = linear("fc.0", width, width)
    if cld:
        head |= linear("instDis", width, 128, bias=False) | linear("groupDis", width, 128, bias=False)
    else:
        head |= linear("fc.2", 128, width)
    keys = {name: torch.full_like(tensor, 9) for name, tensor in {**state, **head}.items()}
    queue = {"module.queue": torch.zeros(128, 16), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    names = under("module.encoder_q.", {**state, **head}) | under("module.encoder_k.", keys) | queue
    return {"epoch": 200, "arch": "resnet50", "state_dict": names, "optimizer": {"state": {}, "param_groups": []}}


def swav_file(state: dict[str, Tensor], width: int) -> dict[str, Any]:
    """Return what SwAV's `main_swav.py` saves."""
    norm = {f"projection_head.1.{name}": torch.zeros(64) for name in ("weight", "bias", "running_mean", "running_var")}
    head = linear("projection_head.0", 64, width) | norm | linear("projection_head.3", 128, 64)
    head |= {"projection_head.1.num_batches_tracked": torch.tensor(3)} | linear("prototypes", 30, 128, bias=False)
    return {
        "epoch": 200,
        "state_dict": under("module.", {**state, **head}),
        "optimizer": {},
        "amp": {"loss_scaler0": {}},
    }


def dino_file(state: dict[str, Tensor], width: int, wrapped: bool = False) -> dict[str, Any]:
    """Return what DINO's `main_dino.py` saves; the teacher of a ViT is not wrapped, for it has no BatchNorm."""
    head = linear("head.mlp.0", 32, width) | linear("head.mlp.2", 32, 32) | linear("head.mlp.4", 16, 32)
    head |= {"head.last_layer.weight_g": torch.zeros(8, 1), "head.last_layer.weight_v": torch.zeros(8, 16)}
    teacher = under("backbone.", state) | head
    student = under("module.", {name: torch.full_like(tensor, 9) for name, tensor in teacher.items()})
    flags = argparse.Namespace(arch="vit_small", patch_size=16, norm_last_layer=False, lr=0.0005, output_dir=None)
    more = {"optimizer": {}, "epoch": 300, "args": flags, "dino_loss": {"center": torch.zeros(1, 8)}}
    return {"student": student, "teacher": under("module.", teacher) if wrapped else teacher, **more}


def house(name: str) -> nn.Module:
    return noisy(build_encoder(name, 3))


def imported(
    folder: Path, entry: dict[str, Any], weights: Path | str = "", **flags: str
) -> tuple[nn.Module, dict[str, Any]]:
    """Run `import_encoder` as the rule does, on a recipe whose path is blank, and return what it wrote."""
    given = {"path": "", **entry} if entry["kind"] != "random" and "download" not in entry else entry
    recipe = json.dumps({"encoder": {"name": "stranger", **given}, "seed": entry.get("seed", 0)})
    more = [f"--{name}={value}" for name, value in flags.items()]
    arguments = ["--recipe", recipe, f"--weights={weights}", *more, "--out", str(folder / "encoder.safetensors")]
    import_encoder.main(arguments)
    return load_encoder(folder / "encoder.safetensors")


def same_features(one: nn.Module, other: nn.Module, size: int) -> None:
    with torch.inference_mode():
        expected, found = one(pictures(size)), other(pictures(size))
    assert expected.std() > 0 and (expected - found).abs().max() <= 1e-6 * expected.abs().max()
