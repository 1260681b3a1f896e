"""A run of `download` in a folder of its own, as its tests need it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from scripts.curate import download
from scripts.curate.settings import DownloadPolicy, DownloadSettings, MetadataFile, Source, Store, YfccSource
from scripts.lib.files import table_of, write_table
from scripts.lib.recipe import write_recipe
from scripts.lib.tables import CANDIDATES, DOWNLOADS
from tests.curate.photo_server import PLACEHOLDER

POLICY = DownloadPolicy(
    connections=8,
    connections_per_host=8,
    timeout_seconds=5.0,
    max_bytes=200_000,
    retries=2,
    backoff_seconds=0.01,
    allow_private_addresses=True,
    obey=("robots_txt", "x_robots_tag", "tdm_reservation"),
    patience_seconds=2.0,
    max_failed_share=0.5,
    placeholder_sha256=(hashlib.sha256(PLACEHOLDER).hexdigest(),),
    placeholder_bytes=(),
)


def yfcc(*stores: Store, name: str = "photos") -> YfccSource:
    return YfccSource(name=name, kind="yfcc100m", files=(MetadataFile(path="rows"),), stores=stores)


def candidates(path: Path, images: Sequence[tuple[str, str]], source: str = "photos", part: str = "0") -> Path:
    """Write a candidate table: (image id, locator) for each row."""
    rows = []
    for index, (image_id, locator) in enumerate(images):
        row: dict[str, Any] = dict.fromkeys(CANDIDATES.names)
        row |= {"image_id": image_id, "source": source, "file": f"{source}-000", "row": index + 1}
        row |= {"part": part, "locator": locator, "download_url": locator}
        rows.append(row)
    write_table(path, table_of(rows, CANDIDATES))
    return path


class Run:
    """One call of `main` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tar, self.status = folder / "out" / "0.tar", folder / "out" / "0.parquet"

    def flags(
        self, tables: Sequence[Path], *sources: Source, stores: Sequence[str] = ("",), **policy: Any
    ) -> list[str]:
        """Return the command line."""
        chosen = POLICY.model_copy(update=policy)
        recipe = write_recipe(DownloadSettings(policy=chosen, sources=sources, user_agent="unpeopled/0 (test)"))
        flags = ["--recipe", recipe, "--part", "0", "--candidates", *map(str, tables), "--local-stores", *stores]
        return [*flags, "--tar", str(self.tar), "--status", str(self.status)]

    def __call__(
        self, tables: Sequence[Path], *sources: Source, stores: Sequence[str] = ("",), **policy: Any
    ) -> list[dict[str, Any]]:
        download.main(self.flags(tables, *sources, stores=stores, **policy))
        table = pq.read_table(self.status)
        assert table.schema.equals(DOWNLOADS)
        assert sorted(item.name for item in self.tar.parent.iterdir()) == ["0.parquet", "0.tar"]
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows
