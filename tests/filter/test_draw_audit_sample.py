from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from scripts.filter.draw_audit_sample import main
from scripts.lib.draws import rank
from scripts.lib.files import table_of, write_table
from scripts.lib.tables import AUDIT_SAMPLE, SELECTION
from tests.filter.made_review import selected

NAMES = [f"image{number:03d}" for number in range(200)]


def draw(folder: Path, rows: list[dict[str, Any]], verdicts: str = "", images: int = 20, seed: int = 0) -> list[str]:
    folder.mkdir(exist_ok=True)
    write_table(folder / "select.parquet", table_of(rows, SELECTION))
    audit = folder / "audit.csv"
    audit.write_text("image_id,verdict,reviewer\n" + verdicts)
    recipe = json.dumps({"images": images, "seed": seed, "confidence": 0.95, "verdicts": ""})
    out = ["--out", str(folder / "sample.parquet"), "--account", str(folder / "sample.json")]
    main(
        [
            *("--recipe", recipe, "--selection", str(folder / "select.parquet")),
            f"--audit-verdicts={audit if verdicts else ''}",
            *out,
        ]
    )
    table = pq.read_table(folder / "sample.parquet")
    assert table.schema.equals(AUDIT_SAMPLE)
    assert table["position"].to_pylist() == list(range(table.num_rows))
    names: list[str] = table["image_id"].to_pylist()
    return names


def account(folder: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((folder / "sample.json").read_text())
    return found


def rows_of(names: list[str], **reasons: str) -> list[dict[str, Any]]:
    return [selected(name, reasons.get(name, ""), part=str(index % 2)) for index, name in enumerate(names)]


def test_the_sample_is_the_lowest_ranks_of_the_kept(tmp_path: Path):
    dropped = dict.fromkeys(NAMES[::3], "person") | {NAMES[1]: "human_verdict", NAMES[2]: "awaits_review"}
    kept = [name for name in NAMES if name not in dropped]
    expected = sorted(kept, key=lambda name: rank(0, "audit", name))[:20]
    assert draw(tmp_path, rows_of(NAMES, **dropped)) == expected
    assert account(tmp_path) == {"population": len(kept), "sample": 20, "dropped_since": 0}


def test_another_seed_is_another_sample_and_the_order_of_rows_changes_nothing(tmp_path: Path):
    first = draw(tmp_path, rows_of(NAMES))
    content = (tmp_path / "sample.parquet").read_bytes()
    assert len(set(first) & set(draw(tmp_path, rows_of(NAMES), seed=1))) < 10
    assert draw(tmp_path, rows_of(NAMES)[::-1]) == first
    assert (tmp_path / "sample.parquet").read_bytes() == content


def test_the_sample_stays_when_rows_come_and_go(tmp_path: Path):
    first = draw(tmp_path, rows_of(NAMES))
    fewer = draw(tmp_path, rows_of([name for name in NAMES if name not in (first[3], "image000", "image001")]))
    assert fewer[:19] == [name for name in first if name in fewer]
    more = draw(tmp_path, rows_of([*NAMES, *(f"new{number}" for number in range(20))]))
    assert [name for name in more if name in NAMES] == first[: len([name for name in more if name in NAMES])]


def test_an_image_that_the_audit_dropped_stays_in_the_sample(tmp_path: Path):
    first = draw(tmp_path, rows_of(NAMES))
    leaked, other = first[4], first[5]
    audit = f"{leaked},drop,Cy\n{first[6]},keep,Cy\n"
    assert draw(tmp_path, rows_of(NAMES, **{leaked: "human_verdict"}), audit) == first
    assert account(tmp_path) == {"population": 200, "sample": 20, "dropped_since": 1}
    assert pq.read_table(tmp_path / "sample.parquet")["keep"].to_pylist().index(False) == 4
    # What a reviewer dropped, or anything but a reviewer, is not the audit's and goes.
    gone = draw(tmp_path, rows_of(NAMES, **{leaked: "human_verdict", other: "human_verdict"}), audit)
    assert leaked in gone and other not in gone
    assert leaked not in draw(tmp_path, rows_of(NAMES, **{leaked: "near_duplicate"}), audit)


def test_fewer_kept_than_asked_for(tmp_path: Path):
    assert len(draw(tmp_path, rows_of(NAMES[:5]), images=20)) == 5
    assert account(tmp_path)["sample"] == account(tmp_path)["population"] == 5
