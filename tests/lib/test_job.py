"""The life of a job: what is recorded, when nothing is computed, and what is refused. With real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.lib.records import Code, identity, read_record, seeds
from tests.conftest import ROOT

STEP = """
import json, os, sys
from pathlib import Path
from scripts.lib.flags import input_file, optional_input, outside_data, output_file, varying_file
from scripts.lib.step import run_step, step_parser

def main(argv=None):
    parser = step_parser("Add numbers.", asks_outside="WORLD" in os.environ)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--numbers", nargs="*", type=input_file)
    parser.add_argument("--more", type=optional_input)
    parser.add_argument("--data", default="", type=outside_data)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=output_file)
    parser.add_argument("--time", type=varying_file)
    args = parser.parse_args(argv)
    if touched := os.environ.get("TOUCHED"):
        Path(touched).write_text("9")
    total = sum(int(path.read_text()) for path in [*args.numbers, *([args.more] if args.more else [])])
    with open("computed.txt", "a") as handle:
        handle.write("x")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(str(total + json.loads(args.recipe)["offset"]))
    if args.time:
        args.time.write_text(str(os.getpid()))

run_step(main)
"""
OUT = "results/sums/add/all.txt"


class Place:
    """A working directory with two numbers and the step that adds them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in (("a", "1"), ("b", "2")):
            (folder / "results/sums/made").mkdir(parents=True, exist_ok=True)
            (folder / f"results/sums/made/{name}.txt").write_text(text)
        self.flags = {"--recipe": '{"offset":10,"seed":3}', "--code": "0123 lib.errors env:data:77", "--out": OUT}
        self.numbers = ["results/sums/made/a.txt", "results/sums/made/b.txt"]

    def run(self, status: int = 0, **environment: str) -> str:
        flags = [part for pair in self.flags.items() for part in pair]
        result = subprocess.run(
            [sys.executable, "-c", STEP, *flags, "--numbers", *self.numbers],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "UNPEOPLED_PLANNED": "9e9", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == status, result.stderr
        return result.stderr

    @property
    def computed(self) -> int:
        """How often the step has computed."""
        return len((self.folder / "computed.txt").read_text())

    def record(self) -> dict:
        return json.loads((self.folder / "records/sums/add/all.txt.json").read_text())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_record_says_what_went_in_and_out(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.flags["--time"] = "results/sums/add/time.txt"
    place.run()
    record = place.record()
    assert [(each["flag"], each["path"]) for each in record["inputs"]] == [("numbers", name) for name in place.numbers]
    assert record["inputs"][0]["sha256"] == "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"  # of "1"
    assert [(each["path"], each.get("varying", False)) for each in record["outputs"]] == [
        (OUT, False),
        ("results/sums/add/time.txt", True),
    ]
    assert record["values"] == {"recipe": {"offset": 10, "seed": 3}}  # no threads: they change no result
    assert record["seeds"] == {"recipe.seed": 3}
    assert record["code"]["text"] == place.flags["--code"]
    assert "scripts/lib/step.py" in record["code"]["files"]
    assert record["circumstances"]["hardware"]["threads"] == 1
    monkeypatch.chdir(place.folder)
    assert read_record("sums/add/time.txt") == read_record("sums/add/all.txt") == record
    assert identity(record) == record["identity"]


@pytest.mark.parametrize("removed", [True, False])
def test_nothing_is_computed_twice(place: Place, *, removed: bool) -> None:
    place.run()
    if removed:  # as Snakemake does before it starts a job
        (place.folder / OUT).unlink()
    place.flags["--threads"] = "2"
    assert "nothing that this step reads has changed" in place.run()
    assert place.computed == 1
    assert (place.folder / OUT).read_text() == "13"


def change_recipe(place: Place) -> None:
    place.flags["--recipe"] = '{"offset":10,"seed":4}'


def change_code(place: Place) -> None:
    place.flags["--code"] = "0124 lib.errors env:data:77"


def change_environment(place: Place) -> None:
    place.flags["--code"] = "0123 lib.errors env:data:78"


def change_order(place: Place) -> None:
    place.numbers.reverse()


def change_input(place: Place) -> None:
    (place.folder / place.numbers[1]).write_text("5")


def change_role(place: Place) -> None:
    place.flags["--more"] = place.numbers.pop()


def damage_output(place: Place) -> None:
    (place.folder / OUT).write_text("14")  # in place: its second name has the same bytes


def lose_output(place: Place) -> None:
    (place.folder / OUT).unlink()
    (place.folder / "records/kept/sums/add/all.txt").unlink()


def lose_record(place: Place) -> None:
    (place.folder / "records/sums/add/all.txt.json").write_text("{half of it")


def move_aside(place: Place) -> None:
    (place.folder / OUT).rename(place.folder / f"{OUT}.before")


CHANGES = [change_recipe, change_code, change_environment, change_order, change_input, change_role]
CHANGES += [damage_output, lose_output, lose_record, move_aside]


@pytest.mark.parametrize("change", CHANGES, ids=[each.__name__ for each in CHANGES])
def test_what_changed_is_computed(place: Place, change: object) -> None:
    place.run()
    change(place)
    place.run()
    assert place.computed == 2
    assert (place.folder / OUT).read_text() == ("16" if change is change_input else "13")


@pytest.mark.parametrize("variable", ["UNPEOPLED_REMAKE", "WORLD"])
def test_what_is_asked_for_or_asks_outside_is_computed(place: Place, variable: str) -> None:
    place.run()
    place.run(**{variable: "1"})
    assert place.computed == 2


def test_data_from_outside_counts_by_its_bytes_and_not_by_its_place(place: Place, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("x")
    place.flags["--data"] = str(tmp_path / "one.csv")
    place.run()
    (tmp_path / "one.csv").rename(tmp_path / "two.csv")
    place.flags["--data"] = str(tmp_path / "two.csv")
    place.run()
    assert place.computed == 1
    (tmp_path / "two.csv").write_text("y")
    place.run()
    assert place.computed == 2


def test_nothing_is_built_on_a_file_that_was_changed_after_it_was_made(place: Place) -> None:
    place.run()
    place.numbers, place.flags["--out"] = [OUT], "results/sums/add/next.txt"
    (place.folder / OUT).write_text("14")
    said = " ".join(place.run(status=1).split())
    assert "results/sums/add/all.txt is not the file that -c left" in said
    assert "snakemake --forcerun results/sums/add/all.txt" in said
    assert not (place.folder / "results/sums/add/next.txt").exists()


def test_an_input_that_changes_under_a_step_leaves_no_record(place: Place) -> None:
    said = place.run(status=1, TOUCHED=place.numbers[0])
    assert "results/sums/made/a.txt changed while this step read it" in " ".join(said.split())
    assert not (place.folder / "records/sums/add/all.txt.json").exists()


def test_code_that_was_edited_after_planning_is_recorded_as_it_ran(place: Place) -> None:
    place.run(UNPEOPLED_PLANNED="0")
    code = Code.parse(place.record()["code"]["text"])
    assert code.modules == ("lib.errors",) and code.environment == "env:data:77"
    assert len(code.fingerprint) == 16  # not the 0123 that was planned


def test_a_helper_of_several_processes_records_nothing(place: Place) -> None:
    place.run(SLURM_PROCID="1", SLURM_NTASKS="2")
    assert not (place.folder / "records").exists()


def test_an_output_elsewhere_is_no_job(place: Place, tmp_path: Path) -> None:
    place.flags["--out"] = str(tmp_path / "elsewhere.txt")
    place.run()
    assert not (place.folder / "records").exists()


def test_seeds_are_found_at_any_depth() -> None:
    assert seeds({"a": [{"seed": 1}, {"b": {"crop_seeds": [2, 3]}}], "seeding": 4}) == {
        "a.0.seed": 1,
        "a.1.b.crop_seeds": [2, 3],
    }
