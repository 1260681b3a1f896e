"""An image set, indexed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from scripts.lib.tables import IMAGE_INDEX
from scripts.pretrain import index_images

Row = dict[str, Any]


def index(root: Path, out: Path, recipe: str, threads: int = 1) -> list[Row]:
    index_images.main(["--recipe", recipe, "--root", str(root), "--threads", str(threads), "--out", str(out)])
    table = pq.read_table(out)
    assert table.schema == IMAGE_INDEX
    rows: list[Row] = table.to_pylist()
    return rows


def reasons(rows: list[Row]) -> dict[str, str]:
    return {row["member"] or row["container"]: row["reason"] for row in rows}
