"""select_candidates: attribution, sorting over heaps, the account, and whole runs of its command."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scripts.curate import candidate_heaps, group_writer
from scripts.curate import select_candidates as step
from scripts.curate.row_batches import RowBatch, batch_of, batches_of, with_attribution
from scripts.curate.rows import CandidateRow, RejectedRow
from scripts.curate.settings import FolderSource, FractalSource, Licence, SelectCandidatesSettings, Source
from scripts.lib.errors import UserError
from scripts.lib.identity import part_of
from scripts.lib.recipe import write_recipe
from scripts.lib.tables import CANDIDATES, REJECTED_ROWS

FRACTALS = FractalSource(
    name="fractals", kind="fractal", classes=7, images_per_class=11, image_size=32, iterations=100, seed=0
)
NEEDED = ("creator", "page_url", "download_url", "licence_url")


def settings(
    source: Source = FRACTALS,
    licences: tuple[Licence, ...] = ("CC0-1.0",),
    bits: int = 2,
    require: tuple[str, ...] = NEEDED,
) -> SelectCandidatesSettings:
    values = {"source": source, "licences": licences, "require": require, "partition_bits": bits}
    return SelectCandidatesSettings.model_validate(values)


def run(folder: Path, recipe: SelectCandidatesSettings, metadata: str = "", table: str = "") -> dict:
    argv = ["--recipe", write_recipe(recipe), "--file", f"{recipe.source.name}-000", "--metadata", metadata]
    argv += [
        "--table",
        table,
        "--threads",
        "1",
        "--candidates",
        str(folder / "c.parquet"),
        "--rejected",
        str(folder / "r.parquet"),
    ]
    step.main([*argv, "--account", str(folder / "a.json")])
    assert pq.read_schema(folder / "c.parquet").equals(CANDIDATES)
    assert pq.read_schema(folder / "r.parquet").equals(REJECTED_ROWS)
    account = json.loads((folder / "a.json").read_text())
    assert account["kept"] == pq.read_metadata(folder / "c.parquet").num_rows
    assert sum(account["rejected"].values()) == pq.read_metadata(folder / "r.parquet").num_rows
    assert account["read"] == account["kept"] + sum(account["rejected"].values())
    return account


def candidate(row: int, image_id: str, **changes: str) -> CandidateRow:
    values = dict.fromkeys(CandidateRow.__slots__, "x") | {"latitude": None, "longitude": None, "licence": "CC0-1.0"}
    return CandidateRow(**{**values, "row": row, "image_id": image_id, **changes})


def test_a_generated_source(tmp_path: Path):
    account = run(tmp_path, settings())
    assert account == {"read": 77, "kept": 77, "rejected": {}, "licences": {"CC0-1.0": 77}}
    rows = pq.read_table(tmp_path / "c.parquet").to_pylist()
    keys = [(row["part"], row["image_id"], row["row"]) for row in rows]
    assert keys == sorted(keys)
    assert all(row["part"] == part_of(row["image_id"], 2) for row in rows)
    assert {(row["source"], row["file"]) for row in rows} == {("fractals", "fractals-000")}
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "c.parquet", "r.parquet"}


@pytest.mark.parametrize("bits", [0, 1, 6, 8, 12])
def test_order_and_bytes_do_not_depend_on_how_rows_are_laid_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int
):
    run(tmp_path, settings(bits=bits))
    first = (tmp_path / "c.parquet").read_bytes()
    rows = pq.read_table(tmp_path / "c.parquet").to_pylist()
    keys = [(row["part"], row["image_id"]) for row in rows]
    assert keys == sorted(keys) and len(set(keys)) == 77
    monkeypatch.setattr(candidate_heaps, "SPILL_ROWS", 2)
    run(tmp_path, settings(bits=bits))
    assert (tmp_path / "c.parquet").read_bytes() == first


def test_rejected_rows_leave_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(group_writer, "ROW_GROUP_ROWS", 10)
    account = run(tmp_path, settings(licences=("CC-BY-2.0",)))
    assert account == {"read": 77, "kept": 0, "rejected": {"licence": 77}, "licences": {"CC0-1.0": 77}}
    assert pq.read_metadata(tmp_path / "r.parquet").num_row_groups == 8
    assert pq.read_table(tmp_path / "r.parquet")["row"].to_pylist() == list(range(1, 78))


def test_a_row_without_a_required_field_is_rejected():
    rows = [candidate(1, "a"), candidate(2, "b", creator=""), RejectedRow(3, "licence", "", "")]
    read = batch_of(rows)
    batch = with_attribution(read, ["creator", "title"])
    assert batch.candidates["image_id"].to_pylist() == ["a"]
    missing, before = batch.rejected.to_pylist()
    assert missing == {"row": 2, "reason": "missing_attribution", "photo_id": "x", "detail": "empty: creator"}
    assert (before["row"], before["reason"]) == (3, "licence")
    assert (batch.read, batch.licences) == (3, {"CC0-1.0": 2})
    assert with_attribution(read, []) is read


def test_two_rows_of_one_image_stay_in_reading_order(tmp_path: Path):
    rows = [candidate(3, "same"), candidate(1, "same"), candidate(2, "other")]
    outputs = step.Outputs(candidates=tmp_path / "c", rejected=tmp_path / "r", account=tmp_path / "a")
    step.select_candidates(settings(), "fractals-000", batches_of(rows), outputs)
    found = pq.read_table(tmp_path / "c").to_pylist()
    assert [row["row"] for row in found if row["image_id"] == "same"] == [1, 3]


def test_nothing_to_read_is_an_error(tmp_path: Path):
    source = FolderSource(name="mine", kind="folder", path="", table=None, licence="CC0-1.0", creator="me")
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError, match=r"mine-000 has nothing to read.*curate.sources.mine"):
        run(tmp_path, settings(source), str(tmp_path / "photos"))
    assert {path.name for path in tmp_path.iterdir()} == {"photos"}  # no half result, no leftover


def test_a_file_of_which_no_row_is_metadata_is_an_error(tmp_path: Path):
    rows = [RejectedRow(1, "wrong_field_count", "", ""), RejectedRow(2, "bad_field", "", "")]
    outputs = step.Outputs(candidates=tmp_path / "c", rejected=tmp_path / "r", account=tmp_path / "a")
    with pytest.raises(UserError, match=r"none of the 2 rows.*bad_field: 1, wrong_field_count: 1"):
        step.select_candidates(settings(), "fractals-000", batches_of(rows), outputs)


def test_a_recipe_that_is_none(tmp_path: Path):
    argv = ["--recipe", "{}", "--file", "x-000", "--metadata", "", "--table", "", "--threads", "1", "--candidates", "c"]
    with pytest.raises(UserError, match=r"not a SelectCandidatesSettings: .*licences: missing"):
        step.main([*argv, "--rejected", "r", "--account", "a"])


def test_the_test_photographs(tmp_path: Path, shared: Path):
    source = {"name": "photos", "kind": "yfcc100m", "files": [{"path": ""}], "stores": [{"url": "http://x/{key}"}]}
    recipe = {"source": source, "licences": ["CC-BY-2.0"], "require": list(NEEDED), "partition_bits": 2}
    account = run(
        tmp_path, SelectCandidatesSettings.model_validate_json(json.dumps(recipe)), str(shared / "yfcc100m_dataset.tsv")
    )
    assert account["read"] == 988
    assert account["kept"] == 845
    assert account["rejected"] == {"licence": 123, "not_a_photo": 20}


@pytest.mark.parametrize("sizes", [[25], [1] * 25, [7, 3, 0, 15], [10, 10, 5], [0, 0, 25, 0]])
def test_row_groups_do_not_depend_on_the_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: list[int]):
    monkeypatch.setattr(group_writer, "ROW_GROUP_ROWS", 10)
    rejected = batch_of([RejectedRow(row, "licence", str(row), "x") for row in range(25)]).rejected
    for name, pieces in (("whole", [25]), ("pieces", sizes)):
        with group_writer.GroupWriter(tmp_path / name, REJECTED_ROWS, ["reason"]) as writer:
            start = 0
            for size in pieces:
                writer.add(rejected.slice(start, size))
                start += size
        assert writer.written == 25
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "pieces").read_bytes()
    found = pq.ParquetFile(tmp_path / "pieces")
    assert [found.metadata.row_group(index).num_rows for index in range(found.num_row_groups)] == [10, 10, 5]
    assert found.read().equals(rejected)


def test_candidates_of_one_batch_do_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Few rows with long texts are laid down by their bytes."""
    monkeypatch.setattr(candidate_heaps, "SPILL_BYTES", 10_000)
    with candidate_heaps.CandidateHeaps(tmp_path / "spill", "mine", "mine-000", 4) as heaps:
        for row in range(8):
            heaps.add(batch_of([candidate(row, f"id{row}", title="x" * 6000)]).candidates)
            assert sum(table.nbytes for table in heaps._held) < 10_000
        found = [row for table in heaps.sorted_tables() for row in table.to_pylist()]
    assert [(row["part"], row["image_id"]) for row in found] == sorted(
        (part_of(f"id{row}", 4), f"id{row}") for row in range(8)
    )
    assert not (tmp_path / "spill").exists()


def test_progress_says_how_much_is_left(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(step, "LOG_SECONDS", -1.0)
    tally = step.Tally("yfcc-000")
    tally.began -= 600.0
    empty = batch_of([])
    with caplog.at_level("INFO"):
        tally.count(RowBatch(6000, empty.candidates, empty.rejected, empty.licences, share=0.25))
        tally.count(RowBatch(6000, empty.candidates, empty.rejected, empty.licences))
    first, second = (record.getMessage() for record in caplog.records)
    assert first == "yfcc-000: 6000 rows, 10 rows/s, 25% of the file, 30 min left"
    assert second == "yfcc-000: 12000 rows, 20 rows/s"
