"""Near duplicates: hashing photographs and finding near pairs among a million hashes, against imagehash and faiss.

*Search.* `--count` random 64-bit hashes, of which 1,000 pairs are planted at distances 0 to 6, go through our join and
through faiss' `IndexBinaryMultiHash` with 4 tables of 16 bits and one flipped bit each, which finds all pairs up to 7
bits (pigeonhole); both are asked for all pairs within 6. faiss works with one thread, as ours. Ours then does the same
in all 8 orientations, which faiss cannot do without 8 times the queries.

*Hash.* Each photograph of `--photos` is decoded and hashed: ours with the 16 x 16 miniature for the second look, and
the hashes of all 8 orientations follow from its one; imagehash's `phash`, upright alone. Then changed copies of the
photographs are made, hashed by both and looked for among the originals within 6 bits: the share that is found, and
pairs of originals that are joined (three pairs of the test photographs are one picture, coloured anew; all others
differ).

CPU-seconds of whole processes; both alternate, medians count. `ratio` is faiss' CPU-seconds over ours in the search.

    python -m benchmarks.near_duplicates --peers .venv-peers/bin/python --rounds 3
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
DISTANCE, PLANTED = 6, 1000
MADE = """
import json, resource, sys
import numpy as np
count, planted = int(sys.argv[1]), int(sys.argv[2])
draws = np.random.default_rng(0)
hashes = draws.integers(0, 2**64, count, dtype=np.uint64)
for pair in range(planted):
    bits = draws.choice(64, pair % 7, replace=False)
    hashes[count - 1 - pair] = hashes[pair] ^ np.uint64(sum(1 << int(bit) for bit in bits))
pairs, found = 0, set()
"""
TELL = """
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"pairs": pairs, "planted": len({i for i, j in found if i + j == count - 1}), "mib": peak}))
"""
OURS_SEARCH = """
from scripts.curate.hash_join import near_pairs
from scripts.lib.perceptual_hash import orientations
chosen = orientations(mirrored=sys.argv[3] == "8", turned=sys.argv[3] == "8")
for first, second, laid in near_pairs(hashes, 6, chosen):
    pairs += len(first)
    if laid == chosen[0]:
        found.update(zip(first.tolist(), second.tolist()))
"""
FAISS_SEARCH = """
import faiss
faiss.omp_set_num_threads(1)
index = faiss.IndexBinaryMultiHash(64, 4, 16)
index.nflip = 1
codes = hashes.view(np.uint8).reshape(-1, 8)
index.add(codes)
for start in range(0, count, 100_000):
    limits, _, places = index.range_search(codes[start:start + 100_000], 7)  # 7: below, so 6 and less
    for query in np.flatnonzero(np.diff(limits) > 1):
        for other in places[limits[query]:limits[query + 1]]:
            if start + query < other:
                found.add((int(start + query), int(other)))
pairs = len(found)
"""
OURS_HASH = """
import json, sys
from pathlib import Path
import numpy as np
from scripts.lib.perceptual_hash import miniature_of, perceptual_hashes, small_grey
from scripts.lib.images import open_image, to_rgb
greys = [small_grey(to_rgb(open_image(path.read_bytes()))) for path in sorted(Path(sys.argv[1]).iterdir())]
miniatures = [miniature_of(grey).tobytes().hex() for grey in greys]
print(json.dumps({"hashes": perceptual_hashes(greys).tolist(), "miniatures": miniatures}))
"""
PEER_HASH = """
import json, sys
from pathlib import Path
import imagehash
from PIL import Image
paths = sorted(Path(sys.argv[1]).iterdir())
print(json.dumps({"hashes": [int(str(imagehash.phash(Image.open(path))), 16) for path in paths]}))
"""


def run(python: str, code: str, *arguments: str) -> tuple[float, dict[str, Any]]:
    """Run a piece of Python in a process of its own and return its CPU-seconds and its answer."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT) if python == sys.executable else ""}
    done = subprocess.run(
        [python, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return used, answer


def compare_search(peers: str, count: int, rounds: int) -> dict[str, Any]:
    """Return the figures of the search, ours and faiss'."""
    seconds: dict[str, list[float]] = {"ours": [], "ours in 8 orientations": [], "faiss": []}
    answers: dict[str, dict[str, Any]] = {}
    for number in range(rounds):
        for name, python, code, mode in (
            ("faiss", peers, FAISS_SEARCH, "1"),
            ("ours", sys.executable, OURS_SEARCH, "1"),
            ("ours in 8 orientations", sys.executable, OURS_SEARCH, "8"),
        ):
            used, answers[name] = run(python, MADE + code + TELL, str(count), str(PLANTED), mode)
            seconds[name].append(used)
            found = answers[name]
            print(
                f"round {number}: {name}: {used:.1f} CPU-seconds, {found['mib']} MiB, {found['pairs']} pairs, "
                f"{found['planted']} of {PLANTED} planted",
                flush=True,
            )
    return {name: {"cpu_seconds": round(statistics.median(used), 2), **answers[name]} for name, used in seconds.items()}


def recompressed(image: Image.Image) -> Image.Image:
    """Return the image after a JPEG of quality 30."""
    target = io.BytesIO()
    image.save(target, "JPEG", quality=30)
    return Image.open(target)


def cropped(image: Image.Image) -> Image.Image:
    """Return the image without a hundredth of it on each side."""
    across, down = round(image.width / 100), round(image.height / 100)
    return image.crop((across, down, image.width - across, image.height - down))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": recompressed,
    "halved": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC),
    "grey": lambda image: image.convert("L"),
    "brighter": lambda image: image.point(lambda level: min(255, level * 1.2)),
    "cropped by 1 %": cropped,
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned by 90 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_90),
}


def within(first: list[int], second: list[int]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which pairs of hashes, [n, m], differ in at most `DISTANCE` bits."""
    left, right = np.array(first, np.uint64), np.array(second, np.uint64)
    near: np.ndarray[Any, np.dtype[np.bool_]] = np.bitwise_count(left[:, None] ^ right[None]) <= DISTANCE
    return near


def alike(first: dict[str, Any], second: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which pairs of pictures, [n, m], look alike to us: in any orientation, at both looks."""
    from scripts.lib.perceptual_hash import correlations, orientations, oriented_hashes, oriented_miniatures

    small = [
        np.frombuffer(bytes.fromhex("".join(item["miniatures"])), np.uint8).reshape(-1, 256) for item in (first, second)
    ]
    result = np.zeros((len(small[0]), len(small[1])), np.bool_)
    for laid in orientations(mirrored=True, turned=True):
        hashes = oriented_hashes(np.array(second["hashes"], np.uint64), laid).tolist()
        i, j = np.nonzero(within(first["hashes"], hashes))
        result[i, j] |= correlations(small[0][i], oriented_miniatures(small[1], laid)[j]) >= 0.92
    return result


def compare_hashes(peers: str, photos: Path, rounds: int) -> dict[str, Any]:
    """Return images per CPU-second, recall of changed copies and wrongly joined pairs, ours and imagehash's."""
    codes = {"ours": (sys.executable, OURS_HASH), "imagehash": (peers, PEER_HASH)}
    rates: dict[str, list[float]] = {name: [] for name in codes}
    originals: dict[str, dict[str, Any]] = {}
    files = sorted(photos.glob("*.jpg"))
    for number in range(rounds):
        for name, (python, code) in codes.items():
            used, originals[name] = run(python, code, str(photos))
            rates[name].append(len(files) / used)
        print(f"round {number}: " + ", ".join(f"{name} {rates[name][-1]:.0f} images per CPU-second" for name in codes))
    figures: dict[str, Any] = {name: {"images_per_cpu_second": round(statistics.median(rates[name]))} for name in codes}
    different = ~np.eye(len(files), dtype=np.bool_)
    joined = {
        "ours": alike(originals["ours"], originals["ours"]),
        "imagehash": within(originals["imagehash"]["hashes"], originals["imagehash"]["hashes"]),
    }
    for name in codes:
        figures[name]["pairs_of_originals"] = int((joined[name] & different).sum()) // 2
    for change, function in CHANGES.items():
        with tempfile.TemporaryDirectory() as folder:
            for path in files:
                function(Image.open(path).convert("RGB")).save(Path(folder) / path.name, quality=85)
            copies = {name: run(python, code, folder)[1] for name, (python, code) in codes.items()}
        found = {
            "ours": np.diagonal(alike(originals["ours"], copies["ours"])),
            "imagehash": np.diagonal(within(originals["imagehash"]["hashes"], copies["imagehash"]["hashes"])),
        }
        for name in codes:
            figures[name].setdefault("recall", {})[change] = round(float(found[name].mean()), 4)
        print(f"{change}: " + ", ".join(f"{name} finds {found[name].mean():.1%}" for name in codes), flush=True)
    return figures


def main() -> None:
    """Print a line for each round, and the JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    shared = Path(os.environ.get("UNPEOPLED_SHARED", ROOT.parent / "shared"))
    parser.add_argument("--peers", default=str(ROOT / ".venv-peers/bin/python"), help="Python with imagehash and faiss")
    parser.add_argument("--photos", type=Path, default=shared / "data/photos", help="folder of JPEGs")
    parser.add_argument("--count", type=int, default=1_000_000, help="hashes")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    probe = subprocess.run([args.peers, "-c", "import faiss, imagehash"], check=False, capture_output=True)
    if probe.returncode:
        raise SystemExit(f"{args.peers} has not imagehash and faiss: run `make peers`, or name another with --peers")
    if not any(args.photos.glob("*.jpg")):
        raise SystemExit(f"{args.photos} holds no JPEGs: name a folder of photographs with --photos")
    hashing = compare_hashes(args.peers, args.photos, args.rounds)
    search = compare_search(args.peers, args.count, args.rounds)
    ratio = search["faiss"]["cpu_seconds"] / search["ours"]["cpu_seconds"]
    print(
        json.dumps(
            {
                "name": "near_duplicates",
                "ratio": round(ratio, 2),
                "peer": "faiss IndexBinaryMultiHash",
                "hashes": args.count,
                "search": search,
                "hashing": hashing,
            }
        )
    )


if __name__ == "__main__":
    main()
