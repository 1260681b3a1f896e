from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image
from torchvision.datasets import ImageFolder

from scripts.lib.errors import UserError
from scripts.lib.files import table_of
from scripts.lib.identity import shard_of
from scripts.lib.images import decode_image
from scripts.lib.recipe import write_recipe
from scripts.lib.tables import SELECTION, SHARD_INDEX
from scripts.lib.tars import TarReader
from scripts.shard.published_file import published
from scripts.shard.settings import EmbeddedMetadata, WriteShardsSettings
from scripts.shard.write_shards import choose, main, member_name
from tests.shard.made import MadeParts, make_parts, picture, selected

COUNT = 2


def recipe_of(count: int, mode: EmbeddedMetadata = "strip") -> str:
    return write_recipe(WriteShardsSettings(count=count, embedded_metadata=mode))


def run(
    made: MadeParts, shard: str, out: Path, count: int = COUNT, mode: EmbeddedMetadata = "strip"
) -> tuple[Path, Path]:
    tar, index = out / f"{shard}.tar", out / f"{shard}.parquet"
    main(
        ["--recipe", recipe_of(count, mode), "--shard", shard, "--selections", str(made.selection), "--tars",
        *made.tars(),
         "--statuses", *made.statuses(), "--tar", str(tar), "--index", str(index)]
    )  # fmt: skip
    return tar, index


def test_shards_hold_exactly_the_kept_images(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    kept = {row["image_id"] for row in made.rows if row["keep"]}
    seen = []
    for shard in ("00000", "00001"):
        tar, index = run(made, shard, tmp_path / "out")
        table = pq.read_table(index)
        assert table.schema.equals(SHARD_INDEX)
        ids = table["image_id"].to_pylist()
        assert ids == sorted(ids) and len(ids) > 0
        assert all(shard_of(image_id, COUNT) == shard for image_id in ids)
        with TarReader(tar) as reader:
            for row in table.to_pylist():
                content = reader.read(row["offset"], row["size"])
                assert content == made.contents[row["image_id"]]
                assert hashlib.sha256(content).hexdigest() == row["sha256"]
        seen += ids
    assert len(seen) == len(set(seen)) and set(seen) == kept


SECRET = (0, 4, 9)
WORDS = "face_regions,maker_notes,position,thumbnail,trailing_bytes"


@pytest.mark.parametrize("mode", ["strip", "keep"])
def test_metadata_are_stripped_unless_asked_for(
    tmp_path: Path, mode: EmbeddedMetadata, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    made = make_parts(tmp_path, secret=SECRET)
    sources = {str(row["image_id"]): row for row in made.rows}
    changed = 0
    for shard in ("00000", "00001"):
        tar, index = run(made, shard, tmp_path / "out", mode=mode)
        rows = pq.read_table(index).to_pylist()
        with TarReader(tar) as reader:
            for row in rows:
                source = made.contents[row["image_id"]]
                member = reader.read(row["offset"], row["size"])
                secret = sources[row["image_id"]]["row"] in SECRET
                assert row["source_metadata"] == (WORDS if secret else "")
                assert row["source_sha256"] == hashlib.sha256(source).hexdigest()
                assert row["sha256"] == hashlib.sha256(member).hexdigest()
                assert np.array_equal(decode_image(member), decode_image(source))
                assert (b"secret" in member) == (secret and mode == "keep")
                if mode == "keep":
                    assert member == source
                changed += member != source
        assert f"embedded metadata: {mode}" in caplog.text
    assert changed == (len(SECRET) if mode == "strip" else 0)


def test_a_file_that_cannot_be_taken_apart_is_never_written_as_it_is() -> None:
    damaged = picture(1)[:-2]
    with pytest.raises(UserError, match=r"metadata of image ab cannot be stripped \(no marker after the last scan\)"):
        published("ab", damaged, "strip")
    assert published("ab", damaged, "keep") == (damaged, "unreadable")


def test_same_bytes_again_and_whatever_the_order_of_parts(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    first = [path.read_bytes() for path in run(made, "00000", tmp_path / "a")]
    made.parts = made.parts[::-1]
    assert [path.read_bytes() for path in run(made, "00000", tmp_path / "b")] == first


def test_opens_in_webdataset_and_in_image_folder(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    out = tmp_path / "out"
    for shard in ("00000", "00001"):
        run(made, shard, out)
    paths = [str(out / f"{shard}.tar") for shard in ("00000", "00001")]
    samples = list(webdataset.WebDataset(paths, shardshuffle=False))
    assert {sample["__key__"].split("/")[1] for sample in samples} == {r["image_id"] for r in made.rows if r["keep"]}
    for sample in samples:
        extension = "png" if "png" in sample else "jpg"
        assert sample[extension] == made.contents[sample["__key__"].split("/")[1]]
    assert sum("png" in sample for sample in samples) == 1

    for path in paths:
        with tarfile.open(path) as tar:
            tar.extractall(tmp_path / "folder", filter="data")
    folder = ImageFolder(str(tmp_path / "folder"))
    assert folder.classes == ["00000", "00001"] and len(folder) == 10
    assert all(image.size == (40, 30) for image, _ in folder)


def test_takedown_rewrites_one_shard(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    before = {shard: run(made, shard, tmp_path / "a")[0].read_bytes() for shard in ("00000", "00001")}
    gone = next(row for row in made.rows if row["keep"])
    gone.update(keep=False, reason="human_verdict")
    made.write_selection()
    after = {shard: run(made, shard, tmp_path / "b")[0].read_bytes() for shard in ("00000", "00001")}
    assert [shard for shard in before if before[shard] != after[shard]] == [shard_of(str(gone["image_id"]), COUNT)]


def test_empty_shard_is_a_readable_tar(tmp_path: Path) -> None:
    made = make_parts(tmp_path, count=1, drop=(0,))
    tar, index = run(made, "00000", tmp_path / "out")
    assert pq.read_table(index).num_rows == 0
    with tarfile.open(tar) as opened:
        assert opened.getmembers() == []


def test_damaged_bytes_name_the_file_to_remake(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    table = pq.read_table(tmp_path / "0.parquet")
    kept = {row["image_id"] for row in made.rows if row["keep"]}
    row = next(row for row in table.to_pylist() if row["image_id"] in kept and row["reason"] == "")
    path = tmp_path / "0.tar"
    content = bytearray(path.read_bytes())
    content[row["offset"] + row["size"] // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"0\.tar is damaged: .*{row['image_id']}.*delete .*0\.tar and run snakemake"):
        run(made, shard_of(row["image_id"], COUNT), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_short_tar_names_the_file_to_remake(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    for part in ("0", "1"):
        path = tmp_path / f"{part}.tar"
        path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(UserError, match=r"\.tar is cut short at image .*Remake it"):
        run(made, "00000", tmp_path / "out")


def test_image_that_was_not_downloaded(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    made.rows.append(selected(99, picture(99)))
    made.write_selection()
    shard = shard_of(str(made.rows[-1]["image_id"]), COUNT)
    with pytest.raises(UserError, match="no table of downloads has its bytes"):
        run(made, shard, tmp_path / "out")


def test_bytes_other_than_inspected(tmp_path: Path) -> None:
    made = make_parts(tmp_path, count=1, drop=())
    made.rows[0]["sha256"] = "0" * 64
    made.write_selection()
    with pytest.raises(UserError, match="inspect_images recorded 0000"):
        run(made, shard_of(str(made.rows[0]["image_id"]), COUNT), tmp_path / "out")


@pytest.mark.parametrize("bad", ["a/b", "a.b", "../x", "", "x" * 81])
def test_ids_that_cannot_be_names_are_refused(bad: str) -> None:
    table = table_of([selected(1, b"", image_id=bad)], SELECTION)
    with pytest.raises(UserError, match="cannot be a file name"):
        choose(table, shard_of(bad, 1), 1)


def test_one_id_kept_twice_is_refused() -> None:
    table = table_of([selected(1, b""), selected(1, b"", row=2)], SELECTION)
    with pytest.raises(UserError, match="keeps two rows with the image id"):
        choose(table, "00000", 1)


def test_extension_follows_content() -> None:
    assert member_name("00003", "ab", picture(1, "PNG")) == "00003/ab.png"
    assert member_name("00003", "ab", picture(1, "JPEG")) == "00003/ab.jpg"
    assert member_name("00003", "ab", picture(1, "WEBP")) == "00003/ab.webp"
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, "GIF")
    with pytest.raises(UserError, match="neither of JPEG, PNG, WEBP"):
        member_name("00003", "ab", buffer.getvalue())


def test_unpaired_flags(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    flags = ["--selections", str(made.selection), "--tars", *made.tars(), "--tar", "t", "--index", "i"]
    with pytest.raises(UserError, match="they go in pairs"):
        main(["--recipe", recipe_of(1), "--shard", "00000", *flags])
