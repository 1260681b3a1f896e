"""Photos that lie on this machine: in folders and tars, or made here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.curate.settings import (
    FolderSource,
    FolderStore,
    FractalSource,
    HttpStore,
    TarStore,
)
from scripts.lib.errors import UserError
from scripts.lib.tars import TarWriter
from tests.curate.download_run import POLICY, Run, candidates, yfcc
from tests.curate.photo_server import PHOTO, PhotoServer, jpeg


def test_local_stores_and_server_in_the_order_of_the_config(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    (tmp_path / "layout" / "abc" / "def").mkdir(parents=True)
    (tmp_path / "layout" / "abc" / "def" / "abcdef01.jpg").write_bytes(jpeg(1))
    with TarWriter(tmp_path / "store.tar") as tar:
        tar.add("abcdef01.jpg", jpeg(2))
        tar.add("abcdef02.jpg", jpeg(2))
    source = yfcc(FolderStore(folder=""), TarStore(tar=""), HttpStore(url=server.base + "/{key:3}/{key:3:6}/{key}"))
    table = candidates(tmp_path / "c.parquet", [(f"abcdef0{index}", "") for index in (1, 2, 3)])
    rows = run([table], source, stores=[f"photos={tmp_path}/layout", f"photos={tmp_path}/store.tar"])
    assert [row["address"] for row in rows] == [
        "folder:abc/def/abcdef01.jpg",
        "tar:abcdef02.jpg",
        f"{server.base}/abc/def/abcdef03",
    ]


def test_folder_source_reads_regular_files_below_it_only(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    (root / "in").mkdir(parents=True)
    (root / "in" / "a.jpg").write_bytes(PHOTO)
    (root / "page.jpg").write_bytes(b"<html>gone</html>")
    (root / "big.jpg").write_bytes(bytes(POLICY.max_bytes + 1))
    (root / "link.jpg").symlink_to("/etc/passwd")
    (root / "way").symlink_to(root / "in")
    (tmp_path / "outside.jpg").write_bytes(PHOTO)
    os.mkfifo(root / "pipe.jpg")
    wanted = {
        "in/a.jpg": "",
        "in/none.jpg": "not_found",
        "in/a.jpg/b.jpg": "not_found",
        "page.jpg": "not_an_image",
        "in": "not_an_image",
        "big.jpg": "too_large",
        "link.jpg": "address_refused",
        "way/a.jpg": "address_refused",
        "../outside.jpg": "address_refused",
        str(tmp_path / "outside.jpg"): "address_refused",
        "in/./a.jpg": "address_refused",
        "pipe.jpg": "not_an_image",
    }
    source = FolderSource(name="photos", kind="folder", path="", table=None, licence="CC0-1.0", creator=None)
    table = candidates(tmp_path / "c.parquet", [(f"i{index:02d}", path) for index, path in enumerate(wanted)])
    rows = run([table], source, stores=[f"photos={root}"])
    assert [row["reason"] for row in rows] == list(wanted.values())
    assert str(tmp_path) not in "".join(row["detail"] for row in rows)


def test_fractals_are_generated(run: Run, tmp_path: Path) -> None:
    source = FractalSource(
        name="fractals", kind="fractal", classes=2, images_per_class=1, image_size=32, iterations=2000, seed=1
    )
    rows = run([candidates(tmp_path / "c.parquet", [("f0", "0/0"), ("f1", "1/0")], "fractals")], source)
    assert [row["reason"] for row in rows] == ["", ""]
    assert rows[0]["address"] == "fractal:0/0"


@pytest.mark.parametrize(
    ("stores", "text"),
    [(["photos=/nowhere.tar"], "/nowhere.tar is not there"), (["photos"], "takes source=path"), ([""], "fewer paths")],
)
def test_missing_local_stores_say_so(run: Run, tmp_path: Path, stores: list[str], text: str) -> None:
    table = candidates(tmp_path / "c.parquet", [("a", "")])
    with pytest.raises(UserError, match=text):
        run([table], yfcc(TarStore(tar="")), stores=stores)


def test_broken_tar_store_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "store.tar").write_bytes(b"x" * 5000)
    table = candidates(tmp_path / "c.parquet", [("a", "")])
    with pytest.raises(UserError, match="not a plain tar"):
        run([table], yfcc(TarStore(tar="")), stores=[f"photos={tmp_path}/store.tar"])
