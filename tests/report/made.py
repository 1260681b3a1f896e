"""Small inputs of the report, made for tests."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from scripts.lib.files import table_of, write_table
from scripts.lib.tables import DETECTIONS, DOWNLOADS, SELECTION
from scripts.lib.tars import TarWriter
from tests.pretrain.made import RUN

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202eevil\u202c\x1b[31m\nline\ttwo"


def selection_row(image_id: str, reason: str = "", **given: Any) -> dict[str, Any]:
    row = {field.name: None for field in SELECTION}
    row |= {
        "image_id": image_id,
        "source": "made",
        "file": "made-000",
        "row": 0,
        "part": "0",
        "keep": reason == "",
        "reason": reason,
        "evidence": "" if reason == "" else f"{reason} 0.93 >= 0.5",
        "creator_id": "1@N00",
        "creator": "Ana",
        "title": "A title",
        "licence": "CC-BY-2.0",
        "date_taken": "2012-05-31 21:07:00.0",
        "capture_device": "Camera 1",
        "width": 64,
        "height": 48,
    }
    return row | given


def write_selection(path: Path, rows: list[dict[str, Any]]) -> Path:
    write_table(path, table_of(rows, SELECTION))
    return path


def write_part(folder: Path, part: str, images: dict[str, bytes], boxes: dict[str, list[tuple[float, ...]]]) -> None:
    """Write <part>.tar, <part>.parquet and faces/<part>.parquet. Boxes are (x0, y0, x1, y1, score)."""
    rows = []
    with TarWriter(folder / f"{part}.tar") as tar:
        for image_id, content in images.items():
            member = tar.add(f"{image_id}.jpg", content)
            row = {field.name: None for field in DOWNLOADS} | {"image_id": image_id, "reason": ""}
            rows.append(row | {"member": member.name, "offset": member.offset, "size": member.size})
    write_table(folder / f"{part}.parquet", table_of(rows, DOWNLOADS))
    names = ("x0", "y0", "x1", "y1", "score")
    found = [
        {
            "image_id": image_id,
            "reason": "",
            "detail": "",
            "score": max((box[4] for box in listed), default=0.0),
            "count": len(listed),
            "boxes": [dict(zip(names, box, strict=True)) for box in listed],
        }
        for image_id, listed in boxes.items()
    ]
    write_table(folder / "faces" / f"{part}.parquet", table_of(found, DETECTIONS))


def jpeg(seed: int, width: int = 64, height: int = 48) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, format="JPEG", quality=90)
    return target.getvalue()


def write_account(path: Path, read: int, kept: int, rejected: dict[str, int], **more: Any) -> Path:
    path.write_text(json.dumps({"read": read, "kept": kept, "rejected": rejected, **more}))
    return path


def account_flags(*accounts: Path) -> list[str]:
    """Return the flags for accounts, with tables of as many rows as they count beside them."""
    flags: dict[str, list[str]] = {"--accounts": [], "--candidates": [], "--rejected": []}
    for path in accounts:
        account = json.loads(path.read_text())
        tables = {"--candidates": account["kept"], "--rejected": sum(account["rejected"].values())}
        flags["--accounts"].append(str(path))
        for flag, rows in tables.items():
            flags[flag].append(str(path.with_name(f"{path.stem}.{flag.strip('-')}.parquet")))
            write_table(flags[flag][-1], pa.table({"row": list(range(rows))}))
    return [word for flag, paths in flags.items() for word in (flag, *paths)]


def train_recipe(queue_size: int, name: str = "run_one") -> str:
    changes = {"name": name, "epochs": 2, "checkpoint_every_steps": 10, "queue_size": queue_size, "feature_dim": 8}
    augmentation = {**RUN["augmentation"], "image_size": 64}
    run = {**RUN, **changes, "key_momentum": 0.99, "bn_splits": 1, "cost": "none", "augmentation": augmentation}
    return json.dumps({"run": run})
