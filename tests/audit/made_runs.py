"""Runs without a workflow: each job's outputs are a function of its inputs, settings, code and machine.

So a change at one job changes all that rests on it, as in a real run, in milliseconds.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import safetensors.numpy

from scripts.lib.files import write_bytes, write_csv, write_json, write_table, write_text
from scripts.lib.records import identity, record_digest
from scripts.lib.seal import seal_run
from scripts.lib.tables import DETECTIONS
from scripts.pretrain.trace import HEADER

Jobs = dict[str, dict[str, Any]]
MACHINE = {"key": "aaaa", "processor": {"model": "one", "features": "x"}, "threads": 1, "accelerators": []}
OTHER_MACHINE = {**MACHINE, "key": "bbbb", "processor": {"model": "two", "features": "y"}}
TARGET = "results/report/index.html"


def jobs() -> Jobs:
    """Return step → its inputs, outputs and settings; each to be changed by a test."""
    parts = {
        "curate.select_candidates": ([("metadata", "/data/photos.csv")], {"candidates": "candidates.parquet"}),
        "curate.download": ([("candidates", "curate/select_candidates/candidates.parquet")], {"tar": "0.tar"}),
        "curate.inspect_images": ([("tar", "curate/download/0.tar")], {"out": "0.parquet"}),
        "filter.detect_faces": (
            [("tar", "curate/download/0.tar"), ("inspection", "curate/inspect_images/0.parquet")],
            {"out": "centerface/0.parquet"},
        ),
        "filter.judge": (
            [
                ("candidates", "curate/select_candidates/candidates.parquet"),
                ("inspection", "curate/inspect_images/0.parquet"),
                ("faces", "filter/detect_faces/centerface/0.parquet"),
            ],
            {"out": "0.parquet"},
        ),
        "shard.write_shards": (
            [("selection", "filter/judge/0.parquet"), ("tars", "curate/download/0.tar")],
            {"tar": "00000.tar", "index": "00000.parquet"},
        ),
        "pretrain.train": (
            [("shards", "shard/write_shards/00000.tar"), ("indexes", "shard/write_shards/00000.parquet")],
            {"encoder": "tiny/encoder.safetensors", "trace": "tiny/trace.csv", "cost": "tiny/cost.json"},
        ),
        "evaluate.embed": ([("encoder", "pretrain/train/tiny/encoder.safetensors")], {"out": "tiny.safetensors"}),
        "evaluate.knn": ([("features", "evaluate/embed/tiny.safetensors")], {"out": "tiny.csv"}),
        "report.count_funnel": ([("verdicts", "filter/judge/0.parquet")], {"out": "funnel.json"}),
        "report.write_report": (
            [("funnel", "report/count_funnel/funnel.json"), ("results", "evaluate/knn/tiny.csv")],
            {"out": "index.html"},
        ),
    }
    found: Jobs = {}
    for step, (inputs, outputs) in parts.items():
        folder = "report" if step == "report.write_report" else step.replace(".", "/")
        found[step] = {
            "inputs": inputs,
            "outputs": {flag: f"results/{folder}/{name}" for flag, name in outputs.items()},
            "values": {"recipe": {"seed": 0, "limits": {"side": 32}}},
            "code": f"c0de {step} env:data:11",
            "files": {f"scripts/{step.replace('.', '/')}.py": "00"},
            "hardware": MACHINE,
            "salt": "",  # what no record shows
            "outside": "photos",  # content of data from outside
        }
    found["filter.judge"]["values"]["recipe"]["rules"] = [{"drop": {"centerface": 0.5}, "review": {}}]
    found["pretrain.train"]["values"]["recipe"]["run"] = {"name": "tiny", "seed": 0, "checkpoint_every_steps": 4}
    return found


def _content(path: str, numbers: np.random.Generator, names: list[str]) -> Callable[[Path], None]:
    """Return what writes an output of the kind that `path` names, with content drawn from `numbers`."""
    suffix = path.rpartition(".")[2]
    if "detect_faces" in path:
        rows = [
            {"image_id": name, "reason": "", "detail": "", "score": float(numbers.random()), "count": 0, "boxes": []}
            for name in names
        ]
        return lambda place: write_table(place, pa.Table.from_pylist(rows, schema=DETECTIONS))
    if suffix == "parquet":
        table = pa.table({"image_id": names, "value": numbers.random(len(names))})
        return lambda place: write_table(place, table)
    if suffix == "tar":
        return lambda place: write_bytes(place, _tar({name: numbers.bytes(40) for name in names}))
    if suffix == "safetensors":
        tensors = {"train_features": numbers.random((4, 8), dtype=np.float32), "train_labels": np.arange(4)}
        return lambda place: write_bytes(place, safetensors.numpy.save(tensors))
    if path.endswith("trace.csv"):
        losses = [float(each) for each in numbers.random(12)]
        rows_ = [(step, 1, losses[step - 1].hex(), "i", f"m{losses[step - 1]}", "o") for step in range(1, 13)]
        return lambda place: write_csv(place, HEADER, rows_)
    if suffix == "csv":
        return lambda place: write_csv(place, ("run", "value"), [("tiny", f"{numbers.random():.4f}")])
    if suffix == "json":
        return lambda place: write_json(place, {"kept": float(numbers.random())})
    return lambda place: write_text(place, f"<p>first\n<p>{numbers.random()}\n")


def _tar(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def make_run(folder: Path, wanted: Jobs, *, files: bool = True) -> Path:
    """Write results and records of `wanted` into `folder`, seal them, and return it."""
    import os

    digests: dict[str, str] = {}
    before = Path.cwd()
    folder.mkdir(parents=True)
    os.chdir(folder)
    try:
        for step, job in wanted.items():
            _run_job(step, job, digests)
        assert seal_run([TARGET])
    finally:
        os.chdir(before)
    if not files:
        (folder / "results").rename(folder.with_name(f"{folder.name}-results"))
    return folder


def _run_job(step: str, job: dict[str, Any], digests: dict[str, str]) -> None:
    inputs = []
    for flag, name in job["inputs"]:
        outside = name.startswith("/")
        digest = hashlib.sha256(job["outside"].encode()).hexdigest() if outside else digests[f"results/{name}"]
        inputs.append({"flag": flag, "path": name if outside else f"results/{name}", "sha256": digest, "bytes": 1})
    read = [each["sha256"] for each in inputs]
    facts = [step, job["values"], job["code"], job["salt"], read]
    facts += [job["hardware"]["key"]] if step in ("filter.detect_faces", "pretrain.train", "evaluate.embed") else []
    key = int(hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12], 16)
    outputs = []
    for index, (flag, path) in enumerate(job["outputs"].items()):
        _content(path, np.random.default_rng([key, index]), [f"image{n}" for n in range(6)])(Path(path))
        if edit := job.get("edit", {}).get(flag):
            edit(Path(path))
        digests[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        entry = {"flag": flag, "path": path, "sha256": digests[path], "bytes": Path(path).stat().st_size}
        outputs.append({**entry, "varying": True} if flag == "cost" else entry)
    record = {
        "format": 1,
        "step": step,
        "values": copy.deepcopy(job["values"]),
        "code": {"text": job["code"], "environment": "env:data:11", "modules": [step], "files": job["files"]},
        "inputs": inputs,
        "outputs": outputs,
        "circumstances": {"hardware": job["hardware"], "packages": {}, "cpu_seconds": 1.0},
    }
    record["identity"] = identity(record)
    record["digest"] = record_digest(record)
    first, *others = [path.removeprefix("results/") for path in job["outputs"].values()]
    write_json(f"records/{first}.json", record)
    for other in others:
        write_json(f"records/{other}.json", {"format": 1, "record": first})
