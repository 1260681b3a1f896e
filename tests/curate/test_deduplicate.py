"""The joins against all pairs, and clusters worked out by hand."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from scripts.curate import deduplicate
from scripts.curate.deduplicate import clusters
from scripts.curate.hash_join import near_pairs
from scripts.curate.settings import DeduplicateSettings
from scripts.lib.errors import UserError
from scripts.lib.files import table_of, write_table
from scripts.lib.recipe import write_recipe
from scripts.lib.tables import DUPLICATES, INSPECTIONS

SETTINGS = DeduplicateSettings(near_distance=3, mirrored=True, min_colour_std=4.0)
FAR = 0x0F0F_F0F0_3C3C_C3C3  # more than 8 bits from the small hashes below and from their mirrors


def hashes_with_neighbours(seed: int, count: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return random hashes, half of them with up to 9 bits of another one turned."""
    generator = np.random.default_rng(seed)
    hashes = generator.integers(0, 2**64, count, dtype=np.uint64)
    for index in range(count // 2, count):
        bits = generator.choice(64, int(generator.integers(0, 10)), replace=False)
        hashes[index] = hashes[index - count // 2] ^ np.uint64(sum(1 << int(bit) for bit in bits))
    return hashes


@pytest.mark.parametrize("distance", range(9))
def test_join_finds_exactly_the_pairs_of_a_full_comparison(distance: int) -> None:
    hashes = hashes_with_neighbours(distance, 400)
    groups = np.arange(400) % 5 == 0
    found: set[tuple[int, int]] = set()
    for first, second in near_pairs(hashes, groups, distance):
        found |= {(min(pair), max(pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    expected = {
        (i, j)
        for i in range(400)
        for j in range(i + 1, 400)
        if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= distance and not (groups[i] and groups[j])
    }
    assert expected
    assert found == expected


def test_join_of_nothing_and_one() -> None:
    for count in (0, 1):
        assert list(near_pairs(np.zeros(count, np.uint64), np.zeros(count, np.bool_), 3)) == []


def test_clusters_hang_together_through_others() -> None:
    pairs = [(np.array([0, 4]), np.array([2, 5])), (np.array([2]), np.array([5]))]
    labels = clusters(7, pairs)
    assert labels[0] == labels[2] == labels[4] == labels[5]
    assert len({labels[0], labels[1], labels[3], labels[6]}) == 4


def image(image_id: str, phash: int, mirror: int = FAR, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(INSPECTIONS.names)
    row |= {"image_id": image_id, "reason": "", "detail": "", "format": "JPEG", "width": 100, "height": 100}
    row |= {
        "orientation": 1,
        "mode": "RGB",
        "colour_std": 50.0,
        "sha256": hashlib.sha256(image_id.encode()).hexdigest(),
    }
    return row | {"phash": phash, "phash_mirror": mirror} | changes


def run(folder: Path, *parts: list[dict[str, Any]], **changes: Any) -> list[tuple[Any, ...]]:
    paths = []
    for index, rows in enumerate(parts):
        paths.append(folder / f"{index}.parquet")
        write_table(paths[-1], table_of(rows, INSPECTIONS))
    recipe = write_recipe(SETTINGS.model_copy(update=changes))
    deduplicate.main(["--recipe", recipe, "--inspections", *map(str, paths), "--out", str(folder / "out.parquet")])
    table = pq.read_table(folder / "out.parquet")
    assert table.schema.equals(DUPLICATES)
    return [tuple(row.values()) for row in table.to_pylist()]


def test_near_and_exact_duplicates_over_partitions(tmp_path: Path) -> None:
    same = hashlib.sha256(b"same").hexdigest()
    first = [image("b", 0b0111), image("d", 0, sha256=same), image("z", 0xFFFF_0000_FFFF)]
    second = [image("a", 0), image("c", 0, sha256=same, width=200), image("broken", 0, reason="undecodable")]
    assert run(tmp_path, first, second) == [
        ("a", "c", "near_duplicate", 0, False),
        ("b", "c", "near_duplicate", 3, False),
        ("c", "c", "", 0, False),
        ("d", "c", "exact_duplicate", 0, False),
    ]


def test_smallest_id_is_kept_among_equal_areas(tmp_path: Path) -> None:
    rows = [image("b", 0, width=50, height=200), image("a", 1), image("c", 0, width=99)]
    assert [row[:3] for row in run(tmp_path, rows)] == [
        ("a", "a", ""),
        ("b", "a", "near_duplicate"),
        ("c", "a", "near_duplicate"),
    ]


@pytest.mark.parametrize(("distance", "expected"), [(0, 0), (2, 0), (3, 2), (4, 2)])
def test_distance_is_a_limit(tmp_path: Path, distance: int, expected: int) -> None:
    assert len(run(tmp_path, [image("a", 0), image("b", 0b10101)], near_distance=distance)) == expected


@pytest.mark.parametrize("mirrored", [True, False])
def test_mirror_images(tmp_path: Path, mirrored: bool) -> None:
    rows = [image("a", 5, mirror=FAR), image("b", FAR ^ 1, mirror=4)]
    expected = [("a", "a", "", 0, False), ("b", "a", "near_duplicate", 1, True)]
    assert run(tmp_path, rows, mirrored=mirrored) == (expected if mirrored else [])


def test_images_with_equal_mirror_hashes_alone_are_not_duplicates(tmp_path: Path) -> None:
    assert run(tmp_path, [image("a", 0, mirror=FAR), image("b", 0xFFFF_FFFF, mirror=FAR)]) == []


def test_flat_images_are_compared_by_bytes_alone(tmp_path: Path) -> None:
    same = hashlib.sha256(b"same").hexdigest()
    rows = [image(name, 0, colour_std=3.9) for name in "ab"]
    rows += [image(name, 0, colour_std=3.9, sha256=same) for name in "cd"]
    rows += [image("e", 0, colour_std=4.0)]
    assert [row[:3] for row in run(tmp_path, rows)] == [("c", "c", ""), ("d", "c", "exact_duplicate")]


def test_chain_is_one_cluster_with_distances_to_the_kept_one(tmp_path: Path) -> None:
    rows = [image("a", 0), image("b", 0b111), image("c", 0b111111)]
    assert [(row[0], row[3]) for row in run(tmp_path, rows)] == [("a", 0), ("b", 3), ("c", 6)]


def test_order_of_partitions_and_rows_changes_nothing(tmp_path: Path) -> None:
    hashes = hashes_with_neighbours(1, 300)
    rows = [image(f"i{index:03d}", int(value), mirror=int(~value)) for index, value in enumerate(hashes)]
    found = run(tmp_path, rows[:100], rows[100:])
    assert len(found) > 50
    assert run(tmp_path, rows[::-1][:250], rows[::-1][250:]) == found


def test_nothing_to_compare(tmp_path: Path) -> None:
    assert run(tmp_path) == []
    assert run(tmp_path, []) == []
    assert run(tmp_path, [image("a", 0, reason="undecodable") | {"phash": None}]) == []


def test_two_rows_for_one_image_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two rows for one image"):
        run(tmp_path, [image("a", 0), image("a", 1)])
