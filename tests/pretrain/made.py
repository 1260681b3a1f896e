"""Small shards and a small run, made for the tests of this folder."""

from __future__ import annotations

import copy
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from scripts.lib.files import table_of, write_table
from scripts.lib.identity import derived_id, shard_of
from scripts.lib.recipe import canonical_json
from scripts.lib.tables import SHARD_INDEX
from scripts.lib.tars import TarWriter

ANY_RUN: dict[str, Any] = {  # what a run of any method has
    "name": "tiny",
    "images": "shards",
    "encoder": "resnet18",
    "seed": 0,
    "epochs": 3,
    "batch_size": 8,
    "precision": "fp32",
    "augmentation_backend": "pil",
    "accumulation_steps": 1,
    "memory_format": "channels_last",
    "compile": False,
    "devices": 1,
    "nodes": 1,
    "threads": 1,
    "checkpoint_every_steps": 2,
    "cost": "seconds",
    "expected": "nothing",
}

RUN: dict[str, Any] = {
    **ANY_RUN,
    "method": "moco_v2",
    "learning_rate": 0.06,
    "sgd_momentum": 0.9,
    "weight_decay": 0.0001,
    "queue_size": 32,
    "feature_dim": 16,
    "key_momentum": 0.9,
    "temperature": 0.2,
    "bn_splits": 2,
    "augmentation": {
        "image_size": 32,
        "crop_scale": [0.2, 1.0],
        "jitter": [0.4, 0.4, 0.4, 0.1],
        "jitter_probability": 0.8,
        "grey_probability": 0.2,
        "blur_sigma": [0.1, 1.0],
        "blur_probability": 0.5,
        "flip_probability": 0.5,
    },
}

RUNS: dict[str, dict[str, Any]] = {  # by method
    "moco_v2": RUN,
    "moco_v2_cld": {
        **RUN,
        "method": "moco_v2_cld",
        "clusters": 6,  # more than the rows of one split
        "cluster_iterations": 5,
        "cluster_temperature": 0.4,
        "cluster_weight": 0.25,
        "cluster_splits": 2,
    },
    "simclr": {
        **{name: value for name, value in RUN.items() if name not in ("queue_size", "key_momentum", "bn_splits")},
        "method": "simclr",
        "learning_rate": 0.5,
        "warmup_epochs": 1,
        "trust_coefficient": 0.001,
    },
}


def recipe(method: str = "moco_v2", **changes: Any) -> str:
    """The recipe of a method's run; `changes` go to the run, or to its augmentation where the name is there."""
    run = copy.deepcopy(RUNS[method])
    for name, value in changes.items():
        (run["augmentation"] if name in run["augmentation"] else run)[name] = value
    return canonical_json({"run": run})


def drawing(seed: int, size: tuple[int, int] = (56, 48)) -> bytes:
    """A JPEG of a few coloured shapes: unlike each other, so that a network can tell them apart."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(int(v) for v in rng.integers(0, 256, 3)))
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = int(rng.integers(0, size[0] - 8)), int(rng.integers(0, size[1] - 8))
        box = (x, y, x + int(rng.integers(6, 30)), y + int(rng.integers(6, 30)))
        (pen.ellipse if rng.random() < 0.5 else pen.rectangle)(box, fill=tuple(int(v) for v in rng.integers(0, 256, 3)))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def make_shards(folder: Path, images: int, count: int = 2) -> tuple[list[Path], list[Path]]:
    """Shards and indexes of drawings."""
    return write_shards(folder, {derived_id("made", str(number)): drawing(number) for number in range(images)}, count)


def write_shards(folder: Path, contents: dict[str, bytes], count: int) -> tuple[list[Path], list[Path]]:
    """Shards and indexes as the step of this name leaves them; `contents` by image id."""
    folder.mkdir(parents=True, exist_ok=True)
    tars, indexes = [], []
    for shard in (f"{number:05d}" for number in range(count)):
        rows = []
        with TarWriter(folder / f"{shard}.tar") as tar:
            for image_id in sorted(name for name in contents if shard_of(name, count) == shard):
                content = contents[image_id]
                member = tar.add(f"{shard}/{image_id}.jpg", content)
                place = {"member": member.name, "offset": member.offset, "size": member.size}
                sha256 = hashlib.sha256(content).hexdigest()
                row = {"image_id": image_id, "shard": shard, "sha256": sha256, **place}
                row |= {"source_sha256": sha256, "source_metadata": ""}
                rows.append(row)
        write_table(folder / f"{shard}.parquet", table_of(rows, SHARD_INDEX))
        tars.append(folder / f"{shard}.tar")
        indexes.append(folder / f"{shard}.parquet")
    return tars, indexes


def flags(shards: tuple[list[Path], list[Path]], out: Path, text: str, threads: int = 1) -> list[str]:
    """The command line of train."""
    tars, indexes = ([str(path) for path in paths] for paths in shards)
    files = {name: str(out / f"{name}.safetensors") for name in ("encoder", "untrained", "head")}
    return [
        "--recipe", text, "--shards", *tars, "--indexes", *indexes, "--threads", str(threads),
        "--encoder", files["encoder"], "--untrained", files["untrained"], "--head", files["head"],
        "--metrics", str(out / "metrics.csv"), "--cost", str(out / "cost.json"),
        "--monitor", str(out / "monitor.csv"), "--views", str(out / "views.png"),
        "--trace", str(out / "trace.csv"),
    ]  # fmt: skip
