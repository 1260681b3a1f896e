from __future__ import annotations

import io
import logging
import os
import shutil
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from scripts.lib.reasons import ImageSetReason
from scripts.pretrain import image_check
from scripts.pretrain.image_sets import Place
from scripts.pretrain.settings_images import DecodeLimits
from tests.pretrain.indexed import index, reasons
from tests.pretrain.made import drawing
from tests.pretrain.made_images import LIMITS, folder_of, recipe_of, tar_of


def png(size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 10, 10)).save(buffer, "PNG")
    return buffer.getvalue()


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
