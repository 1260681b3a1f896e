from __future__ import annotations

from pathlib import Path

import pytest

from scripts.evaluate.collect_results import main
from scripts.lib.errors import UserError
from scripts.lib.tables import RESULT_COLUMNS

HEADER = ",".join(RESULT_COLUMNS)
MORE = "," * (len(RESULT_COLUMNS) - 8)  # the columns that may be empty


def write(path: Path, *lines: str) -> str:
    path.write_text("".join(f"{line}{MORE * (line.count(',') == 7)}\n" for line in lines))
    return str(path)


def test_rows_are_sorted_with_seeds_as_numbers(tmp_path: Path):
    one = write(tmp_path / "1", HEADER, "r,t,p,top1,1.0,9,10,50.0", "r,t,p,top1,2.0,9,2,50.0")
    two = write(tmp_path / "2", HEADER, "r,s,p,top1,3.0,9,,50.0", "a,t,p,top1,4.0,9,10,50.0")
    for name, order in (("x", [one, two]), ("y", [two, one])):
        main(["--tables", *order, "--out", str(tmp_path / name)])
    assert (tmp_path / "x").read_text().splitlines() == [
        HEADER,
        f"r,s,p,top1,3.0,9,,50.0{MORE}",
        f"a,t,p,top1,4.0,9,10,50.0{MORE}",
        f"r,t,p,top1,2.0,9,2,50.0{MORE}",
        f"r,t,p,top1,1.0,9,10,50.0{MORE}",
    ]
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


@pytest.mark.parametrize("tables", [[], [""]])
def test_no_table_gives_a_header(tmp_path: Path, tables: list[str]):
    main(["--tables", *tables, "--out", str(tmp_path / "out")])
    assert (tmp_path / "out").read_text() == HEADER + "\n"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["run,task"], "has the columns run,task where run,task,protocol,.* are expected"),
        ([], "has the columns none where"),
        ([HEADER], "holds no result"),
        ([HEADER, "r,t,p"], "line 2 of .* has 3 fields where 15 are expected"),
        ([HEADER, "r,t,p,top1,high,9,,50.0"], "line 2 of .* has 'high' as its value, which is not a number"),
        ([HEADER, "r,t,p,top1,nan,9,,50.0"], "has 'nan' as its value"),
        ([HEADER, "r,t,p,top1,1.0,9,,50.0,low,2.0,,,,{},{}"], "has 'low' as its low, which is not a number"),
        ([HEADER, *2 * ["r,t,p,top1,1.0,9,0,50.0"]], "two results report the same thing: run 'r', .* seed '0'"),
    ],
)
def test_errors(tmp_path: Path, lines: list[str], message: str):
    with pytest.raises(UserError, match=message):
        main(["--tables", write(tmp_path / "table", *lines), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
