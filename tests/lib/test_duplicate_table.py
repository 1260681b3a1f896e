from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from scripts.lib.duplicate_table import check_clusters
from scripts.lib.errors import UserError
from scripts.lib.tables import DUPLICATES


def row(image_id: str, cluster: str, members: int, reason: str = "near_duplicate") -> dict[str, Any]:
    named = {"image_id": image_id, "cluster": cluster, "members": members, "reason": reason}
    return {"distance": 0, "mirrored": False, "turned": 0, **named}


GOOD = [
    row("a", "a", 3, ""),
    row("b", "a", 3),
    row("c", "a", 3, "exact_duplicate"),
    row("d", "d", 2, ""),
    row("e", "d", 2),
]


def test_whole_clusters_pass() -> None:
    check_clusters(pa.Table.from_pylist(GOOD, schema=DUPLICATES), "x")
    check_clusters(DUPLICATES.empty_table(), "x")


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("copies", [0, 2])
def test_a_lost_or_doubled_row_is_found(place: int, copies: int) -> None:
    rows = [*GOOD[:place], *[GOOD[place]] * copies, *GOOD[place + 1 :]]
    with pytest.raises(UserError, match=rf"^x: 1 clusters .* cluster of image {GOOD[place]['cluster']}\)"):
        check_clusters(pa.Table.from_pylist(rows, schema=DUPLICATES), "x")


def test_a_cluster_has_one_kept_image() -> None:
    for rows in ([row("a", "a", 2), row("b", "a", 2)], [row("a", "a", 2, ""), row("b", "a", 2, "")]):
        if rows[0]["reason"]:
            with pytest.raises(UserError, match="cluster of image a"):
                check_clusters(pa.Table.from_pylist(rows, schema=DUPLICATES), "x")
        else:  # the second says that it is kept, and names another: judge would keep both
            with pytest.raises(UserError, match="cluster of image a"):
                check_clusters(pa.Table.from_pylist([rows[0], {**rows[1], "image_id": "a"}], schema=DUPLICATES), "x")
