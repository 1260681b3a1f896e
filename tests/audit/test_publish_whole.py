"""A real run is verified and published by the command, checked by a stranger, and refused once a byte has changed."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.audit.published_check import check_publication
from tests.small_run import SmallRun


def test_a_run_is_published_and_after_a_changed_byte_refused(small_run: SmallRun, tmp_path: Path) -> None:
    place = small_run.copied(tmp_path / "run")
    done = place.snakemake("--cores", "1", "publish")
    log = (place.folder / "logs/audit/publish.log").read_text()
    assert done.returncode == 0, log
    out = place.folder / "results/audit/publish"
    seal, findings = check_publication(out, place.seal())
    assert {finding.verdict for finding in findings} == {"same"}
    assert f"seal {seal}" in log
    text = "".join((out / name).read_text() for name in ("ro-crate-metadata.json", "croissant.json", "README.md"))
    assert str(place.base) not in text
    host = json.loads((place.folder / "records/filter/select.parquet.json").read_text())["circumstances"]["host"]
    for path in (out / "records").rglob("*.json"):
        assert f'"{host}"' not in path.read_text()
        assert str(place.base) not in path.read_text()

    before = (out / "SHA256SUMS").read_bytes()
    judged = place.folder / "results/filter/judge/0.parquet"  # not published, but what the shards rest on
    content = bytearray(judged.read_bytes())
    content[len(content) // 2] ^= 1
    judged.write_bytes(content)
    done = place.snakemake("--cores", "1", "publish")
    assert done.returncode != 0
    assert (
        "nothing is published, because the run does not verify" in (place.folder / "logs/audit/publish.log").read_text()
    )
    assert (out / "SHA256SUMS").read_bytes() == before
