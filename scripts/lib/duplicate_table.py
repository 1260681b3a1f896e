"""The table of `deduplicate`, checked by the steps that read it: a lost row would let a copy through unseen."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from scripts.lib.errors import UserError


def check_clusters(duplicates: pa.Table, path: str) -> None:
    """Fail unless each cluster has all its members, each once, and one of them is kept.

    Args:
        duplicates: columns of `tables.DUPLICATES`.
        path: where it was read, for the message.

    Raises:
        UserError: names the table and the first cluster that is not whole.
    """
    is_kept = pc.and_(pc.equal(duplicates["reason"], ""), pc.equal(duplicates["image_id"], duplicates["cluster"]))
    rows = pa.table(
        {
            "cluster": duplicates["cluster"],
            "image_id": duplicates["image_id"],
            "members": duplicates["members"],
            "kept": pc.cast(is_kept, pa.int32()),
        }
    )
    found = rows.group_by("cluster").aggregate(
        [("image_id", "count_distinct"), ("image_id", "count"), ("members", "min"), ("members", "max"), ("kept", "sum")]
    )
    size = found["image_id_count_distinct"]
    whole = pc.equal(found["kept_sum"], 1)
    for name in ("image_id_count", "members_min", "members_max"):
        whole = pc.and_(whole, pc.equal(pc.cast(found[name], pa.int64()), size))
    if broken := sorted(found["cluster"].filter(pc.invert(whole)).to_pylist()):
        raise UserError(
            f"{path}: {len(broken)} clusters of duplicates have lost or doubled a row (first: the cluster of image "
            f"{broken[0]}); make it again (snakemake --forcerun deduplicate)"
        )
