"""Faults in what tables and shards say, under records, identities and a seal that fit: forgeries, or defects of a step.

Only the checks of the content can find them. See `faults.py`.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.audit import evidence, row_account, shard_contents, training_story
from scripts.audit.audited_tables import Part, parts_of
from scripts.audit.copied_run import CopiedRun
from scripts.audit.faults import Expected, Fault
from scripts.audit.run_folder import output_of

ROWS, PEOPLE, SHARDS = (row_account.CHECK,), (evidence.CHECK,), (shard_contents.CHECK,)


def _table(copy: CopiedRun, path: str) -> pa.Table:
    return pq.read_table(io.BytesIO(copy.bytes_of(path)))


def _forge(copy: CopiedRun, path: str, table: pa.Table) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    copy.forge(path, buffer.getvalue())


def _with(table: pa.Table, column: str, row: int, value: Any) -> pa.Table:
    values = table[column].to_pylist()
    values[row] = value
    place = table.schema.get_field_index(column)
    return table.set_column(place, table.schema.field(column), pa.array(values, table.schema.field(column).type))


def _without(table: pa.Table, row: int) -> pa.Table:
    return pa.concat_tables([table.slice(0, row), table.slice(row + 1)])


def _output(copy: CopiedRun, step: str, flag: str, draw: random.Random) -> str | None:
    paths = sorted(output_of(record, flag) for _, record in copy.read().of_step(step))
    return draw.choice(paths) if paths else None


def _part(copy: CopiedRun, draw: random.Random) -> Part | None:
    parts = parts_of(copy.read())
    return draw.choice(parts) if parts else None


def _kept(copy: CopiedRun, part: Part) -> list[str]:
    """Return the kept images of a part."""
    path = next(output_of(record, "out") for _, record in copy.read().of_step("filter.select"))
    table = _table(copy, path)
    rows = table.filter(pc.and_(table["keep"], pc.equal(table["part"], part.name)))
    return sorted(rows["image_id"].to_pylist())


def _selection(copy: CopiedRun) -> str:
    return next((output_of(record, "out") for _, record in copy.read().of_step("filter.select")), "")


def lost_candidate(copy: CopiedRun, draw: random.Random) -> Expected | None:
    """A row of the source is in neither of the two tables."""
    path = _output(copy, "curate.select_candidates", "candidates", draw)
    if path is None:
        return None
    table = _table(copy, path)
    _forge(copy, path, _without(table, draw.randrange(table.num_rows)))
    return Expected(ROWS, (path,), "not at all")


def lost_verdict(copy: CopiedRun, draw: random.Random) -> Expected | None:
    """A candidate has no verdict."""
    part = _part(copy, draw)
    if part is None:
        return None
    table = _table(copy, part.verdicts)
    _forge(copy, part.verdicts, _without(table, draw.randrange(table.num_rows)))
    return Expected(ROWS, (part.verdicts,), "candidates of the part")


def doubled_row(copy: CopiedRun, draw: random.Random) -> Expected | None:
    """The selection has a row twice."""
    path = _selection(copy)
    if not path:
        return None
    table = _table(copy, path)
    row = draw.randrange(table.num_rows)
    part = next(part for part in parts_of(copy.read()) if part.name == table["part"][row].as_py())
    _forge(copy, path, pa.concat_tables([table.slice(0, row + 1), table.slice(row)]))
    return Expected(ROWS, (part.verdicts, path), "rows")


def unknown_reason(copy: CopiedRun, draw: random.Random) -> Expected | None:
    """A verdict has a reason that is not on the list."""
    part = _part(copy, draw)
    if part is None:
        return None
    table = _table(copy, part.verdicts)
    _forge(copy, part.verdicts, _with(table, "reason", draw.randrange(table.num_rows), "because"))
    return Expected(ROWS, (part.verdicts,), "because")


def other_figures(copy: CopiedRun, draw: random.Random) -> Expected | None:
    """The funnel counts one image more."""
    path = _output(copy, "report.count_funnel", "out", draw)
    if path is None:
        return None
    funnel = json.loads(copy.bytes_of(path))
    funnel["kept"] += draw.randint(1, 9)
    funnel["read"] = funnel["kept"] + sum(funnel["rejected"].values())
    copy.forge(path, json.dumps(funnel).encode())
    return Expected(ROWS, (_selection(copy),), "funnel")


def person_kept(copy: CopiedRun, draw: random.Random) -> Expected | None:
    """A detector is sure of a person in a kept image."""
    part = _part(copy, draw)
    if part is None or not part.detections or not _kept(copy, part):
        return None
    path = draw.choice(sorted(part.detections.values()))
    table = _table(copy, path)
    row = table["image_id"].to_pylist().index(draw.choice(_kept(copy, part)))
    _forge(copy, path, _with(table, "score", row, 0.999))
    return Expected(PEOPLE, (part.verdicts,), "should not be kept")


def detector_blind(copy: CopiedRun, draw: random.Random) -> Expected | None:
    """A detector has not looked at a kept image."""
    part = _part(copy, draw)
    if part is None or not part.detections or not _kept(copy, part):
        return None
    path = draw.choice(sorted(part.detections.values()))
    table = _table(copy, path)
    _forge(copy, path, _without(table, table["image_id"].to_pylist().index(draw.choice(_kept(copy, part)))))
    return Expected(PEOPLE, (part.verdicts,), "no measurement")


def _of_selection(column: str, value: str, words: str) -> Callable[[CopiedRun, random.Random], Expected | None]:
    def plant(copy: CopiedRun, draw: random.Random) -> Expected | None:
        part = _part(copy, draw)
        if part is None or not _kept(copy, part):
            return None
        path = _selection(copy)
        table = _table(copy, path)
        row = table["image_id"].to_pylist().index(draw.choice(_kept(copy, part)))
        _forge(copy, path, _with(table, column, row, value))
        return Expected(PEOPLE, (part.verdicts,), words)

    return plant


def other_licence(copy: CopiedRun, draw: random.Random) -> Expected | None:
    """A kept image has a licence that was not asked for."""
    return _of_selection("licence", "CC-BY-NC-ND-2.0", "licence")(copy, draw)


def no_author(copy: CopiedRun, draw: random.Random) -> Expected | None:
    """Nobody is named as the author of a kept image."""
    return _of_selection("creator", "", "without creator")(copy, draw)


def other_member(copy: CopiedRun, draw: random.Random) -> Expected | None:
    """A picture in a shard has other bytes than its index says."""
    shards = list(copy.read().of_step("shard.write_shards"))
    if not shards:
        return None
    name, record = draw.choice(shards)
    tar, index = output_of(record, "tar"), _table(copy, output_of(record, "index"))
    row = draw.choice(index.to_pylist())
    content = bytearray(copy.bytes_of(tar))
    content[row["offset"] + draw.randrange(row["size"])] ^= 1 << draw.randrange(8)
    copy.forge(tar, bytes(content))
    return Expected(SHARDS, (f"results/{name}",), row["member"])


def missing_in_index(copy: CopiedRun, draw: random.Random) -> Expected | None:
    """An index lacks a picture of its shard."""
    shards = list(copy.read().of_step("shard.write_shards"))
    if not shards:
        return None
    name, record = draw.choice(shards)
    path = output_of(record, "index")
    table = _table(copy, path)
    _forge(copy, path, _without(table, draw.randrange(table.num_rows)))
    return Expected(SHARDS, (f"results/{name}",), "members")


def unlisted_image(copy: CopiedRun, draw: random.Random) -> Expected | None:
    """The metadata of the dataset lack an image."""
    jobs = list(copy.read().of_step("shard.write_metadata"))
    if not jobs:
        return None
    name, record = jobs[0]
    path = output_of(record, "metadata")
    table = _table(copy, path)
    _forge(copy, path, _without(table, draw.randrange(table.num_rows)))
    return Expected(SHARDS, (f"results/{name}",), "names other")


def other_loss(copy: CopiedRun, draw: random.Random) -> Expected | None:
    """A trace says that a training had another loss."""
    path = _output(copy, "pretrain.train", "trace", draw)
    if path is None:
        return None
    header, *lines = copy.bytes_of(path).decode().splitlines()
    row = draw.randrange(len(lines))
    cells = lines[row].split(",")
    cells[2] = (float.fromhex(cells[2]) + 1).hex()
    lines[row] = ",".join(cells)
    copy.forge(path, "\n".join([header, *lines, ""]).encode())
    return Expected((training_story.CHECK,), (path,), "loss")


CONTENT_FAULTS: tuple[Fault, ...] = (
    lost_candidate, lost_verdict, doubled_row, unknown_reason, other_figures, person_kept, detector_blind,
    other_licence, no_author, other_member, missing_in_index, unlisted_image, other_loss,
)  # fmt: skip
