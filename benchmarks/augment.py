"""Images per CPU-second from JPEG bytes to all views of an image: each backend against lightly on PIL.

Each program decodes the same photographs, held in memory, and makes the views of MoCo-v2 (2 of 224 pixels), SwAV
(2 of 224, 6 of 96) and DINO (2 of 224, 8 of 96) with the parameters of config.yaml, one thread each. lightly's
transforms are made from the same parameters; they end in normalised floats, ours in bytes that the training device
normalises, as in training. `device` is only a loader's part: decoding, crops, and what the device has to know; what a
GPU then does is not in it, so it is not the same work. One round after the other, programs alternating; `ratios` are
medians over rounds of the ratio to lightly in the same round, because the load of a shared machine moves both.

    make peers && python -m benchmarks.augment --photos ../shared/data/photos --images 100 --rounds 5
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image

from scripts.config import load_config
from scripts.lib.draws import rank, uniforms
from scripts.lib.images import decode_image
from scripts.pretrain.contract import MakeViews
from scripts.pretrain.multi_crop import MultiCrop
from scripts.pretrain.settings import MocoV2Run
from scripts.pretrain.settings_multicrop import DinoRun, MultiCropAugmentation, SwavRun
from scripts.pretrain.views import IndependentViews

PEERS = Path(".venv-peers/beside-torch")
RUNS = {"moco_v2": "moco_v2_r50_200", "swav": "swav_r50_200", "dino": "dino_vits16_100"}
BACKENDS = ("pil", "opencv", "device")

Program = Callable[[bytes], Any]


def views_of(run: Any, backend: str) -> MakeViews:
    """Return the views of a run with another backend."""
    if isinstance(run, MocoV2Run):
        return IndependentViews(run.augmentation, backend, count=2)
    assert isinstance(run, SwavRun | DinoRun)
    return MultiCrop(run.augmentation, backend)


def ours(run: Any, backend: str) -> Program:
    """Return a program that makes the views of a run as training does."""
    make_views = views_of(run, backend)

    def program(content: bytes) -> Any:
        image_id = str(len(content))
        return make_views(decode_image(content), lambda view: uniforms(0, "view", 0, image_id, view))

    return program


def lightly_transform(run: Any) -> Callable[[Image.Image], Any]:
    """Return lightly's transform with the parameters of a run."""
    from lightly import transforms

    chosen = run.augmentation
    if isinstance(run, MocoV2Run):
        brightness, contrast, saturation, hue = chosen.jitter
        transform: Callable[[Image.Image], Any] = transforms.MoCoV2Transform(
            input_size=chosen.image_size, cj_prob=chosen.jitter_probability, cj_strength=1.0, cj_bright=brightness,
            cj_contrast=contrast, cj_sat=saturation, cj_hue=hue, min_scale=chosen.crop_scale[0],
            random_gray_scale=chosen.grey_probability, gaussian_blur=chosen.blur_probability, sigmas=chosen.blur_sigma,
        )  # fmt: skip
        return transform
    return _multi_crop_transform(run, chosen, transforms)


def _multi_crop_transform(run: Any, chosen: MultiCropAugmentation, transforms: Any) -> Callable[[Image.Image], Any]:
    large, small = chosen.crops[0], chosen.crops[-1]
    brightness, contrast, saturation, hue = large.jitter
    jitter = {"cj_prob": large.jitter_probability, "cj_strength": 1.0, "cj_bright": brightness, "cj_contrast": contrast}
    jitter |= {"cj_sat": saturation, "cj_hue": hue, "random_gray_scale": large.grey_probability}
    if isinstance(run, SwavRun):
        transform: Callable[[Image.Image], Any] = transforms.SwaVTransform(
            crop_sizes=(large.image_size, small.image_size), crop_counts=(large.count, small.count),
            crop_min_scales=(large.crop_scale[0], small.crop_scale[0]), sigmas=large.blur_sigma,
            crop_max_scales=(large.crop_scale[1], small.crop_scale[1]), gaussian_blur=large.blur_probability, **jitter,
        )  # fmt: skip
        return transform
    second = chosen.crops[1]
    transform = transforms.DINOTransform(
        global_crop_size=large.image_size, global_crop_scale=large.crop_scale, local_crop_size=small.image_size,
        local_crop_scale=small.crop_scale, n_local_views=small.count, sigmas=large.blur_sigma,
        gaussian_blur=(large.blur_probability, second.blur_probability, small.blur_probability),
        solarization_prob=second.solarise_probability, **jitter,
    )  # fmt: skip
    return transform


def theirs(run: Any) -> Program:
    """Return lightly's program: decoding as its datasets do, then its transform."""
    transform = lightly_transform(run)
    return lambda content: transform(Image.open(io.BytesIO(content)).convert("RGB"))


def images_per_second(program: Program, files: list[bytes]) -> float:
    """Return the rate of a program in images per second of this process's CPU time."""
    began = time.process_time()
    for content in files:
        program(content)
    return len(files) / (time.process_time() - began)


def main() -> None:
    """Print the rates of each round, and the JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of JPEG files")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=Path, default=PEERS, help="folder that holds lightly")
    args = parser.parse_args()
    if not (args.peers / "lightly").is_dir():
        sys.exit(f"{args.peers} does not hold lightly: run `make peers` first")
    sys.path.insert(0, str(args.peers))
    torch.set_num_threads(1)
    paths = sorted(args.photos.glob("*.jpg"), key=lambda path: rank(0, "benchmark", path.name))[: args.images]
    files = [path.read_bytes() for path in paths]
    config = load_config(yaml.safe_load(Path("config.yaml").read_text()))
    runs = {run.name: run for run in config.pretrain.runs}
    ratios: dict[str, float] = {}
    for method, name in RUNS.items():
        run = runs[name]
        programs = {"lightly": theirs(run)} | {backend: ours(run, backend) for backend in BACKENDS}
        rates: dict[str, list[float]] = {each: [] for each in programs}
        for _ in range(args.rounds):
            for each, program in programs.items():
                rates[each].append(images_per_second(program, files))
        middle = {each: statistics.median(values) for each, values in rates.items()}
        rounds = ", ".join(f"{each} {rate:.0f}" for each, rate in middle.items())
        print(f"{method}: {rounds} images per CPU-second")
        for backend in BACKENDS:
            each_round = [mine / peer for mine, peer in zip(rates[backend], rates["lightly"], strict=True)]
            spread = f"{min(each_round):.2f} to {max(each_round):.2f}"
            ratios[f"{method}_{backend}"] = round(statistics.median(each_round), 2)
            print(f"  {backend} / lightly: {ratios[f'{method}_{backend}']} ({spread})")
    print(json.dumps({"name": "augment", "ratios": ratios, "peer": "lightly 1.6.0 on PIL", "images": len(files)}))


if __name__ == "__main__":
    main()
