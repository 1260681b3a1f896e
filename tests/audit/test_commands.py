"""record → command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.audit.commands import UndecidableError, command_of, read_flags, recorded_threads

RUN = Path("/where/it/ran")


def record(argv: list[str], **more: Any) -> dict[str, Any]:
    parts = {
        "step": "filter.judge",
        "argv": ["--code=12 filter.judge env:data:7", *argv],
        "code": {"text": "12 filter.judge env:data:7"},
        "values": {},
        "inputs": [],
        "outputs": [],
    }
    return parts | more


def entry(flag: str, path: str) -> dict[str, str]:
    return {"flag": flag, "path": path, "sha256": "00"}


def test_words_are_those_on_record() -> None:
    made = record(
        ["--recipe", '{"a":[1,2]}', "--tables", "results/a.csv", "results/b.csv", "--weights=", "--out=results/c.csv"],
        values={"recipe": {"a": [1, 2]}},
        inputs=[entry("tables", "results/a.csv"), entry("tables", "results/b.csv")],
        outputs=[entry("out", "results/c.csv")],
    )
    assert command_of(made, RUN)[1:] == [
        "-m", "scripts.filter.judge", "--code=12 filter.judge env:data:7", '--recipe={"a":[1,2]}',
        "--tables", "results/a.csv", "results/b.csv", "--weights=", "--out=results/c.csv",
    ]  # fmt: skip


def test_flags_of_the_machine_are_chosen_anew_and_data_from_outside_keeps_its_place() -> None:
    made = record(
        [
            "--threads",
            "2",
            "--labels",
            "data/l.csv",
            "--stores",
            "one=data/s.tar",
            "two=results/t.tar",
            "--root=photos",
        ],
        inputs=[entry("labels", "data/l.csv"), entry("stores", "data/s.tar"), entry("stores", "results/t.tar")],
    )
    words = command_of(made, RUN, threads=7, devices=4)
    assert "--threads=7" in words and "--labels=/where/it/ran/data/l.csv" in words
    assert words[words.index("--stores") + 1 :][:2] == ["one=/where/it/ran/data/s.tar", "two=results/t.tar"]
    assert "--root=/where/it/ran/photos" in words
    assert not [word for word in words if word.startswith("--devices")]  # the step was not given it
    assert command_of(record([]), RUN, stop_after=9)[-1] == "--stop-after=9"
    assert recorded_threads(made) == 2 and recorded_threads(record([])) is None


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (record([]) | {"argv": None}, "holds no command line"),
        (record([], outputs=[entry("out", "results/a.csv")]), "does not name results/a.csv under --out"),
        (record(["--part", "0"], values={"part": "1"}), "has another --part"),
        (record(["--recipe", '{"a":1}'], values={"recipe": {"a": 2}}), "has another --recipe"),
        (record([], code={"text": "12 filter.select env:data:7"}), "names other modules"),
    ],
)
def test_a_record_that_is_not_enough(made: dict[str, Any], reason: str) -> None:
    with pytest.raises(UndecidableError, match=reason):
        command_of(made, RUN)


def test_plain_values_are_read_as_a_parser_may_have() -> None:
    values = {"part": "0", "count": 3, "share": 0.5, "names": ["a", "b"], "strict": True, "title": "[x"}
    argv = ["--part", "0", "--count=3", "--share", ".5", "--names", "a", "b", "--strict", "--title", "[x"]
    assert "--part=0" in command_of(record(argv, values=values), RUN)
    assert read_flags(["--a", "1", "2", "--b=3=4", "--c"]) == {"a": ["1", "2"], "b": ["3=4"], "c": []}
