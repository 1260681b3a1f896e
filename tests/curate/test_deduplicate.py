"""Clusters worked out by hand, and real pictures with their variants."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from scripts.curate import deduplicate
from scripts.curate.measure_image import measure_image
from scripts.curate.settings import DeduplicateSettings, InspectImagesSettings
from scripts.lib.duplicate_table import check_clusters
from scripts.lib.errors import UserError
from scripts.lib.files import table_of, write_table
from scripts.lib.identity import part_names, part_of
from scripts.lib.perceptual_hash import orientations, oriented_hashes
from scripts.lib.recipe import write_recipe
from scripts.lib.tables import DUPLICATES, INSPECTIONS
from tests.conftest import ROOT
from tests.curate.test_hash_join import hashes_with_neighbours
from tests.curate.test_star_clusters import ROUND

SETTINGS = DeduplicateSettings(near_distance=3, min_correlation=0.9, mirrored=True, turned=True, min_colour_std=4.0)
LIMITS = InspectImagesSettings(
    max_pixels=50_000_000, max_bytes=50_000_000, cpu_seconds=10.0, timeout_seconds=30.0, memory_mb=1024
)


def laid(phash: int, mirrored: bool, turned: int) -> int:
    """Return the hash of a picture so laid."""
    hashes = np.array([phash], np.uint64)
    chosen = next(
        item for item in orientations(mirrored=True, turned=True) if (item.mirrored, item.turned) == (mirrored, turned)
    )
    return int(oriented_hashes(hashes, chosen)[0])


def image(image_id: str, phash: int, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(INSPECTIONS.names)
    row |= {"image_id": image_id, "reason": "", "detail": "", "format": "JPEG", "width": 100, "height": 100}
    row |= {
        "orientation": 1,
        "mode": "RGB",
        "colour_std": 50.0,
        "sha256": hashlib.sha256(image_id.encode()).hexdigest(),
        "miniature": ROUND.tobytes().hex(),
    }
    return row | {"phash": phash} | changes


def run(folder: Path, *parts: list[dict[str, Any]], **changes: Any) -> list[tuple[Any, ...]]:
    paths = []
    for index, rows in enumerate(parts):
        paths.append(folder / f"{index}.parquet")
        write_table(paths[-1], table_of(rows, INSPECTIONS))
    recipe = write_recipe(SETTINGS.model_copy(update=changes))
    deduplicate.main(["--recipe", recipe, "--inspections", *map(str, paths), "--out", str(folder / "out.parquet")])
    table = pq.read_table(folder / "out.parquet")
    assert table.schema.equals(DUPLICATES)
    sizes = Counter(table["cluster"].to_pylist())
    assert table["members"].to_pylist() == [sizes[name] for name in table["cluster"].to_pylist()]
    return [tuple(value for name, value in row.items() if name != "members") for row in table.to_pylist()]


def test_near_and_exact_duplicates_over_partitions(tmp_path: Path) -> None:
    same = hashlib.sha256(b"same").hexdigest()
    first = [image("b", 0b0111), image("d", 0, sha256=same), image("z", 0xFFFF_0000_FFFF)]
    second = [image("a", 0), image("c", 0, sha256=same, width=200), image("broken", 0, reason="undecodable")]
    assert run(tmp_path, first, second) == [
        ("a", "c", "near_duplicate", 0, False, 0),
        ("b", "c", "near_duplicate", 3, False, 0),
        ("c", "c", "", 0, False, 0),
        ("d", "c", "exact_duplicate", 0, False, 0),
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


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [True, False])
def test_mirrored_and_turned_copies(tmp_path: Path, mirrored: bool, turned: int) -> None:
    rows = [image("a", 0x0F0F_1234_3C3C_5678), image("b", laid(0x0F0F_1234_3C3C_5678, mirrored, turned) ^ 1)]
    found = [("a", "a", "", 0, False, 0), ("b", "a", "near_duplicate", 1, mirrored, turned)]
    assert run(tmp_path, rows) == found
    assert run(tmp_path, rows, mirrored=False) == ([] if mirrored else found)
    assert run(tmp_path, rows, turned=False) == ([] if turned else found)


def test_a_second_look_tells_apart_what_the_hash_joins(tmp_path: Path) -> None:
    other = np.roll(ROUND.reshape(16, 16), 4, axis=0).tobytes().hex()
    rows = [image("a", 0), image("b", 1, miniature=other), image("c", 2, miniature=other)]
    assert [row[:3] for row in run(tmp_path, rows)] == [("b", "b", ""), ("c", "b", "near_duplicate")]
    flat = bytes(256).hex()
    assert run(tmp_path, [image("a", 0, miniature=flat), image("b", 0, miniature=flat)]) == []


def test_flat_images_are_compared_by_bytes_alone(tmp_path: Path) -> None:
    same = hashlib.sha256(b"same").hexdigest()
    rows = [image(name, 0, colour_std=3.9) for name in "ab"]
    rows += [image(name, 0, colour_std=3.9, sha256=same) for name in "cd"]
    rows += [image("e", 0, colour_std=4.0)]
    assert [row[:3] for row in run(tmp_path, rows)] == [("c", "c", ""), ("d", "c", "exact_duplicate")]


def test_a_chain_leaves_both_ends(tmp_path: Path) -> None:
    rows = [image("a", 0), image("b", 0b111), image("c", 0b111111)]
    assert [(row[0], row[1], row[3]) for row in run(tmp_path, rows)] == [("a", "a", 0), ("b", "a", 3)]
    rows[1]["width"] = 200
    assert [(row[0], row[1], row[3]) for row in run(tmp_path, rows)] == [("a", "b", 3), ("b", "b", 0), ("c", "b", 3)]


def test_copies_of_a_copy_by_bytes_follow_it(tmp_path: Path) -> None:
    same = hashlib.sha256(b"same").hexdigest()
    turned = laid(7, False, 90) ^ 1
    rows = [image("big", 7, width=300), image("x", turned, sha256=same), image("y", turned, sha256=same)]
    assert run(tmp_path, rows) == [
        ("big", "big", "", 0, False, 0),
        ("x", "big", "near_duplicate", 1, False, 90),
        ("y", "big", "near_duplicate", 1, False, 90),
    ]


def test_order_of_partitions_and_rows_changes_nothing(tmp_path: Path) -> None:
    hashes = hashes_with_neighbours(1, 300)
    rows = [image(f"i{index:03d}", int(value)) for index, value in enumerate(hashes)]
    found = run(tmp_path, rows[:100], rows[100:])
    assert len(found) > 50
    assert run(tmp_path, rows[::-1][:250], rows[::-1][250:]) == found


def test_nothing_to_compare(tmp_path: Path) -> None:
    assert run(tmp_path) == []
    assert run(tmp_path, []) == []
    assert run(tmp_path, [image("a", 0, reason="undecodable") | {"phash": None, "miniature": None}]) == []


def test_two_rows_for_one_image_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"0\.parquet has two rows for one image"):
        run(tmp_path, [image("a", 0), image("a", 1)])
    with pytest.raises(UserError, match="inspection tables of two parts"):
        run(tmp_path, [image("a", 0)], [image("a", 1)])


def shipped() -> dict[str, Any]:
    """Return the settings of config.yaml."""
    import yaml

    chosen: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())["curate"]["deduplicate"]
    return chosen


def measured(name: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return (
        dict.fromkeys(INSPECTIONS.names)
        | {"image_id": name, "sha256": digest}
        | measure_image(content, LIMITS).as_row()
    )


def clusters_of(folder: Path, files: dict[str, bytes]) -> dict[str, set[str]]:
    """Return kept image → its copies, for files inspected and deduplicated with the shipped settings."""
    found: dict[str, set[str]] = {}
    for row in run(folder, [measured(name, content) for name, content in files.items()], **shipped()):
        found.setdefault(row[1], set()).update({row[0]} - {row[1]})
    return found


def test_variants_of_real_pictures_are_found_and_nothing_else(shared: Path, tmp_path: Path) -> None:
    files = {}
    with tarfile.open(shared / "near_duplicates.tar") as tar:
        for member in tar:
            if member.isreg() and Path(member.name).suffix in (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".svg"):
                files[member.name.removeprefix("tests/data/")] = tar.extractfile(member).read()  # type: ignore[union-attr]
    picture = {name: name.split("ukbench")[-1][:5] if "ukbench" in name else "00120" for name in files}
    # Turned by some 30 degrees, with black corners: not the whole picture any more.
    picture |= {name: "rotated" for name in files if "rotation" in name}
    readable = {name for name in files if "corrupt" not in name}
    clusters = clusters_of(tmp_path, files)
    kept = {name: best for best, copies in clusters.items() for name in {best, *copies}}
    kept |= {name: name for name in readable - kept.keys()}
    assert kept.keys() == readable
    for one in readable:
        for other in readable:
            assert (kept[one] == kept[other]) == (picture[one] == picture[other]), (one, other)


@pytest.mark.slow
def test_no_two_different_photographs_are_joined(shared: Path, tmp_path: Path) -> None:
    files = {path.stem: path.read_bytes() for path in sorted((shared / "photos").glob("*.jpg"))}
    copies = {kept.removeprefix("flower_")[:10]: len(found) for kept, found in clusters_of(tmp_path, files).items()}
    # By eye the same picture, coloured anew; the other 972 photographs are different ones.
    assert sorted(copies.values()) == [1, 1, 1]


@pytest.mark.parametrize("change", ["upright", "recompressed", "smaller", "grey", "mirrored", "turned", "brighter"])
def test_changed_copies_of_real_photographs_are_found(shared: Path, tmp_path: Path, change: str) -> None:
    files = {}
    for path in sorted((shared / "photos").glob("coco_*.jpg"))[:20]:
        files[path.stem] = path.read_bytes()
        files[f"{path.stem} copy"] = changed(files[path.stem], change)
    clusters = clusters_of(tmp_path, files)
    assert sum(map(len, clusters.values())) == 20
    assert all(
        len(copies) == 1 and {kept.split()[0]} == {name.split()[0] for name in copies}
        for kept, copies in clusters.items()
    )


def changed(content: bytes, change: str) -> bytes:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    quality = 30 if change == "recompressed" else 85
    if change == "smaller":
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)
    elif change == "grey":
        image = image.convert("L")
    elif change == "mirrored":
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    elif change == "turned":
        image = image.transpose(Image.Transpose.ROTATE_90)
    elif change == "brighter":
        image = image.point(lambda level: min(255, int(level * 1.1)))
    target = io.BytesIO()
    image.save(target, "JPEG", quality=quality)
    return target.getvalue()


def test_a_part_has_the_whole_clusters_of_its_images(tmp_path: Path) -> None:
    names = [f"image{index:02d}" for index in range(13)]
    rows = [image(name, 0, sha256=f"{index // 3:064x}") for index, name in enumerate(names)]
    run(tmp_path, rows, near_distance=0)
    parts = [tmp_path / "parts" / f"{part}.parquet" for part in part_names(2)]
    recipe = write_recipe(SETTINGS.model_copy(update={"near_distance": 0}))
    tables = ["--inspections", str(tmp_path / "0.parquet"), "--out", str(tmp_path / "out.parquet")]
    deduplicate.main(["--recipe", recipe, *tables, "--parts", *map(str, parts)])
    whole = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert len(whole) == 12 and len({row["cluster"] for row in whole}) == 4
    kept_out = 0
    for path in parts:
        found = pq.read_table(path, schema=DUPLICATES)
        check_clusters(found, str(path))
        touched = {row["cluster"] for row in whole if part_of(row["image_id"], 2) == path.stem}
        assert found.to_pylist() == [row for row in whole if row["cluster"] in touched]
        kept_out += 4 - len(touched)
    assert kept_out
