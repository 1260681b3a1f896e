"""A takedown: one row in the reviewers' CSV, and the bytes of one partition's tables and of one shard change."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq

from scripts.filter.gather_human_verdicts import main as gather
from scripts.filter.judge import main as judge
from scripts.filter.select import main as select
from scripts.lib.identity import part_names, part_of, parts_of_shard, shard_name, shard_of
from scripts.lib.tables import CANDIDATES, DETECTIONS, DUPLICATES, INSPECTIONS
from scripts.shard.write_shards import main as write_shards
from tests.filter.made import candidate, detection, inspection, save
from tests.filter.made_review import jpeg, write_tar

BITS, SHARDS = 3, 4
STEPS = {"gathered": "csv", "judge": "parquet", "selected": "parquet"}  # folder of a step's tables of parts, suffix
FILES = {hashlib.md5(f"photo {number}".encode()).hexdigest(): jpeg(str(number), 64, 64) for number in range(40)}


class Road:
    """The road from verdicts to shards, on 40 photos of two photographers."""

    def __init__(self, folder: Path, cap: int) -> None:
        self.folder, self.cap = folder, cap
        self.parts = {
            part: {name: content for name, content in FILES.items() if part_of(name, BITS) == part}
            for part in part_names(BITS)
        }
        rows = [
            candidate(name, part_of(name, BITS), creator_id=str(ord(name[-1]) % 2), creator="x")
            for name in sorted(FILES)
        ]
        self.candidates = save(folder / "made-000.parquet", rows, CANDIDATES)
        self.none = save(folder / "none.parquet", [], DUPLICATES)
        for part, files in self.parts.items():
            write_tar(folder / "tars", part, files)
            sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
            found = [inspection(name, width=64, height=64, sha256=sums[name]) for name in sorted(files)]
            save(folder / "inspect" / f"{part}.parquet", found, INSPECTIONS)
            save(folder / "fa" / f"{part}.parquet", [detection(name) for name in sorted(files)], DETECTIONS)

    def go(self, verdicts: str) -> dict[str, bytes]:
        """Run all steps and return shard → bytes."""
        folder, human, parts = self.folder, self.folder / "human.csv", sorted(self.parts)
        human.write_text("image_id,verdict,reviewer\n" + verdicts)
        table = str(folder / "gathered.csv")
        flags = ["--audit-verdicts=", "--candidates", self.candidates, "--out", table]
        flags += ["--figures", str(folder / "gathered.json"), *self.parts_of("gathered")]
        gather([f"--human-verdicts={human}", *flags])
        rule = {"name": "face", "reason": "face", "combine": "any", "drop": {"fa": 0.5}, "review": {}}
        embedded = {"max_face_regions": None, "max_thumbnail_distance": None}
        limits = {"min_side": 1, "min_colour_std": 0.0, "embedded": embedded, "suspicious_from": None, "rules": [rule]}
        for part in parts:
            status, inspected, faces = (str(folder / name / f"{part}.parquet") for name in ("tars", "inspect", "fa"))
            judge(
                [
                    *("--recipe", json.dumps(limits), "--part", part, "--candidates", self.candidates),
                    *("--status", status, "--inspection", inspected, "--duplicates", self.none, "--faces", faces),
                    *("--human-verdicts", str(folder / "gathered" / f"{part}.csv")),
                    *("--out", str(folder / "judge" / f"{part}.parquet")),
                ]
            )
        selection = str(folder / "select.parquet")
        recipe = json.dumps({"max_per_photographer": self.cap, "target_size": None, "seed": 0})
        judged, inspected = (
            [str(folder / name / f"{part}.parquet") for part in parts] for name in ("judge", "inspect")
        )
        inputs = ["--candidates", self.candidates, "--inspections", *inspected, "--verdicts", *judged]
        select(["--recipe", recipe, *inputs, "--out", selection, *self.parts_of("selected")])
        shards = {}
        for shard in (shard_name(index) for index in range(SHARDS)):
            outputs = ["--tar", str(folder / f"{shard}.tar"), "--index", str(folder / f"{shard}.index")]
            selections, tars, statuses = (
                [str(folder / place / f"{part}.{end}") for part in parts_of_shard(shard, SHARDS, BITS)]
                for place, end in (("selected", "parquet"), ("tars", "tar"), ("tars", "parquet"))
            )
            inputs = ["--selections", *selections, "--tars", *tars, "--statuses", *statuses]
            write_shards(
                [
                    "--recipe",
                    json.dumps({"count": SHARDS, "embedded_metadata": "keep"}),
                    "--shard",
                    shard,
                    *inputs,
                    *outputs,
                ]
            )
            shards[shard] = (folder / f"{shard}.tar").read_bytes()
        return shards

    def parts_of(self, step: str) -> list[str]:
        return ["--parts", *(str(self.folder / step / f"{part}.{STEPS[step]}") for part in self.parts)]

    def tables(self) -> dict[str, bytes]:
        """Return step/part → bytes of all tables of one part."""
        return {
            f"{step}/{part}": (self.folder / step / f"{part}.{end}").read_bytes()
            for step, end in STEPS.items()
            for part in self.parts
        }

    def kept(self) -> set[str]:
        table = pq.read_table(self.folder / "select.parquet", columns=["image_id", "keep"]).to_pydict()
        return {name for name, keep in zip(table["image_id"], table["keep"], strict=True) if keep}


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {shard for shard in before if before[shard] != after[shard]}


def test_one_row_changes_the_bytes_of_one_shard(tmp_path: Path):
    road = Road(tmp_path, cap=80)
    before, tables = road.go(""), road.tables()
    gone = sorted(FILES)[17]
    after = road.go(f"{gone},drop,Takedown 2026-03\n")
    assert changed(before, after) == {shard_of(gone, SHARDS)}
    assert changed(tables, road.tables()) == {f"{step}/{part_of(gone, BITS)}" for step in STEPS}
    assert road.kept() == set(FILES) - {gone}
    assert gone.encode() in before[shard_of(gone, SHARDS)] and FILES[gone] in before[shard_of(gone, SHARDS)]
    assert not [shard for shard, content in after.items() if gone.encode() in content or FILES[gone] in content]
    row = next(row for row in pq.read_table(tmp_path / "select.parquet").to_pylist() if row["image_id"] == gone)
    assert (row["keep"], row["reason"], row["evidence"]) == (False, "human_verdict", "reviewer Takedown 2026-03")


def test_where_the_cap_is_reached_the_next_image_changes_its_shard_too(tmp_path: Path):
    road = Road(tmp_path, cap=10)
    before, tables = road.go(""), road.tables()
    kept = road.kept()
    assert len(kept) == 20
    for gone in sorted(kept)[:5]:
        after = road.go(f"{gone},drop,Takedown\n")
        (come,) = road.kept() - kept
        assert kept - road.kept() == {gone}
        assert changed(before, after) == {shard_of(gone, SHARDS), shard_of(come, SHARDS)}
        others = {step for step in changed(tables, road.tables()) if step.startswith("selected")}
        assert others == {f"selected/{part_of(name, BITS)}" for name in (gone, come)}
