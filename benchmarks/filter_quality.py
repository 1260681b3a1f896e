"""How many photos with people the filter drops, and how many without it drops for nothing, by label.

Reads a finished run of scales/photos.yaml. The peer is the paper's first stage alone (RetinaFace MobileNet-0.25 at 0.5)
on the same photos: `ratio` is our recall over its recall.

    make photos && python -m benchmarks.filter_quality
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
from scipy.stats import binomtest

PEOPLE = ("face", "person")
PEER, PEER_SCORE = "retinaface_mobilenet", 0.5


def judged(results: Path) -> dict[str, str]:
    """Return image id → reason of `judge` for each image that the detectors saw."""
    reasons = {}
    for path in sorted((results / "filter" / "judge").glob("*.parquet")):
        table = pq.read_table(path, columns=["image_id", "reason"]).to_pydict()
        reasons.update(zip(table["image_id"], table["reason"], strict=True))
    return {image_id: reason for image_id, reason in reasons.items() if reason in ("", *PEOPLE)}


def face_scores(results: Path) -> dict[str, float]:
    """Return image id → highest face score of the peer's detector."""
    scores = {}
    for path in sorted((results / "filter" / "detect_faces" / PEER).glob("*.parquet")):
        table = pq.read_table(path, columns=["image_id", "score"]).to_pydict()
        scores.update(zip(table["image_id"], table["score"], strict=True))
    return scores


def interval(dropped: int, seen: int) -> str:
    """Return `share [95 % interval]`, Clopper-Pearson."""
    if not seen:
        return "none"
    low, high = binomtest(dropped, seen).proportion_ci(0.95)
    return f"{dropped / seen:.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    """Print a line for each label, and the JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    labels_path = Path(os.environ.get("UNPEOPLED_SHARED", "../shared")) / "data" / "photos.csv"
    parser.add_argument("--results", type=Path, default=Path("results"), help="of a finished run of scales/photos.yaml")
    parser.add_argument("--photos", type=Path, default=labels_path, help="table of labels")
    args = parser.parse_args()
    for path in (args.photos, args.results / "filter" / "detect_faces" / PEER):
        if not path.exists():
            sys.exit(f"{path} is missing: run `make photos` first, with UNPEOPLED_SHARED naming the folder of data/")
    with args.photos.open(encoding="utf-8", newline="") as handle:
        labels = {row["key"]: row["label"] for row in csv.DictReader(handle) if row["key"]}
    reasons, scores = judged(args.results), face_scores(args.results)
    seen, ours, peer = Counter[str](), Counter[str](), Counter[str]()
    missed = []
    for image_id, reason in sorted(reasons.items()):
        label = labels.get(image_id)
        if label is None:
            continue
        seen[label] += 1
        ours[label] += reason in PEOPLE
        peer[label] += scores[image_id] >= PEER_SCORE
        if label == "person" and reason not in PEOPLE:
            missed.append(image_id)
    for label in sorted(seen):
        print(
            f"{label:20} {seen[label]:4} photos, dropped {interval(ours[label], seen[label])}, "
            f"faces alone {interval(peer[label], seen[label])}"
        )
    print("photos with people that were kept:", " ".join(missed) or "none")
    recall, peer_recall = ours["person"] / seen["person"], peer["person"] / seen["person"]
    figures = {"recall": recall, "false_rejects": ours["no_person"] / seen["no_person"], "peer_recall": peer_recall}
    print(json.dumps({"name": "filter_quality", "ratio": recall / peer_recall, **figures}))


if __name__ == "__main__":
    main()
