"""After any edit, exactly those jobs compute that the edit made different ones, and the results are a fresh run's."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.small_run import SmallRun
from tests.whole import edits
from tests.whole.edits import EDITS, Edit
from tests.whole.oracle import Oracle, sha256
from tests.workflow import write_scale

pytestmark = pytest.mark.whole


class Judge:
    """A run that is edited and run again, and the oracle that knows what has to come of it."""

    def __init__(self, place: SmallRun, oracle: Path, *, adopt: bool) -> None:
        self.place, self.oracle = place, Oracle(oracle)
        self.look(adopt)

    def look(self, adopt: bool = False) -> tuple[set[str], dict[str, str]]:
        scale = write_scale(self.place.base / "scale.yaml", self.place.scale)
        return self.oracle.look(self.place.root, scale, self.place.folder, adopt)

    def try_edit(self, edit: Edit, draw: random.Random) -> str:
        """Edit, run, and demand the computed jobs and all results to be the oracle's; returns what was done."""
        what = edit(self.place, draw)
        before = self.place.times()
        changed, results = self.look()
        self.place.run()
        computed = {f"results/{name}" for name, time in self.place.times().items() if before.get(name) != time}
        expected = changed | self.place.lost
        self.place.lost.clear()
        assert computed == expected, f"{what}: missed {expected - computed}, superfluous {computed - expected}"
        wrong = [path for path, digest in results.items() if sha256(self.place.folder / path) != digest]
        assert not wrong, f"{what}: {wrong}"
        return f"{len(computed):2d} of {len(self.oracle.keys)} jobs: {what}"


def test_random_edits(small_run: SmallRun, tmp_path: Path) -> None:
    judge, draw = Judge(small_run.copied(tmp_path / "run"), tmp_path / "oracle", adopt=True), random.Random(3)
    for edit in (edits.value, edits.verdict, edits.lose):
        print(judge.try_edit(edit, draw))


@pytest.mark.slow
def test_sixty_random_edits_and_a_fresh_run_after_each_fifteen(tmp_path: Path) -> None:
    place = SmallRun.made(tmp_path / "run")
    judge, draw = Judge(place, tmp_path / "oracle", adopt=False), random.Random(60)
    for number in range(60):
        print(number, judge.try_edit(draw.choice(EDITS), draw), flush=True)
        if number % 15 == 14:
            fresh = SmallRun(tmp_path / f"fresh{number}")
            fresh.base.mkdir()
            fresh.root, fresh.scale = place.root, place.scale
            fresh.folder.mkdir()
            if (place.folder / "verdicts.csv").exists():
                (fresh.folder / "verdicts.csv").write_bytes((place.folder / "verdicts.csv").read_bytes())
            fresh.run()
            assert fresh.seal() == place.seal()
