"""A configuration with several entries in each list, to be planned forwards and backwards."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from scripts.audit.planned import PlannedJob, planned_jobs
from scripts.lib.files import write_json
from tests.conftest import ROOT
from tests.wiring.test_config import merged, set_at
from tests.wiring.test_stranger_plan import OWN, RANDOM, SWAV, VISION

Jobs = dict[tuple[str, ...], PlannedJob]  # by outputs

# Lists whose order is not the user's to choose: pairs (from, to), rising schedules, layers, columns of a table.
FIXED = {
    *("crop_scale", "jitter", "blur_sigma", "adam_betas", "score_range", "milestones", "scales", "mean", "std"),
    *("mask_layers", "keypoint_layers", "anchor_sizes", "crops", "train_short_sides"),
}
FROM_OUTSIDE = [f"{name}_{index}.{end}" for name in ("zebra", "ant") for index in range(2) for end in ("tar", "tsv")]
YFCC = [
    {
        "name": name,
        "kind": "yfcc100m",
        "files": [{"path": f"{name}_{index}.tsv"} for index in range(2)],
        "stores": [{"tar": f"{name}_{index}.tar"} for index in range(2)],
    }
    for name in ("zebra", "ant")
]


def many_entries() -> dict[str, Any]:
    """Return the paper's configuration on few partitions, with the detectors of `scales/labelled.yaml`."""
    raw, labelled = merged(), merged(ROOT / "scales/labelled.yaml")
    raw["filter"] = labelled["filter"]
    edits: dict[str, Any] = {
        "partition_bits": 1,
        "shard.count": 2,
        "curate.sources": YFCC,
        "pretrain.runs": [raw["pretrain"]["runs"][index] for index in (0, 4)],  # the fewest that have an order
        "evaluate.encoders": [SWAV, VISION, RANDOM, OWN | {"path": "/elsewhere/own.pth"}],
        "evaluate.embedding_map.tasks": ["imagenet1k", "places205"],
        "filter.review": {**merged(ROOT / "scales/demo.yaml")["filter"]["review"]},
    }
    for path, value in edits.items():
        raw = set_at(raw, path, value)
    return copy.deepcopy(raw)


def lists_of(value: object, path: str = "") -> list[str]:
    """Return the paths of all lists with two entries and more that may be turned round."""
    if isinstance(value, dict):
        inner = ((f"{path}.{key}".strip("."), item) for key, item in value.items() if key not in FIXED)
        return [found for where, item in inner for found in lists_of(item, where)]
    if not isinstance(value, list):
        return []
    deeper = [found for index, item in enumerate(value) for found in lists_of(item, f"{path}.{index}")]
    return [*([path] if len(value) > 1 else []), *deeper]


def turned_round(value: Any) -> Any:
    """Return a configuration with all those lists reversed."""
    if isinstance(value, dict):
        return {key: item if key in FIXED else turned_round(item) for key, item in value.items()}
    return [turned_round(item) for item in reversed(value)] if isinstance(value, list) else value


def plan_jobs(folder: Path, raw: dict[str, Any]) -> Jobs:
    """Return the jobs of a configuration, planned in `folder`."""
    for name in FROM_OUTSIDE:
        (folder / name).touch()
    write_json(folder / "scale.json", raw)
    found = planned_jobs(ROOT / "Snakefile", folder, configfiles=[folder / "scale.json"])
    return {job.outputs: job for job in found}
