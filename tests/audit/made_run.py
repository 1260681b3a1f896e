"""The results and records of a run that made four images into two shards, written by hand for the tests of publish.

Titles, authors and settings are as bad as they come.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from scripts.lib.files import sha256_file, table_of, write_bytes, write_json, write_table
from scripts.lib.records import Record, identity, record_digest, write_record
from scripts.lib.seal import seal_run
from scripts.lib.tables import METADATA, SELECTION
from scripts.lib.tars import TarWriter
from tests.shard.made import picture, selected

HOST = "gpu-node17.cluster.example"
HOSTILE = '</script><script>alert(1)</script>=HYPERLINK("http://evil.example")\u202e\n"@id": "./"'
DETECTOR = {"detector": {"name": "hog", "kind": "hog", "score_floor": 0.05}}
RULES = [{"name": "person", "reason": "person", "drop": {"hog": 0.9}}]
CARD = {"title": f"Stones {HOSTILE}", "version": "1.0.0", "contact": "Museum <stones@museum.example>"}


class MadeRun:
    """A run in the working directory, which has to be an empty folder."""

    def __init__(self, contact: str = CARD["contact"], waiting: int = 0) -> None:
        self.root = Path.cwd()
        self.minute = 0
        self.card = {**CARD, "contact": contact, "embedded_metadata": "strip"}
        self._curate()
        self._filter(waiting)
        self._shard()
        self.targets = ["results/shard/write_card.md", "results/report/funnel.json"]
        assert seal_run(self.targets)

    def job(
        self, step: str, inputs: dict[str, str], outputs: dict[str, str], values: dict[str, Any], **more: Any
    ) -> Record:
        """Record a job whose outputs are written; paths are below results/ or absolute."""
        self.minute += 1
        host = more.pop("host", HOST)
        record: Record = {
            "format": 1,
            "step": step,
            "argv": ["--in", f"{self.root}/results/x"],
            "values": values,
            "seeds": {},
            "code": {"text": f"0123 {step} env:data:45", "environment": "env:data:45", "modules": [step], "files": {}},
            "inputs": [_entry(flag, path) for flag, path in inputs.items()],
            "outputs": [_entry(flag, path) for flag, path in outputs.items()],
            "circumstances": {
                "started": f"2026-01-02T03:{self.minute:02}:00.000+00:00",
                "ended": f"2026-01-02T03:{self.minute:02}:30.000+00:00",
                "host": host,
                "pid": 4711,
                "hardware": {"key": "0a1b", "processor": {"model": "a processor", "features": "1"}, "threads": 1},
                "packages": {"python": "3.11.7", "numpy": "2.4.6", "PIL": "13.0.0"},
                "lock": "00" * 32,
                "libc": "glibc 2.36",
                "variables": {"OMP_NUM_THREADS": "1", "TZ": "Pacific/Chatham", "LANG": "mi_NZ.UTF-8"},
                "slurm": {"SLURMD_NODENAME": HOST, "SLURM_JOB_ID": "991"},
                "cpu_seconds": 1.5,
                "peak_mb": 100,
            },
        }  # fmt: skip
        record["identity"] = identity(record)
        record["digest"] = record_digest(record)
        write_record(record)
        return record

    def _curate(self) -> None:
        self.outside = self.root.parent / "home of anna" / "verdicts.csv"
        write_bytes(self.outside, b"image_id,verdict,reviewer\n")
        write_bytes("results/curate/download/0.tar", b"bytes of photos that were not kept")
        source = {"url": "https://anna:s3cret@photos.example/a.jpg?X-Amz-Signature=zqzq&size=1"}
        self.job("curate.download", {}, {"tar": "curate/download/0.tar"}, {"recipe": {"source": source}})

    def _filter(self, waiting: int) -> None:
        write_bytes("results/filter/detect_people/hog/0.parquet", b"scores")
        tar = {"tar": "curate/download/0.tar"}
        self.job("filter.detect_people", tar, {"out": "filter/detect_people/hog/0.parquet"}, {"recipe": DETECTOR})
        self.rows = [selected(number, picture(number), title=HOSTILE) for number in range(4)]
        for number in range(4, 4 + waiting):
            self.rows.append(selected(number, picture(number), keep=False, reason="awaits_review"))
        write_table("results/filter/select.parquet", table_of(sorted(self.rows, key=_order), SELECTION))
        scores = {"scores": "filter/detect_people/hog/0.parquet", "human-verdicts": str(self.outside)}
        values = {"recipe": {"rules": RULES, "note": f"see {self.outside.parent}/notes.txt on {HOST}"}}
        write_bytes("results/filter/judge/0.parquet", b"verdicts")
        self.job("filter.judge", scores, {"out": "filter/judge/0.parquet"}, values, host="login1")
        judged = {"verdicts": "filter/judge/0.parquet"}
        self.job("filter.select", judged, {"out": "filter/select.parquet"}, {"recipe": {"seed": 3}})
        funnel = {"read": 5 + waiting, "kept": 4, "rejected": {"person": 1, "awaits_review": waiting}}
        write_json("results/report/funnel.json", funnel)
        chosen = {"selection": "filter/select.parquet"}
        self.job("report.count_funnel", chosen, {"out": "report/funnel.json"}, {})

    def _shard(self) -> None:
        kept = [row for row in self.rows if row["keep"]]
        Path("results/shard/write_shards").mkdir(parents=True)
        places = [f"results/shard/write_shards/{shard:05}.tar" for shard in range(2)]
        for shard, place in enumerate(places):
            with TarWriter(Path(place)) as tar:
                for number, row in list(enumerate(kept))[shard::2]:
                    tar.add(f"{shard:05}/{row['image_id']}.jpg", picture(number))
            write_bytes(f"results/shard/write_shards/{shard:05}.parquet", f"index {shard}".encode())
            outputs = {"tar": f"shard/write_shards/{shard:05}.tar", "index": f"shard/write_shards/{shard:05}.parquet"}
            values = {"recipe": {"count": 2, "embedded_metadata": "strip"}, "shard": f"{shard:05}"}
            self.job("shard.write_shards", {"selection": "filter/select.parquet"}, outputs, values)
        more = {"shard": "00000", "member": "00000/x.jpg", "source_sha256": "00" * 32}
        rows = [{name: {**row, **more}[name] for name in METADATA.names} for row in kept]
        write_table("results/shard/write_metadata/metadata.parquet", table_of(rows, METADATA))
        write_bytes("results/shard/write_metadata/pass_metadata.csv", b",unickname\n0,%3DHYPERLINK\n")
        outputs = {
            "pass-metadata": "shard/write_metadata/pass_metadata.csv",
            "metadata": "shard/write_metadata/metadata.parquet",
        }
        self.job("shard.write_metadata", {"indexes": "shard/write_shards/00000.parquet"}, outputs, {})
        write_bytes("results/shard/write_card.md", b"# Stones\n")
        inputs = {
            "metadata": "shard/write_metadata/metadata.parquet",
            "tars": "shard/write_shards/00000.tar",
            "tars-too": "shard/write_shards/00001.tar",
        }
        self.job("shard.write_card", inputs, {"out": "shard/write_card.md"}, {"recipe": self.card})


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["part"], row["image_id"], row["row"]


def _entry(flag: str, path: str) -> dict[str, Any]:
    place = Path(path) if Path(path).is_absolute() else Path("results", path)
    return {"flag": flag, "path": place.as_posix(), "sha256": sha256_file(place), "bytes": place.stat().st_size}


def digest(content: bytes) -> str:
    """Return the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()
