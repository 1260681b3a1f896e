"""The cache and five frozen protocols on 60,000 made features of width 512: CPU time, memory, agreement with peers.

Made features (50,000 train, 10,000 test, 10 classes, correlated and non-negative as a ResNet-18's) are written in
shards and joined into the cache as `embed` does; then each protocol is a process of its own, exactly as in its rule:
kNN with five votes, linear probe (6 C, 3 seeds), low-shot, k-means, RankMe. CPU-seconds and peak memory are those of
whole processes (RUSAGE_CHILDREN), interpreter start included; making the numbers is not counted, their writing is.

With `--cifar10 FOLDER` (cifar10_train.tar, cifar10_test.tar) kNN and linear probe are also compared on features of real
images with scikit-learn and with a naive search in 64 bits: 512 principal axes of raw 32-pixel images, no network.

    python -m benchmarks.frozen_protocols --cifar10 $UNPEOPLED_SHARED/data
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import yaml

from scripts.evaluate.features import Features, join_shards, write_tensors
from scripts.evaluate.settings import EvaluateSettings
from scripts.lib.recipe import write_recipe

PROTOCOLS = ("knn", "linear_probe", "low_shot", "cluster", "rank_me")
WITHOUT_PREDICTIONS = ("rank_me",)
SHARD = 4096
ROOT = Path(__file__).resolve().parents[1]


def official() -> EvaluateSettings:
    """Return `evaluate:` of config.yaml."""
    raw = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["evaluate"]
    return EvaluateSettings.model_validate_json(json.dumps(raw))


def made(train: int, test: int, dims: int, classes: int = 10) -> Features:
    """Return overlapping classes whose features are correlated and non-negative."""
    random = np.random.default_rng(0)
    mix = random.normal(size=(dims, dims)).astype(np.float32) * (np.arange(1, dims + 1) ** -0.8)[:, None]
    centres = 0.35 * random.normal(size=(classes, dims))
    parts = []
    for count in (train, test):
        labels = np.arange(count) % classes
        noise = random.normal(size=(count, dims))
        parts += [np.maximum((centres[labels] + noise) @ mix, 0).astype(np.float32), labels]
    names = [str(label) for label in range(classes)]
    return Features(*parts, description={"task": "made", "class_names": names, "encoder": {}, "inputs": {}})


def cifar10(folder: Path, dims: int, every: int = 1, side: int = 32) -> Features:
    """Return one in `every` of 60,000 real images of `side` pixels on their principal axes, by NumPy alone."""
    from PIL import Image

    parts = []
    for split in ("train", "test"):
        with tarfile.open(folder / f"cifar10_{split}.tar") as tar:
            members = sorted((each for each in tar if each.isfile()), key=lambda each: each.name)[::every]
            names = sorted({each.name.split("/")[-2] for each in members})
            pixels = np.empty((len(members), 3 * side**2), np.float32)
            for place, each in enumerate(members):
                handle = tar.extractfile(each)
                assert handle is not None
                image = Image.open(io.BytesIO(handle.read())).convert("RGB").resize((side, side))
                pixels[place] = np.asarray(image, np.float32).ravel() / 255
        parts.append((pixels, np.array([names.index(each.name.split("/")[-2]) for each in members])))
    mean = parts[0][0].mean(axis=0)
    axes = np.linalg.eigh(np.cov(parts[0][0][:20_000], rowvar=False))[1][:, ::-1][:, :dims].astype(np.float32)
    placed = [each for pixels, labels in parts for each in ((pixels - mean) @ axes, labels)]
    return Features(*placed, description={"task": "cifar10", "class_names": names, "encoder": {}, "inputs": {}})


def measured(command: list[str]) -> tuple[float, float]:
    """Run a command; return its CPU-seconds and the largest memory of any child so far, in MB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss / 1024


def write_cache(folder: Path) -> None:
    """Write the cache of `features.npz` in shards, then joined; called in a process of its own."""
    arrays = np.load(folder / "made.npz")
    shards: dict[str, list[Path]] = {"train": [], "test": []}
    for split, files in shards.items():
        features = arrays[f"{split}_features"]
        for number, first in enumerate(range(0, len(features), SHARD)):
            files.append(folder / f"{split}-{number}")
            write_tensors(files[-1], {"features": features[first : first + SHARD].astype(np.float16)}, {})
    labels = {f"{split}_labels": arrays[f"{split}_labels"] for split in shards}
    description = {"task": "made", "class_names": [str(label) for label in range(10)], "encoder": {}, "inputs": {}}
    join_shards(folder / "cache", shards, labels, description)


def run_protocols(folder: Path) -> dict[str, tuple[float, float]]:
    """Return protocol → CPU-seconds and peak memory so far (MB), from the cache in `folder`."""
    settings = official()
    found = {}
    for name in PROTOCOLS:
        command = [sys.executable, "-m", f"scripts.evaluate.{name}", "--recipe", write_recipe(getattr(settings, name))]
        command += ["--run", "made", "--task", "made", "--features", str(folder / "cache"), "--threads", "1"]
        command += ["--out", str(folder / f"{name}.csv")]
        if name not in WITHOUT_PREDICTIONS:
            command += ["--predictions", str(folder / f"{name}.parquet")]
        found[name] = measured(command)
        print(f"{name}: {found[name][0]:.1f} CPU-seconds, peak so far {found[name][1]:.0f} MB", flush=True)
    return found


def agreement(features: Features, queries: int) -> dict[str, float]:
    """Return how kNN ranks and linear probes agree with peers on real features.

    Ranks: all 200 of `queries` test images against a naive sort of 64-bit similarities and against scikit-learn's
    NearestNeighbors, ties to the lower index. Probe: top-1 of all test images at three C against scikit-learn's
    LogisticRegression on the same standardised rows.
    """
    import torch
    from sklearn.linear_model import LogisticRegression as Reference
    from sklearn.neighbors import NearestNeighbors

    from scripts.evaluate.logistic import LogisticRegression, predict, principal_axes
    from scripts.evaluate.neighbours import find_neighbours

    train, test = features.train_features, features.test_features
    ours = find_neighbours(train, test[:queries], 200)[1]
    unit = [rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True) for rows in (train, test[:queries])]  # fmt: skip  # noqa: E501
    naive = np.stack([np.lexsort((np.arange(len(train)), -(unit[0] @ row)))[:200] for row in unit[1]])
    # scikit-learn leaves the order of equals open, so only the sets of each similarity could differ.
    peer = NearestNeighbors(n_neighbors=200, algorithm="brute", metric="cosine").fit(unit[0])
    peers = peer.kneighbors(unit[1], return_distance=False)
    figures = {
        "knn_ranks_equal_naive": float(np.mean(ours == naive)),
        "knn_ranks_equal_sklearn": float(np.mean(ours == peers)),
    }
    axes = principal_axes(torch.from_numpy(train))
    rows = [axes.apply(torch.from_numpy(each)) for each in (train, test)]
    regression = LogisticRegression(rows[0], torch.from_numpy(features.train_labels), axes.variances, 10, 1000)
    standard = [((each - axes.mean.numpy()) * axes.inverse_std.numpy()).astype(np.float64) for each in (train, test)]
    gaps = []
    for c in (0.0001, 0.01, 1.0):
        mine = predict(rows[1], regression.fit(c, torch.ones(len(train))))
        other = Reference(C=c, tol=1e-6, max_iter=3000).fit(standard[0], features.train_labels).predict(standard[1])
        shares = [float(np.mean(each == features.test_labels)) for each in (mine, other)]
        gaps.append(abs(shares[0] - shares[1]))
        print(f"linear probe, C {c:g}: ours {shares[0]:.4f}, scikit-learn {shares[1]:.4f}", flush=True)
    return figures | {"probe_largest_gap": round(max(gaps), 5)}


def main() -> None:
    """Print a line for each protocol, and the JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--train", type=int, default=50_000)
    parser.add_argument("--test", type=int, default=10_000)
    parser.add_argument("--dims", type=int, default=512)
    parser.add_argument("--cifar10", type=Path, help="folder of cifar10_train.tar and cifar10_test.tar")
    parser.add_argument("--queries", type=int, default=1000, help="test images whose ranks are compared")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        features = made(args.train, args.test, args.dims)
        arrays = {part: getattr(features, part) for part in ("train_features", "train_labels", "test_features", "test_labels")}  # fmt: skip  # noqa: E501
        np.savez(folder / "made.npz", **arrays)
        code = "import sys; from pathlib import Path; from benchmarks.frozen_protocols import write_cache; "
        cache = measured([sys.executable, "-c", code + "write_cache(Path(sys.argv[1]))", str(folder)])
        print(f"cache: {cache[0]:.1f} CPU-seconds, {(folder / 'cache').stat().st_size / 2**20:.0f} MB", flush=True)
        found = run_protocols(folder)
        for protocol in PROTOCOLS:
            for line in (folder / f"{protocol}.csv").read_text().splitlines()[1:3]:
                print("  " + ",".join(line.split(",")[2:8]))
    report: dict[str, object] = {
        "name": "frozen_protocols",
        "features": args.train + args.test,
        "dims": args.dims,
        "cpu_seconds": round(cache[0] + sum(each[0] for each in found.values()), 1),
        "limit_cpu_seconds": 300,
        "peak_mb": round(max(cache[1], *(each[1] for each in found.values()))),
        "limit_mb": 2048,
        "each": {protocol: round(each[0], 1) for protocol, each in found.items()},
    }
    if args.cifar10:
        report["cifar10"] = agreement(cifar10(args.cifar10, args.dims), args.queries)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
