from __future__ import annotations

import json
import logging
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts.filter.select import main
from scripts.lib.draws import rank
from scripts.lib.errors import UserError
from scripts.lib.identity import part_of
from scripts.lib.tables import CANDIDATES, INSPECTIONS, SELECTION, VERDICTS
from tests.filter.made import candidate, inspection, save, verdict

IDS = [f"image{index:03d}" for index in range(60)]
DROPPED = {"image003": "face", "image004": "person", "image005": "not_found"}


def made(cap: int = 100, target: int | None = None, **changes: str) -> dict[str, Any]:
    """Return the rows of a small collection: the first 30 images are of one photographer."""
    candidates = [
        candidate(
            image_id,
            part_of(image_id, 1),
            row=index,
            creator_id="heavy" if index < 30 else f"user{index}",
            creator=f"Name {index}",
            title='<b>"quoted",\n',
            latitude=None,
        )
        for index, image_id in enumerate(IDS)
    ]
    reasons = {**dict.fromkeys(IDS, ""), **DROPPED, **changes}
    return {
        "candidates": candidates,
        "verdicts": [verdict(row["image_id"], reasons[row["image_id"]], row=row["row"]) for row in candidates],
        "inspections": [
            inspection(name, width=300 + index) for index, name in enumerate(IDS) if reasons[name] != "not_found"
        ],
        "recipe": {"max_per_photographer": cap, "target_size": target, "seed": 3},
    }


def run(folder: Path, rows: dict[str, Any], shuffled: int | None = None) -> pa.Table:
    """Write the tables of two files and two parts, shuffled or in order, and select."""
    folder.mkdir(exist_ok=True)
    tables = {name: list(rows[name]) for name in ("candidates", "verdicts", "inspections")}
    if shuffled is not None:
        for table in tables.values():
            random.Random(shuffled).shuffle(table)
    halves = tables["candidates"][::2], tables["candidates"][1::2]
    flags = [
        "--candidates",
        *(save(folder / f"made-{index}.parquet", half, CANDIDATES) for index, half in enumerate(halves)),
    ]
    for name, schema in (("inspections", INSPECTIONS), ("verdicts", VERDICTS)):
        flags.append(f"--{name}")
        for part in ("1", "0") if shuffled else ("0", "1"):
            mine = [row for row in tables[name] if part_of(row["image_id"], 1) == part]
            flags.append(save(folder / name / f"{part}.parquet", mine, schema))
    out = folder / "select.parquet"
    parts = [str(folder / "select" / f"{part}.parquet") for part in "01"]
    main(["--recipe", json.dumps(rows["recipe"]), *flags, "--out", str(out), "--parts", *parts])
    return pq.read_table(out)


def test_the_tables_of_the_parts_are_the_table_of_all(tmp_path: Path):
    whole = run(tmp_path, made(cap=20, target=40))
    tables = {part: pq.read_table(tmp_path / "select" / f"{part}.parquet") for part in "01"}
    assert pa.concat_tables(tables.values()).equals(whole)
    for part, table in tables.items():
        assert table.schema.equals(SELECTION) and set(table["part"].to_pylist()) == {part}


def test_a_verdict_changes_the_table_of_its_part_alone(tmp_path: Path):
    before, after = tmp_path / "before", tmp_path / "after"
    run(before, made())
    run(after, made(image010="person"))
    same = {part: [(folder / "select" / f"{part}.parquet").read_bytes() for folder in (before, after)] for part in "01"}
    assert {part for part, (old, new) in same.items() if old != new} == {part_of("image010", 1)}


@pytest.mark.parametrize(
    ("parts", "message"), [(["0"], "--parts and --verdicts must name the same parts"), (["0", "2"], "--parts names 2")]
)
def test_tables_of_other_parts_are_refused(tmp_path: Path, parts: list[str], message: str):
    run(tmp_path, made())
    tables = ["--inspections", *(str(tmp_path / "inspections" / f"{part}.parquet") for part in "01")]
    tables += ["--verdicts", *(str(tmp_path / "verdicts" / f"{part}.parquet") for part in "01")]
    with pytest.raises(UserError, match=message):
        main(
            [
                "--recipe",
                json.dumps(made()["recipe"]),
                *tables,
                "--out",
                "x",
                "--parts",
                *(f"{part}.p" for part in parts),
            ]
        )


def test_one_row_for_each_candidate_in_order(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    table = run(tmp_path, made(cap=20, target=40))
    assert table.schema.equals(SELECTION)
    rows = table.to_pylist()
    keys = [(row["part"], row["image_id"]) for row in rows]
    assert keys == sorted((part_of(name, 1), name) for name in IDS)
    counts = Counter(row["reason"] for row in rows)
    assert counts == {"": 40, "face": 1, "person": 1, "not_found": 1, "photographer_cap": 7, "not_sampled": 10}
    assert all(row["keep"] == (row["reason"] == "") for row in rows)
    by_id = {row["image_id"]: row for row in rows}
    assert by_id["image042"]["width"] == 342
    assert by_id["image042"]["creator"] == "Name 42"
    assert by_id["image042"]["title"] == '<b>"quoted",\n'
    assert by_id["image042"]["latitude"] is None
    assert by_id["image005"]["width"] is None
    assert by_id["image005"]["sha256"] is None
    assert "'read': 60, 'kept': 40" in caplog.text


def test_the_draws_are_those_of_seed_purpose_and_image_id(tmp_path: Path):
    rows = run(tmp_path, made(cap=20, target=40)).to_pylist()
    drawn = [row for row in rows if row["reason"] in ("", "photographer_cap", "not_sampled")]
    heavy = {row["image_id"] for row in drawn if row["creator_id"] == "heavy"}
    capped = set(sorted(heavy, key=lambda name: rank(3, "photographer_cap", name))[20:])
    left = {row["image_id"] for row in drawn} - capped
    kept = set(sorted(left, key=lambda name: rank(3, "sample", name))[:40])
    assert {row["image_id"] for row in rows if row["reason"] == "photographer_cap"} == capped
    assert {row["image_id"] for row in rows if row["keep"]} == kept


def test_the_cap_takes_the_named_photographer_alone_and_exactly(tmp_path: Path):
    rows = run(tmp_path, made(cap=12)).to_pylist()
    kept = Counter(row["creator_id"] for row in rows if row["keep"])
    assert kept.pop("heavy") == 12
    assert set(kept.values()) == {1}
    assert {row["creator_id"] for row in rows if row["reason"] == "photographer_cap"} == {"heavy"}


def test_a_name_stands_in_for_a_missing_id_and_unknown_creators_are_not_capped(tmp_path: Path):
    rows = made(cap=5)
    for row in rows["candidates"]:
        row.update(creator_id="", creator="Ann" if row["row"] < 20 else "")
    table = run(tmp_path, rows)
    kept = Counter(row["creator"] for row in table.to_pylist() if row["keep"])
    assert kept == {"Ann": 5, "": 40}


@pytest.mark.parametrize("shuffled", [1, 2, 3])
def test_bytes_do_not_depend_on_the_order_of_rows_files_and_parts(tmp_path: Path, shuffled: int):
    run(tmp_path / "a", made(cap=20, target=40))
    run(tmp_path / "b", made(cap=20, target=40), shuffled)
    assert (tmp_path / "a" / "select.parquet").read_bytes() == (tmp_path / "b" / "select.parquet").read_bytes()


def test_repeated_ids_keep_their_rows(tmp_path: Path):
    rows = made()
    rows["candidates"].append(candidate("image000", part_of("image000", 1), row=99))
    rows["verdicts"].append(verdict("image000", "repeated_id", row=99))
    table = run(tmp_path, rows).to_pylist()
    assert [(row["row"], row["reason"]) for row in table if row["image_id"] == "image000"] == [
        (0, ""),
        (99, "repeated_id"),
    ]
    rows["verdicts"][-1]["reason"] = ""
    with pytest.raises(UserError, match="image000 is kept twice"):
        run(tmp_path, rows)


def test_an_empty_selection_counts_reasons_and_says_where_to_look(tmp_path: Path):
    rows = made(**{name: "person" if index % 3 else "face" for index, name in enumerate(IDS)})
    with pytest.raises(UserError) as caught:
        run(tmp_path, rows)
    text = str(caught.value)
    assert "no image is left of 60 candidates" in text
    assert "person 40, face 20" in text
    assert text.count("filter.rules") == 1
    assert "\n" not in text
    assert not (tmp_path / "select.parquet").exists()
    nothing = {**made(), "candidates": [], "verdicts": [], "inspections": []}
    with pytest.raises(UserError, match=r"no candidates at all.*curate\.sources"):
        run(tmp_path, nothing)


def test_verdicts_of_other_candidates_are_refused(tmp_path: Path):
    rows = made()
    rows["verdicts"][7]["row"] = 1007
    with pytest.raises(UserError, match=r"verdicts.*are not those of the"):
        run(tmp_path, rows)
    rows = made()
    rows["candidates"].append(candidate("astray", "2", row=60))
    with pytest.raises(UserError, match="have 61 rows and the verdicts of the 2 parts 60"):
        run(tmp_path, rows)


def test_parts_must_pair(tmp_path: Path):
    run(tmp_path, made())
    parts = [str(tmp_path / "verdicts" / "0.parquet"), str(tmp_path / "verdicts" / "1.parquet")]
    recipe = json.dumps(made()["recipe"])
    with pytest.raises(UserError, match=r"the same parts.*\['1'\]"):
        main(
            [
                "--recipe",
                recipe,
                "--candidates",
                "--verdicts",
                *parts,
                "--inspections",
                str(tmp_path / "inspections" / "0.parquet"),
                "--out",
                str(tmp_path / "x"),
            ]
        )
