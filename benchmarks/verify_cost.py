"""Processor time of `verify` on a made gigabyte of shards with the paper's proportion of rows, continued to 200 GB.

The run that is made: one metadata file, one partition, two detectors, shards of pictures of 124 kB (random bytes),
and twelve candidates for each picture that is kept, as in the paper (17.2 million for 1.44 million). As of
200 GB, a tenth of the pictures is hashed again for itself. Not in it: planning (`--leave-out configuration`), whose
time does not grow with the bytes, and the fingerprints of the code, a few seconds in all.
`ratio` is 300 CPU-seconds over what 200 GB would take: below 1, the audit costs more than the project allows itself.

    python -m benchmarks.verify_cost --megabytes 1000
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.table_inputs import table_of_columns
from scripts.audit.shard_contents import MOST_BYTES
from scripts.audit.verify import verify
from scripts.lib import tables
from scripts.lib.files import sha256_file, write_json, write_table
from scripts.lib.fingerprint import ROOT
from scripts.lib.identity import shard_of
from scripts.lib.records import identity, record_digest
from scripts.lib.tars import TarWriter

PICTURE = 124_000  # bytes
PER_KEPT = 12  # candidates
TARGET, ALLOWED = 200e9, 300.0  # bytes, CPU-seconds
SHARDS = 4
CODE = {"text": "", "files": {}, "environment": "", "modules": []}


class MadeRun:
    """A folder of results with records that fit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bytes = 0

    def path(self, name: str) -> Path:
        """Return where a result lies, its folder made."""
        place = self.folder / "results" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def record(self, step: str, values: dict[str, Any], inputs: dict[str, list[str]], outputs: dict[str, str]) -> None:
        """Write the record of a job."""

        def entry(flag: str, name: str) -> dict[str, Any]:
            place = self.path(name)
            return {
                "flag": flag, "path": f"results/{name}", "sha256": sha256_file(place), "bytes": place.stat().st_size,
            }  # fmt: skip

        record: dict[str, Any] = {
            "format": 1, "step": step, "values": values, "code": CODE, "circumstances": {},
            "inputs": [entry(flag, name) for flag, names in inputs.items() for name in names],
            "outputs": [entry(flag, name) for flag, name in outputs.items()],
        }  # fmt: skip
        self.bytes += sum(each["bytes"] for each in record["outputs"])
        record["identity"] = identity(record)
        record["digest"] = record_digest(record)
        first, *others = outputs.values()
        write_json(self.folder / f"records/{first}.json", record)
        for name in others:
            write_json(self.folder / f"records/{name}.json", {"format": 1, "record": first})


def make(folder: Path, kept: int) -> MadeRun:
    """Write a run that keeps `kept` pictures."""
    run = MadeRun(folder)
    count = kept * PER_KEPT
    ids = np.array(sorted(hashlib.md5(str(row).encode(), usedforsecurity=False).hexdigest() for row in range(count)))
    keep = np.arange(count) % PER_KEPT == 0
    draws = np.random.default_rng(0)
    digests, indexes = np.array([hashlib.sha256(name.encode()).hexdigest() for name in ids], dtype=object), []
    rows: dict[str, list[dict[str, Any]]] = {f"{shard:05d}": [] for shard in range(SHARDS)}
    writers = {shard: TarWriter(run.path(f"shard/write_shards/{shard}.tar")) for shard in rows}
    for place in np.flatnonzero(keep).tolist():
        name, content = str(ids[place]), draws.bytes(PICTURE)
        shard, digests[place] = shard_of(name, SHARDS), hashlib.sha256(content).hexdigest()
        member = writers[shard].add(f"{shard}/{name}.jpg", content)
        rows[shard].append(
            {
                "image_id": name,
                "shard": shard,
                "member": member.name,
                "offset": member.offset,
                "size": member.size,
                "sha256": digests[place],
                "source_sha256": digests[place],
                "source_metadata": "",
            }
        )
    for shard, listed in rows.items():
        with writers[shard]:
            pass
        indexes.append(f"shard/write_shards/{shard}.parquet")
        write_table(run.path(indexes[-1]), pa.Table.from_pylist(listed, schema=tables.SHARD_INDEX))
    texts = [f"text {row}" for row in range(count)]
    key = {"image_id": ids, "source": ["s"] * count, "file": ["s-000"] * count, "row": np.arange(1, count + 1)}
    said = dict.fromkeys(("creator", "page_url", "download_url", "licence_url", "title"), texts)
    said |= {"licence": ["CC-BY-2.0"] * count, "part": ["0"] * count}
    names = {
        "candidates": "curate/select_candidates/s-000.parquet", "rejected": "curate/select_candidates/s-000.r.parquet",
        "account": "curate/select_candidates/s-000.json", "status": "curate/download/0.parquet",
        "inspection": "curate/inspect_images/0.parquet", "faces": "filter/detect_faces/a/0.parquet",
        "people": "filter/detect_people/b/0.parquet", "verdicts": "filter/judge/0.parquet",
        "selection": "filter/select.parquet",
    }  # fmt: skip
    reason = np.where(keep, "", "person")
    seen = {"image_id": ids, "sha256": digests, "width": [500] * count, "height": [375] * count}
    score = np.where(keep, 0.1, 0.9).astype(np.float32)
    boxes = [[{"x0": 1.0, "y0": 1.0, "x1": 9.0, "y1": 9.0, "score": 0.1}]] * count
    for what, schema, columns in (
        ("candidates", tables.CANDIDATES, key | said),
        ("rejected", tables.REJECTED_ROWS, {}),
        ("status", tables.DOWNLOADS, key | {"sha256": digests}),
        ("inspection", tables.INSPECTIONS, seen | {"colour_std": [9.0] * count}),
        ("faces", tables.DETECTIONS, {"image_id": ids, "score": [0.0] * count, "boxes": boxes}),
        ("people", tables.DETECTIONS, {"image_id": ids, "score": score, "boxes": boxes}),
        ("verdicts", tables.VERDICTS, key | {"reason": reason}),
        ("selection", tables.SELECTION, key | said | seen | {"keep": keep, "reason": reason}),
    ):
        table = table_of_columns(schema, count if columns else 0, **columns)
        write_table(run.path(names[what]), table)
    write_json(run.path(names["account"]), {"read": count, "kept": count, "rejected": {}})
    recipe = {"licences": ["CC-BY-2.0"], "require": ["creator", "page_url"], "partition_bits": 0}
    first = {flag: names[flag] for flag in ("candidates", "rejected", "account")}
    run.record("curate.select_candidates", {"file": "s-000", "recipe": recipe}, {}, first)
    for step, flag in (("curate.download", "status"), ("curate.inspect_images", "inspection")):
        run.record(step, {}, {}, {flag: names[flag]})
    for step, flag in (("filter.detect_faces", "faces"), ("filter.detect_people", "people")):
        run.record(step, {}, {"inspection": [names["inspection"]]}, {"out": names[flag]})
    rules = [{"combine": "any", "name": "person", "reason": "person", "drop": {"a": 0.5, "b": 0.5}, "review": {}}]
    recipe = {"rules": rules, "min_side": 32, "min_colour_std": 1.0}
    recipe |= {"embedded": {"max_face_regions": 0, "max_thumbnail_distance": 8}}
    inputs = {flag: [names[flag]] for flag in ("candidates", "status", "inspection", "faces", "people")}
    run.record("filter.judge", {"part": "0", "recipe": recipe}, inputs, {"out": names["verdicts"]})
    run.record("filter.select", {}, {"verdicts": [names["verdicts"]]}, {"out": names["selection"]})
    for shard in rows:
        outputs = {flag: f"shard/write_shards/{shard}.{end}" for flag, end in (("tar", "tar"), ("index", "parquet"))}
        values = {"shard": shard, "recipe": {"count": SHARDS}}
        run.record("shard.write_shards", values, {"selection": [names["selection"]]}, outputs)
    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = make(Path(scratch), flags.megabytes * 1_000_000 // PICTURE)
        start, began = time.process_time(), time.monotonic()
        share = min(1.0, MOST_BYTES / TARGET)  # of the pictures of 200 GB, which are hashed for themselves
        found, _ = verify(run.folder, ["code", "configuration"], lambda run: (), ROOT, "", most_bytes=share * run.bytes)
        used, wall = time.process_time() - start, time.monotonic() - began
    odd = [each for each in found if each.verdict in ("different", "undecidable")]
    if odd:
        raise SystemExit(f"the made run does not verify: {json.dumps([each.text for each in odd[:3]])}")
    whole = used * TARGET / run.bytes
    print(f"{run.bytes:,} bytes: {used:.2f} CPU-s, {wall:.1f} s; 200 GB: {whole:.0f} CPU-s")
    print(f"ratio {ALLOWED / whole:.2f}")


if __name__ == "__main__":
    main()
