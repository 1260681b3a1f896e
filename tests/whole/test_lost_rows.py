"""A row that is lost or doubled in any table stops the step that reads it, by name, and never passes unseen.

All steps without pixels run on generated photos; then each table that a step reads is damaged, one row at a time. Of a
lost row that a step cannot miss, because nothing that it reads tells of the row, the next step with a second witness
tells: `judge` holds candidates, status, inspection and detections against each other, `count_funnel` the account of the
metadata against the tables of candidates and rejected rows and the selection.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.table_inputs import Made, make_config, write_metadata
from benchmarks.table_steps import FILE, steps
from scripts.config import load_config
from scripts.lib.errors import UserError
from scripts.plan import Plan

ROWS = 400
PART = "d"  # of 16, one with duplicates; judge is asked for this one


def run(step: str, flags: list[str]) -> None:
    importlib.import_module(f"scripts.{step}").main(flags)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[str]]]:
    """Return the folder of a finished run, and step → the flags with which it ran."""
    folder = tmp_path_factory.mktemp("finished")
    write_metadata(folder / "metadata.tsv", ROWS)
    with (folder / "metadata.tsv").open("a", encoding="utf-8") as handle:
        handle.write("no photo\n" * 3)
    plan = Plan(load_config(make_config(ROWS)))
    ran: dict[str, list[str]] = {}
    for step, flags in steps(plan, Made(folder / "results", folder / "metadata.tsv")):
        run(step, flags)
        if step != "filter.judge" or flags[flags.index("--part") + 1] == PART:
            ran[step] = flags
    results = folder / "results"
    ran["curate.download"] = [
        *("--recipe", plan.download_recipe(), "--part", PART, "--local-stores", f"yfcc100m={folder / 'store.tar'}"),
        *("--candidates", str(results / f"curate/select_candidates/{FILE}.parquet")),
        *("--tar", str(folder / "x.tar"), "--status", str(folder / "x.parquet")),
    ]
    ran["curate.inspect_images"] = [
        *("--recipe", plan.inspect_images_recipe(), "--tar", str(folder / "x.tar")),
        *("--status", str(results / f"curate/download/{PART}.parquet"), "--out", str(folder / "y.parquet")),
    ]
    return folder, ran


def lost(table: pa.Table, place: int) -> pa.Table:
    return pa.concat_tables([table.slice(0, place), table.slice(place + 1)])


def doubled(table: pa.Table, place: int) -> pa.Table:
    return pa.concat_tables([table.slice(0, place + 1), table.slice(place)])


def of_part(table: pa.Table) -> int:
    return table["part"].to_pylist().index(PART)


def with_bytes(table: pa.Table) -> int:
    return table["reason"].to_pylist().index("")


def kept(table: pa.Table) -> int:
    return table["keep"].to_pylist().index(True)


def dropped(table: pa.Table) -> int:
    return table["keep"].to_pylist().index(False)


def first(table: pa.Table) -> int:
    return 0


CANDIDATES = f"curate/select_candidates/{FILE}.parquet"
STATUS, INSPECTION = f"curate/download/{PART}.parquet", f"curate/inspect_images/{PART}.parquet"
FACES, PEOPLE = f"filter/detect_faces/*/{PART}.parquet", f"filter/detect_people/*/{PART}.parquet"
VERDICTS, SELECTION = f"filter/judge/{PART}.parquet", "filter/select.parquet"
INDEX, METADATA = "shard/write_shards/00007.parquet", "shard/write_metadata/metadata.parquet"
BOTH = (lost, doubled)

# step, table that it reads, what happens to the table, to which row, what the message says
CASES = [
    ("curate.download", CANDIDATES, (doubled,), of_part, "comes twice in the candidate tables"),
    ("curate.inspect_images", STATUS, (doubled,), with_bytes, "two rows with bytes for one image"),
    ("curate.deduplicate", INSPECTION, (doubled,), first, "two rows for one image"),
    ("filter.judge", CANDIDATES, BOTH, of_part, "status table has"),
    ("filter.judge", STATUS, BOTH, first, "status table has"),
    ("filter.judge", INSPECTION, BOTH, first, rf"{PART}\.parquet"),
    ("filter.judge", FACES, BOTH, first, rf"{PART}\.parquet"),
    ("filter.judge", PEOPLE, BOTH, first, rf"{PART}\.parquet"),
    ("filter.judge", f"curate/deduplicate/{PART}.parquet", BOTH, first, f"deduplicate/{PART}.parquet: 1 clusters"),
    ("filter.select", CANDIDATES, BOTH, of_part, f"verdicts .*{PART}.parquet"),
    ("filter.select", VERDICTS, BOTH, first, f"verdicts .*{PART}.parquet"),
    ("filter.select", INSPECTION, BOTH, first, rf"inspect_images.{PART}\.parquet does not fit"),
    ("shard.write_metadata", SELECTION, BOTH, kept, "do not hold what the selection keeps"),
    ("shard.write_metadata", INDEX, BOTH, first, "do not hold what the selection keeps"),
    ("shard.write_card", SELECTION, (lost,), kept, "the selection keeps"),
    ("shard.write_card", SELECTION, (doubled,), dropped, "select.parquet: row .* stands in it twice"),
    ("shard.write_card", METADATA, BOTH, first, "the metadata has"),
    ("shard.write_card", INDEX, BOTH, first, "the shards hold"),
    ("report.count_funnel", CANDIDATES, BOTH, first, f"{FILE}.parquet has"),
    (
        "report.count_funnel",
        f"curate/select_candidates/{FILE}.rejected.parquet",
        BOTH,
        first,
        "rejected.parquet has",
    ),
    ("report.count_funnel", SELECTION, (lost,), kept, "the selection .* has"),
    ("report.count_funnel", SELECTION, (lost,), dropped, "the selection .* has"),
    ("report.count_funnel", SELECTION, (doubled,), dropped, "select.parquet: row .* stands in it twice"),
    ("report.write_report", SELECTION, BOTH, kept, "select.parquet keeps"),
]
Damage = Callable[[pa.Table, int], pa.Table]


@pytest.mark.parametrize(
    ("step", "name", "damage", "choose", "message"),
    [
        pytest.param(
            *case[:2], damage, *case[3:], id=f"{case[0]} {case[1].split('/')[1]} {damage.__name__} {case[3].__name__}"
        )
        for case in CASES
        for damage in case[2]
    ],
)
def test_a_lost_or_doubled_row_stops_the_step(
    finished: tuple[Path, dict[str, list[str]]],
    tmp_path: Path,
    step: str,
    name: str,
    damage: Damage,
    choose: Callable[[pa.Table], int],
    message: str,
) -> None:
    folder, flags = finished
    path = next((folder / "results").glob(name))
    shutil.copy(path, tmp_path / "whole.parquet")
    table = pq.read_table(path)
    try:
        pq.write_table(damage(table, choose(table)), path)
        with pytest.raises(UserError, match=message):
            run(step, flags[step])
    finally:
        shutil.copy(tmp_path / "whole.parquet", path)


def test_the_undamaged_steps_run_again(finished: tuple[Path, dict[str, list[str]]]) -> None:
    for step in ("curate.deduplicate", "filter.judge", "filter.select", "shard.write_metadata", "report.count_funnel"):
        run(step, finished[1][step])
