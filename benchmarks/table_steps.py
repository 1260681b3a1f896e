"""Wall time and peak memory of every step that reads tables and no pixels, on generated photos.

There is no peer: each step is measured against the memory that its own rule asks for at the paper's scale. Metadata of
`--rows` CC BY photos is written, `select_candidates` reads it, and what `download`, `inspect_images`, the detectors and
`write_shards` would leave is generated from its candidates, in 16 partitions of the paper's size each (62,500 photos at
a million). Then each step runs as its rule calls it, in a process of its own: seconds by the clock and the processor,
`ru_maxrss` of that process. The same is done with a fifth of the rows; the line through the two points, continued to 17
million, is the extrapolation (steps of one partition stay as they are: there are more of them, not larger ones).
`ratio` is the least of memory asked over memory extrapolated: below 1, a cluster would kill that step.

    python -m benchmarks.table_steps --rows 1000000
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

from benchmarks.table_inputs import PARTITION_BITS, Made, make_config, write_metadata
from scripts.config import load_config
from scripts.plan import Plan

ROOT = Path(__file__).resolve().parents[1]
PAPER_ROWS = 17_210_144  # CC BY photos in YFCC100M
FILE = "yfcc100m-000"
ONE_PART = ("judge",)  # steps whose size is that of a partition


# The kernel counts what a process was before it became the step, so a small one starts it and not this one.
STARTER = """
import resource, subprocess, sys, time
began = time.monotonic()
code = subprocess.call(sys.argv[2:], stdout=open(sys.argv[1], "wb"), stderr=subprocess.STDOUT)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


@dataclass(frozen=True)
class Cost:
    """What a step took."""

    seconds: float
    cpu_seconds: float
    mebibytes: float


def measure(stage_and_step: str, flags: list[str], folder: Path) -> Cost:
    """Run a step in a process of its own.

    Raises:
        SystemExit: it failed; its messages are shown.
    """
    log = folder / f"{stage_and_step}.log"
    command = [sys.executable, "-m", f"scripts.{stage_and_step}", *flags]
    starter = [sys.executable, "-S", "-E", "-c", STARTER, str(log)]
    answer = subprocess.run([*starter, *command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    code, *figures = answer.split()
    if code != "0":
        raise SystemExit(f"{stage_and_step} failed:\n{log.read_text(encoding='utf-8')[-3000:]}")
    return Cost(*map(float, figures))


def steps(plan: Plan, made: Made) -> Iterator[tuple[str, list[str]]]:
    """Yield (stage.step, flags) in the order in which they run; the flags are those of the rules."""
    table, parts = made.path, plan.parts
    candidates = table(f"curate/select_candidates/{FILE}.parquet")
    account = table(f"curate/select_candidates/{FILE}.json")
    rejected = table(f"curate/select_candidates/{FILE}.rejected.parquet")
    selection, duplicates = table("filter/select.parquet"), table("curate/deduplicate.parquet")
    inspections = [table(f"curate/inspect_images/{part}.parquet") for part in parts]
    verdicts = [table(f"filter/judge/{part}.parquet") for part in parts]
    yield (
        "curate.select_candidates",
        [
            *("--recipe", plan.select_candidates_recipe(FILE), "--file", FILE, "--metadata", str(made.metadata)),
            *("--table=", "--threads", "1", "--candidates", candidates, "--rejected", rejected, "--account", account),
        ],
    )
    made.write_parts(Path(candidates), plan)
    yield (
        "curate.deduplicate",
        [
            *("--recipe", plan.deduplicate_recipe(), "--inspections", *inspections, "--out", duplicates, "--parts"),
            *(table(f"curate/deduplicate/{part}.parquet") for part in parts),
        ],
    )
    human, reviews = table("filter/gather_human_verdicts.csv"), table("filter/gather_human_verdicts.json")
    yield (
        "filter.gather_human_verdicts",
        [
            *("--human-verdicts=", "--audit-verdicts=", "--candidates", candidates),
            *("--out", human, "--figures", reviews, "--parts"),
            *(table(f"filter/gather_human_verdicts/{part}.csv") for part in parts),
        ],
    )
    for part in parts:
        detections = [
            [table(f"filter/{step}/{name}/{part}.parquet") for name in names] for step, names in made.detectors(plan)
        ]
        yield (
            "filter.judge",
            [
                *("--recipe", plan.judge_recipe(), "--part", part, "--candidates", candidates),
                *("--status", table(f"curate/download/{part}.parquet")),
                *("--inspection", table(f"curate/inspect_images/{part}.parquet")),
                *("--duplicates", table(f"curate/deduplicate/{part}.parquet")),
                *("--human-verdicts", table(f"filter/gather_human_verdicts/{part}.csv")),
                *("--faces", *detections[0], "--people", *detections[1]),
                *("--out", table(f"filter/judge/{part}.parquet")),
            ],
        )
    yield (
        "filter.select",
        [
            *("--recipe", plan.select_recipe(), "--candidates", candidates, "--inspections", *inspections),
            *("--verdicts", *verdicts, "--out", selection, "--parts"),
            *(table(f"filter/select/{part}.parquet") for part in parts),
        ],
    )
    sample, sampled = table("filter/draw_audit_sample.parquet"), table("filter/draw_audit_sample.json")
    yield (
        "filter.draw_audit_sample",
        [
            *("--recipe", plan.audit_recipe(), "--selection", selection, "--audit-verdicts="),
            *("--out", sample, "--account", sampled),
        ],
    )
    indexes = made.write_indexes(Path(selection), plan)
    metadata = table("shard/write_metadata/metadata.parquet")
    yield (
        "shard.write_metadata",
        [
            *("--recipe", plan.write_shards_recipe(), "--selection", selection, "--indexes", *indexes),
            *("--pass-metadata", table("shard/write_metadata/pass_metadata.csv"), "--metadata", metadata),
        ],
    )
    yield (
        "shard.write_card",
        [
            *("--recipe", plan.write_card_recipe(), "--selection", selection, "--metadata", metadata),
            *("--indexes", *indexes, "--leak-rate=", "--out", table("shard/write_card.md")),
        ],
    )
    yield from report_steps(plan, made, account, selection)


def report_steps(plan: Plan, made: Made, account: str, selection: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the steps of the report."""
    tables = account.removesuffix(".json")
    funnel, figure = made.path("report/funnel.json"), made.path("report/draw_funnel.svg")
    yield (
        "report.count_funnel",
        [
            *("--accounts", account, "--candidates", f"{tables}.parquet", "--rejected", f"{tables}.rejected.parquet"),
            *("--selection", selection, "--out", funnel),
        ],
    )
    yield (
        "report.draw_funnel",
        ["--funnel", funnel, "--png", made.path("report/draw_funnel.png"), "--svg", figure],
    )
    positions = made.path("report/draw_positions.svg")
    yield (
        "report.draw_positions",
        ["--selection", selection, "--png", made.path("report/draw_positions.png"), "--svg", positions],
    )
    yield (
        "report.write_report",
        [
            *("--recipe", plan.write_report_recipe(), "--funnel", funnel, "--funnel-figure", figure, "--curves"),
            *("--sheets", "--results", made.write_results(), "--selection", selection),
            *("--positions", positions),
            *("--reviews", made.path("filter/gather_human_verdicts.json"), "--leak-rate="),
            *("--duplicates", made.write_duplicate_figures(), "--duplicate-sheets"),
            *("--out", made.path("report/index.html")),
        ],
    )


def measure_all(rows: int, folder: Path) -> dict[str, Cost]:
    """Run every step on `rows` candidates. Of the steps that run for each partition the most expensive counts."""
    metadata = folder / "metadata.tsv"
    write_metadata(metadata, rows)
    plan = Plan(load_config(make_config(rows)))
    costs: dict[str, Cost] = {}
    for name, flags in steps(plan, Made(folder / "results", metadata)):
        cost = measure(name, flags, folder)
        step = name.split(".")[1]
        before = costs.get(step, cost)
        costs[step] = Cost(*map(max, zip(astuple(cost), astuple(before), strict=True)))
    return costs


def asked_memory() -> dict[str, int]:
    """Return rule -> `mem_mb`."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "rules").glob("*.smk")))
    found = re.findall(r"^rule (\w+):\n(?:(?!^rule ).*\n)*?\s+mem_mb=(\d+)", text, re.MULTILINE)
    return {name: int(mebibytes) for name, mebibytes in found}


def extrapolate(few: float, many: float, rows: tuple[int, int]) -> float:
    """Return the value at the paper's rows on the line through two points; never less than the larger one."""
    slope = (many - few) / (rows[1] - rows[0])
    return max(many, many + slope * (PAPER_ROWS - rows[1]))


def main() -> None:
    """Print a table, and the JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder when not given")
    args = parser.parse_args()
    rows = (args.rows // 5, args.rows)
    found = []
    for count in rows:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            found.append(measure_all(count, Path(folder)))
    asked, figures = asked_memory(), {}
    print(f"{rows[1]:,} candidates, {2**PARTITION_BITS} partitions; extrapolated to {PAPER_ROWS:,} from {rows[0]:,} on")
    print(f"{'step':18}{'wall s':>8}{'CPU s':>8}{'MiB':>7}{'CPU s, 17 M':>13}{'MiB, 17 M':>11}{'MiB asked':>11}")
    for step, cost in found[1].items():
        few = found[0][step] if step not in ONE_PART else cost
        seconds = round(extrapolate(few.cpu_seconds, cost.cpu_seconds, rows))
        mebibytes = round(extrapolate(few.mebibytes, cost.mebibytes, rows))
        figures[step] = {
            "seconds": round(cost.seconds, 1),
            "cpu_seconds": round(cost.cpu_seconds, 1),
            "mib": round(cost.mebibytes),
            "cpu_seconds_17m": seconds,
            "mib_17m": mebibytes,
            "mib_asked": asked[step],
        }
        row = f"{step:18}{cost.seconds:8.1f}{cost.cpu_seconds:8.1f}{cost.mebibytes:7.0f}"
        print(f"{row}{seconds:13}{mebibytes:11}{asked[step]:11}", flush=True)
    ratio = min(figure["mib_asked"] / figure["mib_17m"] for figure in figures.values())
    print(json.dumps({"name": "table_steps", "ratio": round(ratio, 2), "peer": "mem_mb", "rows": rows[1], **figures}))


if __name__ == "__main__":
    main()
