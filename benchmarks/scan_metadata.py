"""Rows per CPU-second of `select_candidates` on generated YFCC100M metadata, against duckdb, polars, pyarrow, pandas.

**The same answer** from all (`scan_peers.py`), compared cell by cell: how many photos each of the six licences has; a
Parquet file of the CC BY photos with all attribution columns, URL-decoded, with their partition, sorted by partition,
id and row; a Parquet file of the other rows with number, reason, photo id and detail. Ours also checks every field of
every row; the peers do not, and this file has no damaged row, because each of them would drop, join or refuse some.
**Count only** is beside it: the peers just count the CC BY photos, which is the least that a reader can do.

Figures are CPU-seconds and peak memory of whole processes, one thread each; all alternate, medians count. The
CPU-seconds of equal work vary much on a machine that others use, so the range over the rounds is given, and a ratio is
the median (and range) of the ratios within each round. `ratio` is the lower of ours over duckdb's and ours over
pyarrow's rows per CPU-second for the same answer.

    make peers && python -m benchmarks.scan_metadata
"""

from __future__ import annotations

import argparse
import bz2
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from benchmarks.yfcc_rows import write_rows
from scripts.curate.settings import MetadataFile, SelectCandidatesSettings, TarStore, YfccSource
from scripts.lib.recipe import write_recipe

PEERS = ("duckdb", "polars", "pyarrow", "pandas")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
STREAM_BYTES = 20_000_000  # of text in each stream of the bz2 file that has several
MB = 1024


@dataclass(frozen=True)
class Run:
    """What one process took."""

    cpu: float  # seconds
    wall: float  # seconds
    peak: float  # MB of resident memory


def measure(command: list[str]) -> Run:
    """Run a command to its end."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | ONE_THREAD
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command[:4])} … failed with status {status}")
    return Run(usage.ru_utime + usage.ru_stime, time.monotonic() - began, usage.ru_maxrss / MB)


def our_command(metadata: Path, folder: Path, threads: int) -> list[str]:
    """Return the step as a rule runs it."""
    source = YfccSource(name="made", kind="yfcc100m", files=(MetadataFile(path="x"),), stores=(TarStore(tar="x"),))
    required = ("creator", "page_url", "download_url", "licence_url")
    recipe = SelectCandidatesSettings(source=source, licences=("CC-BY-2.0",), require=required, partition_bits=8)
    command = [sys.executable, "-m", "scripts.curate.select_candidates", "--recipe", write_recipe(recipe)]
    command += ["--file", "made-000", "--metadata", str(metadata), "--table=", "--threads", str(threads)]
    command += ["--candidates", f"{folder}/kept.parquet", "--rejected", f"{folder}/rejected.parquet"]
    return [*command, "--account", f"{folder}/account.json"]


def peer_command(python: str, peer: str, task: str, metadata: Path, folder: Path) -> list[str]:
    """Return a peer's program."""
    return [python, str(Path(__file__).with_name("scan_peers.py")), peer, task, str(metadata), str(folder)]


def check_answers(ours: Path, theirs: Path) -> None:
    """Fail when two answers differ in a cell."""
    import pyarrow.parquet as pq

    licences = json.loads((ours / "account.json").read_text())["licences"]
    if licences != json.loads((theirs / "licences.json").read_text()):
        raise SystemExit(f"{theirs.name}: other counts of licences")
    for name, order in (("kept.parquet", None), ("rejected.parquet", "row")):
        mine, other = pq.read_table(ours / name), pq.read_table(theirs / name)
        columns = [column for column in mine.column_names if column not in ("source", "file")]
        mine, other = mine.select(columns), other.select(columns).cast(mine.select(columns).schema)
        if order:
            mine, other = mine.sort_by(order), other.sort_by(order)
        for column in columns:
            if not mine[column].combine_chunks().equals(other[column].combine_chunks()):
                raise SystemExit(f"{theirs.name}: another {column} in {name}")


def pack(text: Path, packed: Path, stream_bytes: int) -> None:
    """Compress a file in streams of about so many bytes of text."""
    with text.open("rb") as source, packed.open("wb") as target:
        size, stream = 0, bz2.BZ2Compressor()
        while piece := source.read(1 << 20):
            target.write(stream.compress(piece))
            size += len(piece)
            if size >= stream_bytes:
                target.write(stream.flush())
                size, stream = 0, bz2.BZ2Compressor()
        target.write(stream.flush())


def median(runs: list[Run], figure: str) -> float:
    """Return the median of a figure."""
    return statistics.median(getattr(run, figure) for run in runs)


def ratios(found: dict[str, list[Run]]) -> dict[str, list[float]]:
    """Return lowest, median and highest of peer's over our CPU time within a round, for each peer."""
    each = {
        name: [theirs.cpu / ours.cpu for theirs, ours in zip(runs, found["unpeopled"], strict=True)]
        for name, runs in found.items()
        if name != "unpeopled"
    }
    return {name: [round(pick(some), 2) for pick in (min, statistics.median, max)] for name, some in each.items()}


def scan(python: str, metadata: Path, folder: Path, rounds: int) -> dict[str, list[Run]]:
    """Return the runs of all programs on plain text, and check that their answers agree."""
    commands = {"unpeopled": our_command(metadata, folder / "unpeopled", 1)}
    for task in ("answer", "count"):
        names = {peer: peer if task == "answer" else f"{peer}, count only" for peer in PEERS}
        commands |= {names[peer]: peer_command(python, peer, task, metadata, folder / peer) for peer in PEERS}
    return compare(commands, folder, rounds)


def scan_bzip2(python: str, metadata: Path, folder: Path, rounds: int) -> dict[str, list[Run]]:
    """Return the runs on bz2 of those that read it."""
    commands = {f"unpeopled, {count} threads": our_command(metadata, folder / "unpeopled", count) for count in (1, 2)}
    commands |= {peer: peer_command(python, peer, "answer", metadata, folder / peer) for peer in ("pyarrow", "pandas")}
    return compare(commands, folder, rounds)


def compare(commands: dict[str, list[str]], folder: Path, rounds: int) -> dict[str, list[Run]]:
    """Run all commands in turn, `rounds` times."""
    for name in ("unpeopled", *PEERS):
        (folder / name).mkdir(exist_ok=True)
    runs: dict[str, list[Run]] = defaultdict(list)
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(measure(command))
    for name in commands:
        if name in PEERS:
            # In a process of its own: what this one takes would count as the peak memory of all that it starts later.
            checked = [sys.executable, "-m", "benchmarks.scan_metadata", "--check", str(folder), name]
            if subprocess.run(checked, check=False).returncode:
                raise SystemExit(1)
    return runs


def show(title: str, rows: int, found: dict[str, list[Run]]) -> None:
    """Print a table."""
    print(
        f"\n{title}\n\n| program | rows per CPU-second | CPU s (range) | wall s | peak MB |\n|---|---:|---:|---:|---:|"
    )
    for name, runs in found.items():
        cpu, spent = median(runs, "cpu"), [run.cpu for run in runs]
        cells = f"{rows / cpu:,.0f} | {cpu:.2f} ({min(spent):.2f}-{max(spent):.2f}) | {median(runs, 'wall'):.1f}"
        print(f"| {name} | {cells} | {max(run.peak for run in runs):.0f} |", flush=True)


def main() -> None:
    """Print the tables and the JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--few", type=int, default=200_000, help="rows of the small file, for memory and bz2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default=".venv-peers/bin/python", help="their interpreter")
    parser.add_argument("--check", nargs=2, metavar=("FOLDER", "PEER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.check:
        check_answers(Path(args.check[0]) / "unpeopled", Path(args.check[0]) / args.check[1])
        return
    if not Path(args.peers).exists():
        raise SystemExit(f"There is no {args.peers}: run `make peers` first, or name another interpreter with --peers.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {}
        for rows in (args.few, args.rows):
            write_rows(folder / "metadata", rows)
            found[rows] = scan(args.peers, folder / "metadata", folder, args.rounds)
            show(f"Plain text, {rows:,} rows, {(folder / 'metadata').stat().st_size / 1e6:,.0f} MB", rows, found[rows])
        write_rows(folder / "metadata", args.few)
        packed = folder / "metadata.bz2"  # a name for the peers; ours reads the first bytes
        for title, stream_bytes in (("one stream", sys.maxsize), ("several streams", STREAM_BYTES)):
            pack(folder / "metadata", packed, stream_bytes)
            runs = scan_bzip2(args.peers, packed, folder, args.rounds)
            show(f"bz2, {title}, {args.few:,} rows, {packed.stat().st_size / 1e6:,.0f} MB", args.few, runs)
    within = ratios(found[args.rows])
    rates = {name: round(args.rows / median(runs, "cpu")) for name, runs in found[args.rows].items()}
    figures = {"rows": args.rows, "rounds": args.rounds, "rows_per_cpu_second": rates, "ratios_low_median_high": within}
    peaks = {rows: round(max(run.peak for run in runs["unpeopled"])) for rows, runs in found.items()}
    figures["peak_mb"] = peaks
    ratio = min(within["duckdb"][1], within["pyarrow"][1])
    print(json.dumps({"name": "scan_metadata", "ratio": ratio, "peer": "duckdb and pyarrow, same answer", **figures}))


if __name__ == "__main__":
    main()
