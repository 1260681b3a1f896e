from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from scripts.lib.accounting import Account
from scripts.lib.errors import UserError
from scripts.lib.files import write_table
from scripts.report.accounts import read_account, read_funnel
from scripts.report.count_funnel import join_funnel, main
from tests.report.made import account_flags, selection_row, write_account, write_selection


def test_funnel_is_the_sum_of_both_ends(tmp_path: Path):
    first = write_account(tmp_path / "a-000.json", 10, 4, {"licence": 5, "not_a_photo": 1}, licences={"CC-BY-2.0": 4})
    second = write_account(tmp_path / "b-000.json", 3, 2, {"licence": 1})
    reasons = ["", "", "face", "person", "face", "not_found"]
    rows = [selection_row(f"{index}", reason) for index, reason in enumerate(reasons)]
    selection = write_selection(tmp_path / "select.parquet", rows)
    out = tmp_path / "funnel.json"
    main([*account_flags(first, second), "--selection", str(selection), "--out", str(out)])
    assert json.loads(out.read_text()) == {
        "read": 13,
        "kept": 2,
        "rejected": {"licence": 6, "not_a_photo": 1, "not_found": 1, "face": 2, "person": 1},
    }
    assert read_funnel(out)["read"] == 13


def test_candidates_that_are_not_in_the_selection_are_found():
    with pytest.raises(UserError, match=r"kept 5 rows, the selection .* has 4"):
        join_funnel([Account(read=5, kept=5, rejected={})], Counter({"": 4}))


def test_unknown_reason_is_refused():
    with pytest.raises(AssertionError, match="does not list: bad_hair"):
        join_funnel([Account(read=2, kept=2, rejected={})], Counter({"": 1, "bad_hair": 1}))


def test_no_rows_at_all():
    assert join_funnel([Account(read=0, kept=0, rejected={})], Counter()) == {"read": 0, "kept": 0, "rejected": {}}


@pytest.mark.parametrize("flag", ["--candidates", "--rejected"])
def test_tables_of_other_accounts_are_found(tmp_path: Path, flag: str):
    account = write_account(tmp_path / "a-000.json", 10, 4, {"licence": 6})
    selection = write_selection(tmp_path / "select.parquet", [selection_row(f"{index}") for index in range(4)])
    flags = [*account_flags(account), "--selection", str(selection), "--out", str(tmp_path / "funnel.json")]
    table = flags[flags.index(flag) + 1]
    write_table(table, pa.table({"row": list(range(5))}))
    with pytest.raises(UserError, match=rf"a-000\.{flag.strip('-')}\.parquet has 5 rows, and the account"):
        main(flags)
    flags[flags.index(flag) + 1] = str(tmp_path / "b-000.parquet")
    with pytest.raises(UserError, match="must name the same files"):
        main(flags)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"read": 1, "kept": 1.5, "rejected": {}}', '{"read": 1, "kept": -1}']
)
def test_what_is_no_account_is_named(tmp_path: Path, text: str):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"a\.json is not an account"):
        read_account(path)


def test_a_funnel_that_does_not_add_up_is_not_drawn(tmp_path: Path):
    path = write_account(tmp_path / "funnel.json", 10, 1, {"face": 2})
    with pytest.raises(UserError, match="10 rows read, 3 rows accounted for"):
        read_funnel(path)
