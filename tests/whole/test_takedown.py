"""A takedown in a whole run: of the jobs of partitions and shards, those of the image compute and the others do not."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scripts.lib.identity import part_of, shard_of
from tests.small_run import SmallRun

TARGET = "results/shard/write_metadata/metadata.parquet"
BITS, SHARDS = 1, 2


@pytest.mark.whole
def test_a_takedown_computes_one_partition_and_one_shard(tmp_path: Path) -> None:
    run = SmallRun(tmp_path)
    run.root = Path(__file__).resolve().parents[2]  # the checkout is not edited
    run.folder.mkdir()
    (run.folder / "said").mkdir()
    (run.folder / "said/nobody.csv").write_text("image_id,verdict,reviewer\n")
    run.scale |= {"partition_bits": BITS, "shard": {**run.scale.get("shard", {}), "count": SHARDS}}
    run.scale["filter"] |= {"human_verdicts": "said", "target_size": None}
    run.run(TARGET)
    before, files = run.times(), shard_bytes(run.folder)
    kept = pq.read_table(run.folder / "results/filter/select.parquet", filters=[("keep", "=", True)])
    gone = kept["image_id"][3].as_py()
    (run.folder / "said/nobody.csv").write_text(f"image_id,verdict,reviewer\n{gone},drop,Takedown\n")
    run.run(TARGET)
    after = run.times()
    assert before.keys() == after.keys()
    computed = {name for name in after if after[name] != before[name]}
    part, shard = part_of(gone, BITS), shard_of(gone, SHARDS)
    assert {Path(name).name.split(".")[0] for name in computed} == {
        *("gather_human_verdicts", part, "select", shard, "pass_metadata")
    }
    changed = {name for name, content in shard_bytes(run.folder).items() if content != files[name]}
    assert changed == {f"{shard}.tar", f"{shard}.parquet"}


def shard_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "results/shard/write_shards").iterdir())}
