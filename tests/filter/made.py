"""Small made tables and pictures for the tests of this stage."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from scripts.filter.batches import Item
from scripts.lib.files import table_of, write_table
from scripts.lib.images import Pixels
from scripts.lib.tables import CANDIDATES, DETECTIONS, DOWNLOADS, DUPLICATES, INSPECTIONS, VERDICTS
from scripts.lib.tars import TarWriter

_EMPTY: dict[str, Any] = {"string": "", "int64": 0, "int32": 0, "int8": 1, "double": 0.0, "float": 0.0, "uint64": 0}


def row(schema: pa.Schema, **values: Any) -> dict[str, Any]:
    """Return a row of `schema`: `values`, and something empty in the other fields."""
    made = {field.name: _EMPTY.get(str(field.type)) for field in schema}
    unknown = values.keys() - made.keys()
    assert not unknown, unknown
    return {**made, **values}


def candidate(image_id: str, part: str = "0", **values: Any) -> dict[str, Any]:
    return row(CANDIDATES, image_id=image_id, part=part, **{"source": "made", "file": "made-000", **values})


def download(image_id: str, **values: Any) -> dict[str, Any]:
    return row(DOWNLOADS, image_id=image_id, **{"source": "made", "file": "made-000", **values})


def inspection(image_id: str, **values: Any) -> dict[str, Any]:
    defaults = {
        "format": "JPEG",
        "mode": "RGB",
        "width": 200,
        "height": 100,
        "colour_std": 50.0,
        "sha256": image_id * 2,
    }
    return row(INSPECTIONS, image_id=image_id, **{**defaults, **values})


def detection(image_id: str, score: float = 0.0, **values: Any) -> dict[str, Any]:
    return row(DETECTIONS, image_id=image_id, **{"score": score, "boxes": [], **values})


def duplicate(image_id: str, cluster: str, reason: str, **values: Any) -> dict[str, Any]:
    return row(DUPLICATES, image_id=image_id, cluster=cluster, reason=reason, **{"mirrored": False, **values})


def counted(duplicates: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of DUPLICATES with the number of members of their cluster."""
    rows = list(duplicates)
    sizes = Counter(each["cluster"] for each in rows)
    return [{**each, "members": sizes[each["cluster"]]} for each in rows]


def verdict(image_id: str, reason: str = "", **values: Any) -> dict[str, Any]:
    return row(VERDICTS, image_id=image_id, reason=reason, **{"source": "made", "file": "made-000", **values})


def save(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> str:
    write_table(path, table_of(rows, schema))
    return str(path)


def picture(name: str, height: int, width: int) -> Pixels:
    """Return smooth coloured noise that depends on `name`."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_part(folder: Path, files: Mapping[str, bytes], sizes: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """Write tar, status and inspection of a part; `sizes` are (height, width) of the images that decode."""
    folder.mkdir(parents=True, exist_ok=True)
    status, inspections = [], []
    with TarWriter(folder / "0.tar") as tar:
        for image_id in sorted(files):
            member = tar.add(f"{image_id}.png", files[image_id])
            status.append(download(image_id, member=member.name, offset=member.offset, size=member.size))
            height, width = sizes.get(image_id, (0, 0))
            reason = "" if image_id in sizes else "undecodable"
            inspections.append(inspection(image_id, reason=reason, width=width, height=height))
    return {
        "--tar": str(folder / "0.tar"),
        "--status": save(folder / "status.parquet", status, DOWNLOADS),
        "--inspection": save(folder / "inspection.parquet", inspections, INSPECTIONS),
    }


def flags(values: Mapping[str, str]) -> list[str]:
    return [word for pair in values.items() for word in pair]


def detector_recipe(kind: str, **values: Any) -> str:
    base: dict[str, Any] = {"name": "made", "kind": kind, "score_floor": 0.05, "batch_size": 4, "views": None}
    base["demo_grade"] = True
    if kind in ("retinaface", "torchvision", "transformers", "onnx"):
        base["weights"] = {"path": "", "sha256": "0" * 64}
    return json.dumps({"detector": {**base, **values}})


def items_of(sizes: Mapping[str, tuple[int, int]]) -> list[Item]:
    return [Item(image_id, 0, 0, height, width) for image_id, (height, width) in sizes.items()]
