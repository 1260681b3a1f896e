"""Rows per CPU-second of `select_candidates` on generated YFCC100M metadata, against pandas reading the same file.

The peer reads the 25 columns in chunks and counts the CC BY photos, which is the least that any reader must do; ours
also decodes and checks their fields, writes the candidates sorted by partition and a row for each rejected line.
CPU-seconds of whole processes; the two alternate, medians count; `ratio` is ours over the peer's rows per CPU-second.

    python -m benchmarks.select_candidates --rows 200000 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from scripts.curate.settings import MetadataFile, SelectCandidatesSettings, TarStore, YfccSource
from scripts.lib.identity import yfcc_key
from scripts.lib.recipe import write_recipe

LICENCES = [  # name, address, share of YFCC100M's photos
    ("Attribution License", "by", 0.173),
    ("Attribution-ShareAlike License", "by-sa", 0.095),
    ("Attribution-NoDerivs License", "by-nd", 0.050),
    ("Attribution-NonCommercial License", "by-nc", 0.128),
    ("Attribution-NonCommercial-ShareAlike License", "by-nc-sa", 0.290),
    ("Attribution-NonCommercial-NoDerivs License", "by-nc-nd", 0.264),
]
PEER = """
import sys, pandas as pd
kept = 0
options = dict(sep="\\t", header=None, dtype=str, quoting=3, keep_default_na=False, chunksize=50000)
for chunk in pd.read_csv(sys.argv[1], **options):
    kept += int(((chunk[18] == "Attribution License") & (chunk[24] == "0")).sum())
print(kept)
"""


def write_rows(path: Path, count: int) -> None:
    """Write `count` rows in the 25-column layout; licences in YFCC100M's proportions, one row in 125 a video."""
    draws = np.random.default_rng(0)
    chosen = draws.choice(len(LICENCES), size=count, p=[share for _, _, share in LICENCES])
    with path.open("w", encoding="utf-8") as handle:
        for row, licence in enumerate(chosen):
            name, kind, _ = LICENCES[licence]
            photo, user = 10_000_000 + row, f"{row % 5000:08d}@N00"
            url = f"http://farm1.staticflickr.com/{row % 100}/{photo}_0123456789.jpg"
            fields = [row, photo, yfcc_key(url), user, f"user+{row % 5000}", "2010-05-31 21:07:00.0", "1275340020"]
            fields += ["Canon+EOS+5D", f"A+title+%28{row}%29", "Some+words+about+it" * 5, "tag,another", ""]
            fields += ["-0.25", "41.0", "15", f"http://www.flickr.com/photos/{user}/{photo}/", url, name]
            fields += [f"http://creativecommons.org/licenses/{kind}/2.0/", "59", "1", "0123456789", "0123456789", "jpg"]
            handle.write("\t".join(str(field) for field in [*fields[:12], *fields[12:], int(row % 125 == 0)]) + "\n")


def cpu_seconds(command: list[str]) -> float:
    """Run a command and return the CPU time of its process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a line for each round, and the JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    source = YfccSource(name="made", kind="yfcc100m", files=(MetadataFile(path="x"),), stores=(TarStore(tar="x"),))
    recipe = write_recipe(
        SelectCandidatesSettings(source=source, licences=("CC-BY-2.0",), require=("creator",), partition_bits=8)
    )
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder) / "metadata.tsv"
        write_rows(metadata, args.rows)
        outputs = {"candidates": "c.parquet", "rejected": "r.parquet", "account": "a.json"}
        flags = [text for name, file in outputs.items() for text in (f"--{name}", f"{folder}/{file}")]
        step = [sys.executable, "-m", "scripts.curate.select_candidates", "--recipe", recipe, "--file", "made-000"]
        ours_command = [*step, "--metadata", str(metadata), "--table=", *flags]
        peer_command = [sys.executable, "-c", PEER, str(metadata)]
        ours, peer = [], []
        for round_number in range(args.rounds):
            peer.append(args.rows / cpu_seconds(peer_command))
            ours.append(args.rows / cpu_seconds(ours_command))
            print(f"round {round_number}: ours {ours[-1]:,.0f}, pandas {peer[-1]:,.0f} rows per CPU-second")
    ratio = statistics.median(ours) / statistics.median(peer)
    print(
        json.dumps({"name": "select_candidates", "ratio": round(ratio, 3), "peer": "pandas chunks", "rows": args.rows})
    )


if __name__ == "__main__":
    main()
