"""A part for `judge`, made image by image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from scripts.filter.judge import main
from scripts.lib.tables import CANDIDATES, DETECTIONS, DOWNLOADS, DUPLICATES, INSPECTIONS, VERDICTS
from tests.filter.made import candidate, counted, detection, download, inspection, save

EMBEDDED = {"max_face_regions": 0, "max_thumbnail_distance": 8}


def rules(fa: dict[str, float], people: dict[str, float], **reviews: dict[str, float]) -> list[dict[str, Any]]:
    return [
        {"name": reason, "reason": reason, "combine": "any", "drop": drop, "review": reviews.get(reason, {})}
        for reason, drop in (("face", fa), ("person", people))
    ]


RECIPE = {
    "min_side": 64,
    "min_colour_std": 1.0,
    "embedded": EMBEDDED,
    "suspicious_from": None,
    "rules": rules({"fa": 0.5}, {"pa": 0.7, "pb": 0.3}),
}


class Case:
    """A part whose images are all clean until a test says otherwise."""

    def __init__(self, folder: Path, *image_ids: str) -> None:
        self.folder = folder
        self.candidates = [candidate(image_id, row=index) for index, image_id in enumerate(image_ids)]
        self.status = {image_id: download(image_id, row=index) for index, image_id in enumerate(image_ids)}
        self.inspections = {image_id: inspection(image_id) for image_id in image_ids}
        self.duplicates: list[dict[str, Any]] = []
        self.scores = {
            name: {image_id: detection(image_id, 0.1) for image_id in image_ids} for name in ("fa", "pa", "pb")
        }
        self.human = ""
        self.recipe: dict[str, Any] = RECIPE

    def score(self, image_id: str, **scores: float) -> None:
        for name, score in scores.items():
            self.scores[name][image_id] = detection(image_id, score)

    def no_bytes(self, image_id: str, reason: str, detail: str) -> None:
        self.status[image_id].update(reason=reason, detail=detail)
        self._forget(image_id, self.inspections, *self.scores.values())

    def undecodable(self, image_id: str, detail: str) -> None:
        self.inspections[image_id].update(reason="undecodable", detail=detail, width=0, height=0)
        self._forget(image_id, *self.scores.values())

    @staticmethod
    def _forget(image_id: str, *tables: dict[str, dict[str, Any]]) -> None:
        for table in tables:
            del table[image_id]

    def arguments(self) -> list[str]:
        folder = self.folder
        other = [candidate("elsewhere", part="1")]
        tables = {
            name: save(folder / name / "0.parquet", rows.values(), DETECTIONS) for name, rows in self.scores.items()
        }
        human = folder / "verdicts.csv"
        if self.human:
            human.write_text("image_id,verdict,reviewer\n" + self.human)
        return [
            *("--recipe", json.dumps(self.recipe), "--part", "0"),
            *("--candidates", save(folder / "made-000.parquet", self.candidates + other, CANDIDATES)),
            *("--status", save(folder / "status.parquet", self.status.values(), DOWNLOADS)),
            *("--inspection", save(folder / "inspection.parquet", self.inspections.values(), INSPECTIONS)),
            *("--duplicates", save(folder / "duplicates.parquet", counted(self.duplicates), DUPLICATES)),
            *("--faces", tables["fa"], "--people", tables["pa"], tables["pb"]),
            *("--human-verdicts", str(human) if self.human else "", "--out", str(folder / "out.parquet")),
        ]

    def judge(self) -> dict[str, tuple[str, str]]:
        main(self.arguments())
        table = pq.read_table(self.folder / "out.parquet")
        assert table.schema.equals(VERDICTS)
        assert table["row"].to_pylist() == [row["row"] for row in self.status.values()]
        return {row["image_id"]: (row["reason"], row["evidence"]) for row in table.to_pylist()}
