"""Is each row that was read in exactly one place: kept, or rejected with a reason of the closed list?

Counted from the tables themselves; the figures that the steps wrote are compared with that, not the other way round.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.audit.audited_tables import KEY, Part, UnreadableError, checked, parts_of, read_table, sort_rows
from scripts.audit.findings import NOT_CHECKED, Finding
from scripts.audit.run_folder import RunFolder, output_of
from scripts.lib.reasons import DownloadReason, FilterReason, InspectionReason, MetadataReason
from scripts.lib.records import Record

CHECK = "accounting"
JUDGED = [str(reason) for reasons in (DownloadReason, InspectionReason, FilterReason) for reason in reasons]
DRAWN = ("", str(FilterReason.PHOTOGRAPHER_CAP), str(FilterReason.NOT_SAMPLED))  # by `select`, not by `judge`


def check_rows(run: RunFolder) -> Iterator[Finding]:
    """Yield a finding for each metadata file, each partition and the whole."""
    total: Counter[str] = Counter()
    for name, record in run.of_step("curate.select_candidates"):
        found: Counter[str] = Counter()
        yield from checked(
            CHECK,
            f"results/{name}",
            lambda record=record, found=found: _file(run, record, found),  # type: ignore[misc]
            lambda found=found: f"{_sum(found)}: each row of the source once.",  # type: ignore[misc]
        )
        total.update(found)
    selections = [record for _, record in run.of_step("filter.select")]
    for part in parts_of(run):
        found = Counter()
        yield from checked(
            CHECK,
            part.verdicts,
            lambda part=part, found=found: _part(run, part, selections, found),  # type: ignore[misc]
            lambda part=part, found=found: f"Part {part.name}: {_sum(found)}: each candidate once.",  # type: ignore[misc]
        )
        total.update(found)
    for record in selections:
        place = output_of(record, "out")
        yield from checked(
            CHECK,
            place,
            lambda record=record: _whole(run, record, total),  # type: ignore[misc]
            lambda: f"In all, {_sum(total)}.",
        )
    if not selections:
        yield Finding(CHECK, NOT_CHECKED, "results/filter", "This run selected no images: no rows.", exempt=True)


def _sum(found: Counter[str]) -> str:
    kept = found[""]
    rejected = sum(found.values()) - kept
    return f"{kept + rejected:,} rows = {kept:,} kept + {rejected:,} rejected for a reason"


def _file(run: RunFolder, record: Record, found: Counter[str]) -> Iterator[str]:
    """Yield what is wrong with the two tables of a metadata file; count its rejected rows in `found`."""
    paths = [output_of(record, flag) for flag in ("candidates", "rejected", "account")]
    rows, reasons = [], Counter[str]()
    for path, columns in zip(paths, (["row"], ["row", "reason"]), strict=False):
        table = read_table(run, path, columns)
        rows.append(table["row"].to_numpy())
        if "reason" in columns:
            reasons.update({each["values"]: each["counts"] for each in pc.value_counts(table["reason"]).to_pylist()})
    listed = np.concatenate(rows)
    yield from _once(listed, paths[0], paths[1])
    if unknown := sorted({str(reason) for reason in reasons} - set(MetadataReason)):
        yield f"{paths[1]} has reasons that are not on the list: {', '.join(unknown)}."
    told = _json(run, paths[2])
    counted = {"read": len(listed), "kept": len(rows[0]), "rejected": dict(reasons)}
    if {name: told.get(name) for name in counted} != counted:
        yield f"{paths[2]} counts otherwise than its tables: {_first_other(told, counted)}."
    found.update(reasons)


def _once(rows: np.ndarray[Any, Any], candidates: str, rejected: str) -> Iterator[str]:
    """Yield whether a row of the source, counted from 1, is missing or there twice."""
    due = len(rows)
    inside = rows[(rows >= 1) & (rows <= due)]
    times = np.bincount(inside, minlength=due + 1)[1:]
    if len(inside) == due and (times == 1).all():
        return
    twice, never = (np.flatnonzero(each) + 1 for each in (times > 1, times == 0))
    told = [f"row {int(twice[0])} twice"] if len(twice) else []
    told += [f"row {int(never[0])} not at all"] if len(never) else []
    yield f"{candidates} and {rejected} together hold {' and '.join(told)}, of rows 1 to {due:,} each once."


def _part(run: RunFolder, part: Part, selections: list[Record], found: Counter[str]) -> Iterator[str]:
    """Yield what is wrong with the tables of a partition; count its rows by the selection's reasons in `found`."""
    due = part.read_candidates(run, [*KEY, "part"]).select(list(KEY))
    status = sort_rows(read_table(run, part.status, [*KEY, "reason"]))
    verdicts = sort_rows(read_table(run, part.verdicts, [*KEY, "reason"]))
    for path, table in ((part.status, status), (part.verdicts, verdicts)):
        if not table.select(list(KEY)).equals(due):
            yield f"{path} has {table.num_rows:,} rows that are not the {due.num_rows:,} candidates of the part."
    usable = _names(status, "")
    inspections = read_table(run, part.inspections, ["image_id", "reason"])
    yield from _same_names(inspections["image_id"], usable, part.inspections, "have bytes")
    decoded = _names(inspections, "")
    for path in part.detections.values():
        table = read_table(run, path, ["image_id"])
        yield from _same_names(table["image_id"], decoded, path, "decode")
    unknown = sorted({str(each) for each in pc.unique(verdicts["reason"]).to_pylist()} - {"", *JUDGED})
    if unknown:
        yield f"{part.verdicts} has reasons that are not on the list: {', '.join(unknown)}."
    for record in selections:
        yield from _selected(run, part, record, verdicts, found)


def _selected(run: RunFolder, part: Part, record: Record, verdicts: Any, found: Counter[str]) -> Iterator[str]:
    path = output_of(record, "out")
    rows = read_table(run, path, [*KEY, "part", "reason", "keep"], filters=[("part", "=", part.name)])
    chosen = sort_rows(rows)
    found.update({str(each["values"]): each["counts"] for each in pc.value_counts(chosen["reason"]).to_pylist()})
    if not chosen.select(list(KEY)).equals(verdicts.select(list(KEY))):
        yield f"{path} has {chosen.num_rows:,} rows of part {part.name}, not the {verdicts.num_rows:,} of its verdicts."
        return
    wrong = pc.not_equal(pc.equal(chosen["reason"], ""), chosen["keep"])
    if place := _first(wrong, chosen):
        yield f"{path} keeps an image with a reason, or drops one without: {place}."
    judged_good = pc.equal(verdicts["reason"], "")
    drawn = pc.is_in(chosen["reason"], value_set=pa.array(DRAWN, pa.string()))
    same = pc.equal(chosen["reason"], verdicts["reason"])
    if place := _first(pc.invert(pc.or_(same, pc.and_(judged_good, drawn))), chosen):
        yield f"{path} gives another reason than {part.verdicts}: {place}."


def _whole(run: RunFolder, record: Record, total: Counter[str]) -> Iterator[str]:
    path = output_of(record, "out")
    if path in run.broken:
        raise UnreadableError(f"{path} is not what its job left, so nothing in it is believed")
    parts = {part.name for part in parts_of(run)}
    try:
        rows = pq.read_metadata(run.path(path)).num_rows
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{path} cannot be read ({error})") from None
    rejected = {str(reason) for reason in MetadataReason}
    counted = sum(number for reason, number in total.items() if reason not in rejected)
    if rows != counted:
        yield f"{path} has {rows:,} rows, and the {len(parts)} partitions that were judged have {counted:,} of them."
    for name, funnel in run.of_step("report.count_funnel"):
        told = _json(run, output_of(funnel, "out"))
        due = {"read": sum(total.values()), "kept": total[""], "rejected": {k: n for k, n in total.items() if k and n}}
        if {key: told.get(key) for key in due} != due:
            yield f"results/{name} counts otherwise than the tables: {_first_other(told, due)}."


def _json(run: RunFolder, path: str) -> dict[str, Any]:
    if path in run.broken:
        raise UnreadableError(f"{path} is not what its job left, so nothing in it is believed")
    try:
        found = json.loads(run.path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{path} cannot be read ({error})") from None
    return found if isinstance(found, dict) else {}


def _first_other(told: dict[str, Any], due: dict[str, Any]) -> str:
    key = next(key for key in due if told.get(key) != due[key])
    return f"{key} is {json.dumps(told.get(key))}, counted {json.dumps(due[key])}"


def _names(table: Any, reason: str) -> Any:
    return table.filter(pc.equal(table["reason"], reason))["image_id"]


def _same_names(got: Any, due: Any, path: str, what: str) -> Iterator[str]:
    """Yield whether a table has another row, or one less, than one for each image that is due."""
    left, right = (each.combine_chunks().sort() for each in (got, due))
    if not left.equals(right):
        odd = sorted(set(left.to_pylist()) ^ set(right.to_pylist())) or ["an image that is there twice"]
        yield f"{path} has {len(left):,} rows, and {len(right):,} images {what}; the first that differs: {odd[0]}."


def _first(wrong: Any, table: Any) -> str:
    place = pc.index(wrong, True).as_py()
    if place < 0:
        return ""
    return f"{table['image_id'][place].as_py()} ({pc.sum(wrong).as_py():,} in all)"
