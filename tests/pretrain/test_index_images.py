from __future__ import annotations

import io
import json
import logging
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import ValidationError

from scripts.lib.errors import UserError
from scripts.lib.reasons import ImageSetReason
from scripts.lib.tables import IMAGE_INDEX
from scripts.pretrain import image_check, index_images
from scripts.pretrain.image_sets import Place, list_places
from scripts.pretrain.settings_images import DecodeLimits, IndexImagesSettings, TarImages
from tests.conftest import ROOT
from tests.pretrain.made import drawing
from tests.pretrain.made_images import LIMITS, folder_of, recipe_of, tar_of

Row = dict[str, Any]


def index(root: Path, out: Path, recipe: str, threads: int = 1) -> list[Row]:
    index_images.main(["--recipe", recipe, "--root", str(root), "--threads", str(threads), "--out", str(out)])
    table = pq.read_table(out)
    assert table.schema == IMAGE_INDEX
    rows: list[Row] = table.to_pylist()
    return rows


def png(size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 10, 10)).save(buffer, "PNG")
    return buffer.getvalue()


def reasons(rows: list[Row]) -> dict[str, str]:
    return {row["member"] or row["container"]: row["reason"] for row in rows}


def test_a_folder_is_read_by_content_in_sorted_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = folder_of(
        tmp_path / "set",
        {
            "b/2.jpg": drawing(2),
            "b/10": drawing(10),  # a picture without an extension
            "a/x.JPEG": png(),  # a PNG under another name, as in ImageNet
            "a/x.gif": b"GIF89a" + bytes(40),
            "a/empty.jpg": b"",
            "README.md": b"# read me",
            "c/cut.jpg": drawing(3)[:-200],
        },
    )
    with caplog.at_level(logging.INFO):
        rows = index(root, tmp_path / "index", recipe_of("folder"))
    assert reasons(rows) == {
        "README.md": "unsupported_format",
        "a/empty.jpg": "unsupported_format",
        "a/x.JPEG": "",
        "a/x.gif": "unsupported_format",
        "b/10": "",
        "b/2.jpg": "",
        "c/cut.jpg": "undecodable",
    }
    assert [row["container"] for row in rows] == sorted(row["container"] for row in rows)
    assert rows[2]["sha256"] == __import__("hashlib").sha256(png()).hexdigest() and rows[2]["size"] == len(png())
    assert "read 7, usable 3, not usable {'undecodable': 1, 'unsupported_format': 3}" in caplog.text
    assert "1 .md" in caplog.text and "1 .gif" in caplog.text
    assert "undecodable: 1, first c/cut.jpg" in caplog.text


def test_tars_and_names_in_two_of_them(tmp_path: Path) -> None:
    root = tmp_path / "set"
    tar_of(root / "PASS.0.tar", {"PASS_dataset/0/a.jpg": drawing(0), "PASS_dataset/0/b.jpg": drawing(1)})
    tar_of(root / "more/PASS.1.tar", {"PASS_dataset/0/a.jpg": drawing(2)})
    recipe = recipe_of("tars", files=["PASS.0.tar", "more/PASS.1.tar"])
    rows = index(root, tmp_path / "index", recipe)
    assert [(row["container"], row["member"]) for row in rows] == [
        ("PASS.0.tar", "PASS_dataset/0/a.jpg"),
        ("PASS.0.tar", "PASS_dataset/0/b.jpg"),
        ("more/PASS.1.tar", "PASS_dataset/0/a.jpg"),
    ]
    assert len({row["image_id"] for row in rows}) == 3
    for row in rows:
        content = (root / row["container"]).read_bytes()[row["offset"] : row["offset"] + row["size"]]
        assert content in (drawing(0), drawing(1), drawing(2))
    # The same bytes elsewhere give the same table.
    shutil.move(root, tmp_path / "elsewhere")
    index(tmp_path / "elsewhere", tmp_path / "again", recipe)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "index").read_bytes()


def test_the_published_tars(shared: Path, tmp_path: Path) -> None:
    recipe = recipe_of("tars", files=["PASS.0.tar", "PASS.1.tar"])
    rows = index(shared / "pass_release", tmp_path / "index", recipe)
    assert len(rows) == 8 and {row["reason"] for row in rows} == {""}
    assert {Path(row["member"]).stem for row in rows} >= {"ffd3eb12a16cb83138f26e6f36dec967"}


def test_what_a_tar_must_not_hold(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tar_of(tmp_path / "x.tar", [("a.jpg", drawing(0)), ("a.jpg", drawing(1)), ("../b.jpg", drawing(2))])
    with tarfile.open(path, "a") as tar:
        for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("null", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        for name in ("/etc/c.jpg", "d/../../e.jpg", "caf\udce9.jpg", "good.jpg"):
            info = tarfile.TarInfo(name)
            info.size = len(drawing(3))
            tar.addfile(info, io.BytesIO(drawing(3)))
    with caplog.at_level(logging.INFO):
        rows = index(tmp_path, tmp_path / "index", recipe_of("tars", files=["x.tar"]))
    assert [(row["member"], row["reason"]) for row in rows] == [
        ("a.jpg", ""),
        ("a.jpg", "repeated_name"),
        ("../b.jpg", "unsafe_name"),
        ("link", "not_a_file"),
        ("hard", "not_a_file"),
        ("null", "not_a_file"),
        ("/etc/c.jpg", "unsafe_name"),
        ("d/../../e.jpg", "unsafe_name"),
        ("caf\ufffd.jpg", "unsafe_name"),
        ("good.jpg", ""),
    ]
    assert rows[3]["detail"] == rows[4]["detail"] == "a link"
    assert "read 10, usable 2" in caplog.text


def test_links_devices_and_odd_names_in_a_folder(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", {"a/1.jpg": drawing(1)})
    elsewhere = folder_of(tmp_path / "elsewhere", {"deep/2.jpg": drawing(2)})
    (root / "b").symlink_to(elsewhere)
    (root / "a/3.jpg").symlink_to(elsewhere / "deep/2.jpg")
    (root / "a/circle").symlink_to(root)
    (root / "a/nowhere.jpg").symlink_to(root / "gone.jpg")
    os.mkfifo(root / "a/pipe.jpg")
    Path(os.fsdecode(os.fsencode(root) + b"/a/caf\xe9.jpg")).write_bytes(drawing(4))
    assert reasons(index(root, tmp_path / "index", recipe_of("folder"))) == {
        "a/1.jpg": "",
        "a/3.jpg": "",
        "a/caf\ufffd.jpg": "unsafe_name",
        "a/circle": "not_a_file",
        "a/nowhere.jpg": "not_a_file",
        "a/pipe.jpg": "not_a_file",
        "b/deep/2.jpg": "",
    }


def test_limits_are_reasons(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", {"long.jpg": drawing(0) + bytes(9000), "ok.jpg": drawing(1), "wide.png": png()})
    limits = {**LIMITS, "max_bytes": 9000, "max_pixels": 56 * 48}
    assert set(reasons(index(root, tmp_path / "index", recipe_of("folder", limits))).values()) == {"", "file_too_large"}
    (root / "long.jpg").unlink()
    folder_of(root, {"large.png": png((57, 48))})
    rows = index(root, tmp_path / "index", recipe_of("folder", limits))
    assert reasons(rows) == {"large.png": "too_many_pixels", "ok.jpg": "", "wide.png": ""}
    assert rows[0]["detail"] == "57 x 48, more than 2688 pixels"


def test_the_number_of_processes_changes_nothing(tmp_path: Path) -> None:
    contents = {f"{number % 7}/{number}.jpg": drawing(number) for number in range(150)}
    root = folder_of(tmp_path / "set", contents | {f"{number}.jpg": b"\xff\xd8\xff broken" for number in range(5)})
    for threads in (1, 2, 3):
        index(root, tmp_path / str(threads), recipe_of("folder"), threads)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes() == (tmp_path / "3").read_bytes()


def bomb(side: int) -> bytes:
    """A small PNG that takes long to decode."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side)).save(buffer, "PNG", compress_level=9)
    return buffer.getvalue()


def test_an_image_that_kills_its_process_is_one_row(tmp_path: Path) -> None:
    contents = {f"{number:03d}.png": png() for number in range(100)} | {"050.png": bomb(9000), "093.png": bomb(9000)}
    root = folder_of(tmp_path / "set", contents)
    limits = {"max_bytes": 10**7, "max_pixels": 10**8, "cpu_seconds": 0.1}
    rows = index(root, tmp_path / "index", recipe_of("folder", limits), 2)
    assert [row["container"] for row in rows] == sorted(contents)
    bad = {name: reason for name, reason in reasons(rows).items() if reason}
    assert bad == {"050.png": "decoder_timeout", "093.png": "decoder_timeout"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_one_row(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", {"1.jpg": drawing(1), "2.jpg": drawing(2)})
    (root / "1.jpg").chmod(0)
    assert reasons(index(root, tmp_path / "index", recipe_of("folder"))) == {"1.jpg": "unreadable", "2.jpg": ""}


def test_a_file_that_went_away_is_one_row(tmp_path: Path) -> None:
    limits = DecodeLimits(**LIMITS)  # type: ignore[arg-type]
    assert image_check.check_place(tmp_path, Place("gone.jpg", "", 0, 9), limits)[1] == ImageSetReason.UNREADABLE
    (tmp_path / "short.jpg").write_bytes(drawing(0)[:100])
    assert image_check.check_place(tmp_path, Place("short.jpg", "", 0, 900), limits)[1] == ImageSetReason.UNREADABLE


def test_a_set_without_images_is_one_paragraph(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", {"n01.tar": b"ustar", "b.txt": b"x"})
    with pytest.raises(UserError) as caught:
        index(root, tmp_path / "index", recipe_of("folder"))
    text = str(caught.value)
    for part in ("image set other", str(root), "2 unsupported_format, such as b.txt", "tar of tars", "image_sets"):
        assert part in text
    assert "\n" not in text and not (tmp_path / "index").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="it holds no files"):
        index(tmp_path / "empty", tmp_path / "index", recipe_of("folder"))


def test_a_missing_set_names_its_key(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder .*nowhere \(key `path` of that entry of pretrain\.image_sets\)"):
        index(tmp_path / "nowhere", tmp_path / "index", recipe_of("folder"))
    with pytest.raises(UserError, match=r"lacks .*PASS\.0\.tar \(keys `path` and `files`"):
        index(tmp_path, tmp_path / "index", recipe_of("tars", files=["PASS.0.tar"]))


@pytest.mark.parametrize("damage", ["cut in a member", "cut between members", "header", "compressed", "two archives"])
def test_a_damaged_tar_is_an_error(tmp_path: Path, damage: str) -> None:
    path = tar_of(tmp_path / "x.tar", {f"{number}.jpg": drawing(number) for number in range(4)})
    content = path.read_bytes()
    places = list(list_places(TarImages(name="other", kind="tars", path="", files=("x.tar",)), tmp_path))
    third = places[2].offset - tarfile.BLOCKSIZE  # its header
    if damage == "cut in a member":
        content = content[: places[3].offset + 10]
    elif damage == "cut between members":
        content = content[:third]
    elif damage == "header":
        content = content[: third + 20] + b"damaged" + content[third + 27 :]
    elif damage == "compressed":
        import gzip

        content = gzip.compress(content)
    else:
        content += content
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.tar of the image set other cannot be read as a tar .* fetch it again"):
        index(tmp_path, tmp_path / "index", recipe_of("tars", files=["x.tar"]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "tars", "files": ["../x.tar"]}, "not the name of a file below"),
        ({"kind": "tars", "files": ["/x.tar"]}, "not the name of a file below"),
        ({"kind": "tars", "files": ["x.tar", "x.tar"]}, "named twice"),
        ({"kind": "tars", "files": []}, "at least 1"),
        ({"kind": "folder", "name": "shards"}, "choose another name"),
    ],
)
def test_settings_that_cannot_be(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        IndexImagesSettings.model_validate_json(recipe_of(**values))


def test_the_reasons_are_explained() -> None:
    page = (ROOT / "docs/tables.md").read_text()
    assert all(f"`{reason}`" in page for reason in ImageSetReason)
    assert json.loads(recipe_of("folder"))["images"]["path"] == ""
