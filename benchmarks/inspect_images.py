"""What the guard of `inspect_images` costs: the step with 1 and 2 workers against the same measurements unguarded.

The peer is one process that reads the same tar, hashes the bytes, measures each image and writes the same table,
without worker processes, limits and pipes: what a script would do that trusts its input. The work per image is the same
code, so `ratio` (the step's images per CPU-second with one worker, over the peer's) is the price of the guard alone.
CPU-seconds of whole processes and of their workers; all alternate, medians count. Wall times are given as they were: on
a busy machine they say little.

    python -m benchmarks.inspect_images --photos ../shared/data/photos --rounds 3
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from scripts.config import load_config
from scripts.lib.files import table_of, write_table
from scripts.lib.recipe import write_recipe
from scripts.lib.tables import DOWNLOADS
from scripts.lib.tars import TarWriter

PEER = """
import hashlib, sys
import pyarrow.parquet as pq
from scripts.curate.measure_image import measure_image
from scripts.curate.settings import InspectImagesSettings
from scripts.lib.files import table_of, write_table
from scripts.lib.recipe import read_recipe
from scripts.lib.tables import INSPECTIONS
from scripts.lib.tars import TarReader
recipe, tar, status, out = sys.argv[1:]
limits, rows = read_recipe(InspectImagesSettings, recipe), []
reader = TarReader(tar)
for row in pq.read_table(status).to_pylist():
    content = reader.read(row["offset"], row["size"])
    assert hashlib.sha256(content).hexdigest() == row["sha256"]
    rows.append({"image_id": row["image_id"], "sha256": row["sha256"], **measure_image(content, limits).as_row()})
write_table(out, table_of(rows, INSPECTIONS))
"""


def write_part(folder: Path, photos: list[Path], copies: int) -> int:
    """Write the tar and status table of a partition that holds each photo `copies` times."""
    rows: list[dict[str, Any]] = []
    with TarWriter(folder / "0.tar") as tar:
        for index in range(copies * len(photos)):
            content = photos[index % len(photos)].read_bytes()
            member = tar.add(f"{index}.jpg", content)
            row: dict[str, Any] = dict.fromkeys(DOWNLOADS.names, "")
            row |= {"image_id": f"{index:08d}", "row": index, "offset": member.offset, "size": member.size}
            rows.append(row | {"sha256": hashlib.sha256(content).hexdigest()})
    write_table(folder / "0.parquet", table_of(rows, DOWNLOADS))
    return len(rows)


def seconds(command: list[str]) -> tuple[float, float]:
    """Run a command and return CPU and wall time of its process and of those that it started."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    """Print a line for each round, and the JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--copies", type=int, default=2, help="of each photograph, so that starting matters less")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    config = Path(__file__).resolve().parents[1] / "config.yaml"
    limits = load_config(yaml.safe_load(config.read_text())).curate.inspect_images
    recipe = write_recipe(limits)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = write_part(folder, sorted(args.photos.iterdir()), args.copies)
        tar, status = str(folder / "0.tar"), str(folder / "0.parquet")
        step = [sys.executable, "-m", "scripts.curate.inspect_images", "--recipe", recipe, "--tar", tar]
        step += ["--status", status]
        commands = {
            "unguarded": [sys.executable, "-c", PEER, recipe, tar, status, str(folder / "unguarded")],
            "1 worker": [*step, "--threads", "1", "--out", str(folder / "1 worker")],
            "2 workers": [*step, "--threads", "2", "--out", str(folder / "2 workers")],
        }
        found: dict[str, list[tuple[float, float]]] = {label: [] for label in commands}
        for round_number in range(args.rounds):
            for label, command in commands.items():
                found[label].append(seconds(command))
            rates = ", ".join(
                f"{label} {images / times[-1][0]:,.0f} per CPU-second, {times[-1][1]:.1f} s wall"
                for label, times in found.items()
            )
            print(f"round {round_number}: {rates}", flush=True)
        assert len({(folder / label).read_bytes() for label in commands}) == 1, "the three tables differ"
    rate = {label: round(images / statistics.median(cpu for cpu, _ in times)) for label, times in found.items()}
    wall = {label: round(statistics.median(each for _, each in times), 1) for label, times in found.items()}
    ratio = round(rate["1 worker"] / rate["unguarded"], 3)
    print(
        json.dumps(
            {
                "name": "inspect_images",
                "ratio": ratio,
                "peer": "the same loop unguarded",
                "images": images,
                "images_per_cpu_second": rate,
                "wall_seconds": wall,
            }
        )
    )


if __name__ == "__main__":
    main()
