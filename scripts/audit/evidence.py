"""Is there evidence for each kept image: a licence that was asked for, an author, a page; detectors that found nobody?

Written for itself and not with the code of `judge`, so that a defect there shows here. For each kept image: its licence
is among those that the recipe of `select_candidates` names, and the fields that it requires are not empty; the image
decodes and is large and coloured enough; no tag of a person and no thumbnail of another picture; every detector of the
rules has looked at it and its scores are below every rule's thresholds, to drop and to review, or a reviewer said
`keep`; and no reviewer said `drop`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scripts.audit.audited_tables import Part, UnreadableError, checked, parts_of, read_table
from scripts.audit.findings import NOT_CHECKED, Finding
from scripts.audit.run_folder import RunFolder, inputs_of, output_of
from scripts.lib.identity import part_of

CHECK = "evidence"
SMALLEST_AREA = 1e-4  # share of the picture, below which a committee sees no smaller box
INSPECTED = ["image_id", "reason", "width", "height", "colour_std", "face_regions", "thumbnail_distance", "sha256"]

Flags = np.ndarray[Any, np.dtype[np.bool_]]


def check_evidence(run: RunFolder) -> Iterator[Finding]:
    """Yield two findings for each partition: licence and attribution, absence of people."""
    selections = [output_of(record, "out") for _, record in run.of_step("filter.select")]
    if not selections:
        yield Finding(CHECK, NOT_CHECKED, "results/filter", "This run selected no images.", exempt=True)
    for name, record in run.of_step("curate.select_candidates"):
        for field in sorted({"creator", "page_url"} - set(record["values"]["recipe"]["require"])):
            yield Finding(
                CHECK, NOT_CHECKED, f"results/{name}", f"The configuration requires no {field}: none is looked for.",
                "Name it in curate.require to have images without it turned away.", exempt=True,
            )  # fmt: skip
    for path in selections:
        for part in parts_of(run):
            number = [0]
            yield from checked(
                CHECK,
                part.verdicts,
                lambda path=path, part=part, number=number: _part(run, part, path, number),  # type: ignore[misc]
                lambda part=part, number=number: (  # type: ignore[misc]
                    f"Part {part.name}: each of {number[0]:,} kept images has its licence, author and page, and "
                    "detectors or reviewers that let it pass."
                ),
            )


def _part(run: RunFolder, part: Part, path: str, number: list[int]) -> Iterator[str]:
    kept = _kept(run, path, part.name)
    number[0] = kept.num_rows
    ids = kept["image_id"].to_pylist()
    if len(set(ids)) != len(ids):
        yield f"{path} keeps an image of part {part.name} twice."
    yield from _licences(run, kept, path)
    yield from _pictures(run, part, kept)
    human = _human(run, part)
    said = np.array([human.get(name, "") for name in ids], dtype=object)
    if dropped := [name for name, word in zip(ids, said, strict=True) if word == "drop"]:
        yield f"{path} keeps {dropped[0]}, of which a reviewer said drop ({len(dropped):,} in all)."
    yield from _detectors(run, part, kept, said == "keep")


def _kept(run: RunFolder, path: str, part: str) -> pa.Table:
    columns = ["image_id", "source", "file", "creator", "page_url", "download_url", "licence", "licence_url"]
    columns += ["creator_id", "title", "photo_id", "date_taken", "sha256", "width", "height", "part", "keep"]
    rows = read_table(run, path, columns, filters=(pc.field("part") == part) & pc.field("keep"))
    return rows.sort_by("image_id")


def _licences(run: RunFolder, kept: pa.Table, path: str) -> Iterator[str]:
    """Yield what is wrong with licence, attribution or partition."""
    for _, record in run.of_step("curate.select_candidates"):
        recipe, file = record["values"]["recipe"], record["values"]["file"]
        rows = kept.filter(pc.equal(kept["file"], file))
        allowed = pc.is_in(rows["licence"], value_set=pa.array(recipe["licences"], pa.string()))
        if first := _first(pc.invert(allowed), rows):
            yield f"{path} keeps {first} of {file} under a licence that is not among {', '.join(recipe['licences'])}."
        for name in dict.fromkeys([*recipe["require"], "licence"]):
            if first := _first(pc.fill_null(pc.equal(rows[name], ""), True), rows):
                yield f"{path} keeps {first} of {file} without {name}, which the configuration requires."
        bits = recipe["partition_bits"]
        pairs = zip(*_lists(rows, "image_id", "part"), strict=True)
        if wrong := [name for name, part in pairs if part_of(name, bits) != part]:
            yield f"{path} has {wrong[0]} in a partition that is not its own ({len(wrong):,} in all)."


def _lists(table: pa.Table, *names: str) -> list[list[Any]]:
    return [table[name].to_pylist() for name in names]


def _pictures(run: RunFolder, part: Part, kept: pa.Table) -> Iterator[str]:
    """Yield what the bytes and the inspection say against kept images."""
    status = read_table(run, part.status, ["image_id", "reason", "sha256"])
    stored = status.filter(pc.equal(status["reason"], ""))
    seen = _of(read_table(run, part.inspections, INSPECTED), kept)
    for table, path in ((_of(stored, kept), part.status), (seen, part.inspections)):
        same = pc.fill_null(pc.equal(table["sha256"], kept["sha256"]), False)
        if first := _first(pc.invert(same), kept):
            yield f"{path} has no image {first} with the SHA-256 that the selection names."
    recipe = part.record["values"]["recipe"]
    limits = recipe["embedded"]
    side = pc.min_element_wise(seen["width"], seen["height"])
    wrong = {
        "does not decode": pc.not_equal(seen["reason"], ""),
        "is too small": pc.less(side, recipe["min_side"]),
        "has one colour": pc.less(seen["colour_std"], pa.scalar(np.float32(recipe["min_colour_std"]))),
    }
    human = _human(run, part)
    looked = pa.array([human.get(name) != "keep" for name in kept["image_id"].to_pylist()], pa.bool_())
    for name, limit in (("face_regions", "max_face_regions"), ("thumbnail_distance", "max_thumbnail_distance")):
        if limits[limit] is not None:
            over = pc.fill_null(pc.greater(seen[name], limits[limit]), False)
            wrong[f"has {name} above {limits[limit]}, and no reviewer kept it"] = pc.and_(over, looked)
    for what, flags in wrong.items():
        if first := _first(pc.fill_null(flags, True), kept):
            yield f"By {part.inspections}, the kept image {first} {what}."


def _of(table: pa.Table, kept: pa.Table) -> pa.Table:
    """Return a table's rows of the kept images, in their order; null where it has none."""
    return table.take(pc.index_in(kept["image_id"], value_set=table["image_id"].combine_chunks()))


def _human(run: RunFolder, part: Part) -> dict[str, str]:
    """Return image → keep or drop; between reviewers, drop wins."""
    said: dict[str, str] = {}
    for path in inputs_of(part.record, "human-verdicts"):
        if path in run.broken:
            raise UnreadableError(f"{path} is not what its job left, so nothing in it is believed")
        try:
            with run.path(path).open(encoding="utf-8", newline="") as lines:
                for row in csv.DictReader(lines):
                    if said.get(row["image_id"]) != "drop":
                        said[row["image_id"]] = row["verdict"]
        except (OSError, ValueError, KeyError) as error:
            raise UnreadableError(f"{path} cannot be read ({error})") from None
    return said


def _detectors(run: RunFolder, part: Part, kept: pa.Table, overruled: Flags) -> Iterator[str]:
    """Yield which kept images a detector has not looked at, or should not have let pass."""
    tables: dict[str, pa.Table] = {}
    rules = part.record["values"]["recipe"]["rules"]
    sized = {voice["detector"] for rule in rules for voice in rule.get("voices", []) if voice["area"]}
    for name, path in part.detections.items():
        rows = read_table(run, path, ["image_id", "reason", "score", *(["boxes"] if name in sized else [])])
        tables[name] = _of(rows, kept)
        unseen = pc.fill_null(pc.not_equal(tables[name]["reason"], ""), True)
        if first := _first(pc.and_(unseen, pa.array(~overruled)), kept):
            yield f"{path} has no measurement of the kept image {first}."
    if not rules:
        yield f"No rule asked a detector about the {kept.num_rows:,} images kept of part {part.name}."
    for rule in rules:
        flags = _over(rule, tables, kept) & ~overruled
        if first := _first(pa.array(flags), kept):
            yield f"By the rule {rule['name']}, the image {first} of part {part.name} should not be kept."


def _over(rule: Mapping[str, Any], tables: Mapping[str, pa.Table], kept: pa.Table) -> Flags:
    """Return which images a rule would drop, or give to a reviewer: [n]. Scores are compared as float32."""
    flags = np.zeros(kept.num_rows, bool)
    if rule["combine"] == "any":
        for thresholds in (rule["drop"], rule["review"]):
            for name, threshold in thresholds.items():
                flags |= _scores(tables[name]) >= np.float32(threshold)
        return flags
    odds = np.full(kept.num_rows, float(rule["bias"]))
    for voice in rule["voices"]:
        table = tables[voice["detector"]]
        cut = np.clip(_scores(table).astype(np.float64), *rule["score_range"])
        odds += voice["score"] * np.log(cut / (1 - cut))
        if voice["area"]:
            odds += voice["area"] * np.log(np.clip(_areas(table, kept), SMALLEST_AREA, 1))
    probability = np.float32(1) / (1 + np.exp(-odds))
    threshold = rule["drop"] if rule["review"] is None else min(rule["drop"], rule["review"])
    return np.asarray(probability.astype(np.float32) >= np.float32(threshold))


def _scores(table: pa.Table) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return scores, 0 where there is no measurement (that is said elsewhere)."""
    return np.asarray(pc.fill_null(table["score"], 0).to_numpy(), np.float32)


def _areas(table: pa.Table, kept: pa.Table) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the share of the picture that the first, best box covers: [n]; 1 where there is none."""
    areas = np.ones(kept.num_rows)
    columns = zip(table["boxes"].to_pylist(), *_lists(kept, "width", "height"), strict=True)
    for index, (boxes, width, height) in enumerate(columns):
        if boxes:
            box = boxes[0]
            areas[index] = (box["x1"] - box["x0"]) * (box["y1"] - box["y0"]) / (width * height)
    return areas


def _first(wrong: Any, table: pa.Table) -> str:
    place = pc.index(wrong, True).as_py()
    if place < 0:
        return ""
    return f"{table['image_id'][place].as_py()} ({pc.sum(wrong).as_py():,} in all)"
