"""What steps without pixels read, generated: metadata lines, and the tables that steps with pixels would leave."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from scripts.lib.files import write_table
from scripts.lib.identity import shard_of, yfcc_key
from scripts.lib.reasons import DownloadReason, InspectionReason
from scripts.lib.tables import DETECTIONS, DOWNLOADS, INSPECTIONS, RESULT_COLUMNS, SHARD_INDEX
from scripts.plan import Plan
from scripts.report.duplicate_figures import count_clusters, write_figures

ROOT = Path(__file__).resolve().parents[1]
PARTITION_BITS = 4
KEPT_SHARE = 1_440_191 / 17_210_144  # of the CC BY photos
NOT_FOUND, UNDECODABLE, COPIES, FACES, PEOPLE = 0.02, 0.005, 0.01, 0.18, 0.28  # shares, about those of the paper
PER_USER = 60  # photos


def make_config(rows: int) -> dict[str, Any]:
    """Return config.yaml with the generated source and a target in the paper's proportion."""
    raw: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    raw["partition_bits"] = PARTITION_BITS
    raw["curate"]["sources"] = [
        {"name": "yfcc100m", "kind": "yfcc100m", "files": [{"path": "metadata.tsv"}], "stores": [{"tar": "store.tar"}]}
    ]
    raw["filter"]["target_size"] = max(1, round(rows * KEPT_SHARE))
    raw["shard"]["count"] = 2**PARTITION_BITS
    return raw


def write_metadata(path: Path, rows: int) -> None:
    """Write `rows` CC BY photos in the 25-column layout of YFCC100M."""
    with path.open("w", encoding="utf-8") as handle:
        for row in range(rows):
            photo, user = 10_000_000 + row, f"{row * 7919 % max(1, rows // PER_USER):08d}@N00"
            url = f"http://farm1.staticflickr.com/{row % 100}/{photo}_0123456789.jpg"
            date = f"20{5 + row % 10:02d}-05-31 21:07:00.0"
            fields = [row, photo, yfcc_key(url), user, f"user+{user[:8]}", date, "1275340020", f"Camera+{row % 300}"]
            fields += [f"A+title+%28{row}%29", "Some+words+about+it" * 5, "tag,another", "", "-0.25", "41.0", "15"]
            fields += [f"http://www.flickr.com/photos/{user}/{photo}/", url, "Attribution License"]
            fields += ["http://creativecommons.org/licenses/by/2.0/", 59, 1, "0123456789", "0123456789", "jpg", 0]
            handle.write("\t".join(map(str, fields)) + "\n")


def table_of_columns(schema: pa.Schema, rows: int, **given: Any) -> pa.Table:
    """Return a table of `schema` with the given columns; others hold 0, "" or nothing."""
    columns = []
    for field in schema:
        if field.name in given:
            columns.append(pa.array(given[field.name], field.type))
        elif pa.types.is_string(field.type):
            columns.append(pa.repeat(pa.scalar("", field.type), rows))
        else:
            columns.append(pa.nulls(rows, field.type))
    return pa.table(columns, schema=schema)


@dataclass(frozen=True)
class Made:
    """A folder of results."""

    folder: Path
    metadata: Path

    def path(self, name: str) -> str:
        """Return the path of a result, its folder made."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)

    @staticmethod
    def detectors(plan: Plan) -> tuple[tuple[str, list[str]], ...]:
        """Return (step, names of the detectors that rules ask for)."""
        faces, people = plan.asked(plan.face_detectors), plan.asked(plan.person_detectors)
        return ("detect_faces", list(faces)), ("detect_people", list(people))

    def write_parts(self, candidates: Path, plan: Plan) -> None:
        """Write the tables of `download`, `inspect_images` and the detectors for the candidates of each part."""
        draws = np.random.default_rng(0)
        for part in plan.parts:
            key = ["image_id", "source", "file", "row"]
            rows = pq.read_table(candidates, columns=key, filters=[("part", "=", part)])
            count = rows.num_rows
            ids = np.array(rows["image_id"].to_pylist(), dtype=object)
            digests = [hashlib.sha256(name.encode()).hexdigest() for name in ids]
            present = draws.random(count) >= NOT_FOUND
            sha256 = np.where(present, digests, "")
            status = table_of_columns(
                DOWNLOADS,
                count,
                **{name: rows[name].combine_chunks() for name in key},
                reason=np.where(present, "", str(DownloadReason.NOT_FOUND)).tolist(),
                detail=np.where(present, "", "HTTP 404").tolist(),
                sha256=sha256.tolist(),
                offset=np.arange(count) * 130_000,
                size=np.full(count, 124_000),
            )
            write_table(self.path(f"curate/download/{part}.parquet"), status)
            usable = self._write_inspections(part, ids[present], sha256[present], draws)
            self._write_detections(part, usable, plan, draws)

    def _write_inspections(self, part: str, ids: Any, sha256: Any, draws: np.random.Generator) -> Any:
        count = len(ids)
        bad = draws.random(count) < UNDECODABLE
        phash = draws.integers(0, 2**64, count, dtype=np.uint64)
        pixels = draws.integers(0, 256, (count, 256), dtype=np.uint8)
        copies = np.flatnonzero(draws.random(count) < COPIES)
        originals = draws.integers(0, max(1, count), len(copies))
        phash[copies] = phash[originals] ^ np.left_shift(np.uint64(1), draws.integers(0, 64, len(copies), np.uint64))
        pixels[copies] = pixels[originals]
        miniatures = pixels.tobytes().hex()
        table = table_of_columns(
            INSPECTIONS,
            count,
            image_id=ids.tolist(),
            reason=np.where(bad, str(InspectionReason.UNDECODABLE), "").tolist(),
            format=["JPEG"] * count,
            mode=["RGB"] * count,
            width=np.full(count, 500),
            height=draws.integers(280, 501, count),
            orientation=np.ones(count, np.int8),
            colour_std=draws.uniform(2, 90, count).astype(np.float32),
            sha256=sha256.tolist(),
            phash=phash,
            miniature=[miniatures[512 * row : 512 * row + 512] for row in range(count)],
        )
        write_table(self.path(f"curate/inspect_images/{part}.parquet"), table)
        return ids[~bad]

    def _write_detections(self, part: str, ids: Any, plan: Plan, draws: np.random.Generator) -> None:
        for (step, names), share in zip(self.detectors(plan), (FACES, PEOPLE), strict=True):
            for name in names:
                score = np.where(draws.random(len(ids)) < share, 0.9, 0.1).astype(np.float32)
                boxes = [[{"x0": 1.0, "y0": 1.0, "x1": 50.0, "y1": 50.0, "score": float(value)}] for value in score]
                table = table_of_columns(
                    DETECTIONS, len(ids), image_id=ids.tolist(), score=score, count=np.ones(len(ids)), boxes=boxes
                )
                write_table(self.path(f"filter/{step}/{name}/{part}.parquet"), table)

    def write_indexes(self, selection: Path, plan: Plan) -> list[str]:
        """Write the indexes of all shards for the images that a selection keeps, and return their paths."""
        kept = pq.read_table(selection, columns=["image_id", "sha256"], filters=[("keep", "=", True)])
        ids, sha256 = (np.array(kept[name].to_pylist(), dtype=object) for name in ("image_id", "sha256"))
        shards = np.array([shard_of(name, len(plan.shards)) for name in ids], dtype=object)
        paths = []
        for shard in plan.shards:
            mine = ids[shards == shard]
            order = np.argsort(mine)
            table = table_of_columns(
                SHARD_INDEX,
                len(mine),
                image_id=mine[order].tolist(),
                shard=[shard] * len(mine),
                member=[f"{shard}/{name}.jpg" for name in mine[order]],
                offset=np.arange(len(mine)) * 130_000,
                size=np.full(len(mine), 124_000),
                sha256=sha256[shards == shard][order].tolist(),
                source_sha256=sha256[shards == shard][order].tolist(),
            )
            paths.append(self.path(f"shard/write_shards/{shard}.parquet"))
            write_table(paths[-1], table)
        return paths

    def write_duplicate_figures(self) -> str:
        """Write what `draw_duplicates`, which needs pictures, would count, and return its path."""
        path = self.path("report/draw_duplicates/figures.json")
        write_figures(Path(path), count_clusters(pq.read_table(self.path("curate/deduplicate.parquet"))))
        return path

    def write_results(self) -> str:
        """Write a table of results without rows, and return its path."""
        path = self.path("evaluate/collect_results.csv")
        Path(path).write_text(",".join(RESULT_COLUMNS) + "\n", encoding="utf-8")
        return path
