"""`download` against a server in this process, local stores and killed predecessors."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tarfile
from pathlib import Path

import pytest

from scripts.curate.answers import retry_after
from scripts.curate.content import text_kind
from scripts.curate.settings import (
    FolderSource,
    FolderStore,
    FractalSource,
    HttpStore,
    TarStore,
)
from scripts.curate.spool import Spool
from scripts.curate.stores import Candidate, Outcome, fill_address
from scripts.lib.errors import UserError
from scripts.lib.tars import TarReader, TarWriter
from tests.curate.download_run import POLICY, Run, candidates, yfcc
from tests.curate.photo_server import PHOTO, PhotoServer, jpeg, own_photo, photo_server

EXPECTED = {
    "photo": "",
    "moved": "",
    "busy": "",
    "flaky": "",
    "otherbot": "",
    "noai": "opted_out_ai",
    "noml": "opted_out_ai",
    "tonoai": "opted_out_ai",
    "tdm": "opted_out_tdm",
    "teapot": "download_failed",
    "reset": "download_failed",
    "gone": "not_found",
    "xml": "not_an_image",
    "missing": "not_found",
    "forbidden": "not_found",
    "html": "not_an_image",
    "json": "not_an_image",
    "gzip": "not_an_image",
    "error": "download_failed",
    "loop": "download_failed",
    "drip": "download_failed",
    "placeholder": "placeholder",
    "empty": "incomplete",
    "short": "incomplete",
    "endless": "too_large",
    "announced": "too_large",
    "tofile": "address_refused",
}


def test_every_answer_has_its_reason(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    images = [(name, f"{server.base}/{name}") for name in EXPECTED]
    images += [("scheme", "file:///etc/passwd"), ("nothing", "")]
    table = candidates(tmp_path / "c.parquet", images)
    rows = run([table], yfcc(HttpStore(url="{download_url}")), timeout_seconds=3.0)
    assert {row["image_id"]: row["reason"] for row in rows} == EXPECTED | {
        "scheme": "address_refused",
        "nothing": "address_refused",
    }
    assert [row["image_id"] for row in rows] == sorted(row["image_id"] for row in rows)
    with tarfile.open(run.tar) as tar:
        assert tar.getnames() == ["busy.jpg", "flaky.jpg", "moved.jpg", "otherbot.jpg", "photo.jpg"]
    with TarReader(run.tar) as reader:
        for row in rows:
            if row["reason"] == "":
                content = reader.read(row["offset"], row["size"])
                own = row["image_id"] in ("busy", "flaky", "otherbot")
                assert content == (own_photo(f"/{row['image_id']}") if own else PHOTO)
                assert hashlib.sha256(content).hexdigest() == row["sha256"]
    assert {row["image_id"]: row["address"] for row in rows}["moved"] == f"{server.base}/photo-moved"


def test_retry_after_is_obeyed(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    table = candidates(tmp_path / "c.parquet", [("busy", f"{server.base}/busy")])
    assert run([table], yfcc(HttpStore(url="{download_url}")))[0]["reason"] == ""
    first, second = server.times("/busy")
    assert second - first >= 1.0  # the server asked for one second, the back-off alone is 0.01


def test_failures_are_tried_again_and_refusals_are_not(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    images = [(name, f"{server.base}/{name}") for name in ("error", "short", "missing", "html")]
    run([candidates(tmp_path / "c.parquet", images)], yfcc(HttpStore(url="{download_url}")))
    counts = {name: len(server.times(f"/{name}")) for name, _ in images}
    assert counts == {"error": 3, "short": 3, "missing": 1, "html": 1}


def test_next_store_is_asked_only_when_the_first_is_sure(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    images = [
        ("missing", f"{server.base}/photo"),
        ("error", f"{server.base}/photo"),
        ("html", f"{server.base}/missing"),
    ]
    source = yfcc(HttpStore(url=server.base + "/{key}"), HttpStore(url="{download_url}"))
    rows = run([candidates(tmp_path / "c.parquet", images)], source)
    assert {row["image_id"]: row["reason"] for row in rows} == {
        "missing": "",
        "error": "download_failed",  # its answer says nothing about the photo
        "html": "not_found",  # the last store's reason
    }


def test_unreachable_server_fails_the_job_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    with photo_server() as closed:
        base = closed.base
    table = candidates(tmp_path / "c.parquet", [("a", f"{base}/a"), ("b", f"{base}/b")])
    with pytest.raises(UserError, match=rf"2 of 2 photos of partition 0 .*{base.removeprefix('http://')}"):
        run([table], yfcc(HttpStore(url="{download_url}")))
    assert not run.tar.exists()
    assert not run.status.exists()


def test_small_share_of_unreachable_servers_is_rows(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    with photo_server() as closed:
        base = closed.base
    images = [("a", f"{base}/a"), ("b", f"{server.base}/b"), ("c", f"{server.base}/c"), ("d", "http://no.invalid/d")]
    rows = run([candidates(tmp_path / "c.parquet", images)], yfcc(HttpStore(url="{download_url}")))
    assert [row["reason"] for row in rows] == ["download_failed", "", "", "download_failed"]


def test_hopeless_partition_stops_early(run: Run, tmp_path: Path) -> None:
    with photo_server() as closed:
        base = closed.base
    table = candidates(tmp_path / "c.parquet", [(f"i{index:04d}", f"{base}/{index}") for index in range(400)])
    with pytest.raises(UserError, match=r"(8[1-9]|9\d) of 400 photos.*gave no good answer for 0.3 s"):
        run([table], yfcc(HttpStore(url="{download_url}")), patience_seconds=0.3, max_failed_share=0.2)


def test_same_bytes_whatever_the_number_of_connections(server: PhotoServer, tmp_path: Path) -> None:
    images = [(name, f"{server.base}/{name}") for name in ("photo", "missing", "html", "moved", "short")]
    images += [(f"p{index}", f"{server.base}/photo-{index}") for index in range(20)]
    table = candidates(tmp_path / "c.parquet", images)
    results = []
    for connections in (1, 8):
        run = Run(tmp_path / str(connections))
        run([table], yfcc(HttpStore(url="{download_url}")), connections=connections)
        results.append((run.tar.read_bytes(), run.status.read_bytes()))
    assert results[0] == results[1]


def test_repeated_ids_and_order_of_sources(run: Run, tmp_path: Path) -> None:
    for name in ("one", "two"):
        with TarWriter(tmp_path / f"{name}.tar") as tar:
            tar.add("deep/aa.jpg", jpeg(1 if name == "one" else 2))
            tar.add("bb.jpg", jpeg(3))
    tables = [
        candidates(tmp_path / "two.parquet", [("aa", "")], "two"),
        candidates(tmp_path / "one.parquet", [("aa", ""), ("bb", ""), ("aa", ""), ("cc", "")], "one"),
        candidates(tmp_path / "other.parquet", [("dd", "")], "one", part="1"),
    ]
    sources = [yfcc(TarStore(tar=""), name=name) for name in ("one", "two")]
    stores = [f"{name}={tmp_path}/{name}.tar" for name in ("one", "two")]
    rows = run(tables, *sources, stores=stores)
    assert [(row["image_id"], row["source"], row["row"], row["reason"]) for row in rows] == [
        ("aa", "one", 1, ""),
        ("aa", "one", 3, "repeated_id"),
        ("aa", "two", 1, "repeated_id"),
        ("bb", "one", 2, ""),
        ("cc", "one", 4, "not_found"),
    ]
    assert rows[0]["address"] == "tar:deep/aa.jpg"
    assert rows[0]["sha256"] == hashlib.sha256(jpeg(1)).hexdigest()
    assert rows[2]["detail"] == "the same image as row 1 of one-000"


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


def test_no_candidates_give_an_empty_tar(run: Run, tmp_path: Path) -> None:
    table = candidates(tmp_path / "c.parquet", [("a", "")], part="1")
    assert run([table], yfcc(TarStore(tar=""))) == []
    assert run.tar.read_bytes() == bytes(10240)


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


def test_unknown_field_in_a_store_address(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    table = candidates(tmp_path / "c.parquet", [("a", "")])
    with pytest.raises(UserError, match=r"has a field \{photo\}"):
        run([table], yfcc(HttpStore(url=server.base + "/{photo}")))


def test_unsafe_image_id_is_refused(run: Run, tmp_path: Path) -> None:
    table = candidates(tmp_path / "c.parquet", [("../../x", "")])
    with pytest.raises(UserError, match="expected letters and digits"):
        run([table], yfcc(TarStore(tar="")))


def test_killed_download_goes_on_from_its_spool(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    """The first process settles what it can reach and dies of the rest; the second fetches the rest alone."""
    with photo_server() as closed:
        base = closed.base
    images = [("a", f"{server.base}/photo-a"), ("b", f"{server.base}/missing-b"), ("c", f"{base}/c")]
    table = candidates(tmp_path / "c.parquet", images)
    source = yfcc(HttpStore(url="{download_url}"))
    with pytest.raises(UserError, match="1 of 3"):
        run([table], source, max_failed_share=0.1)
    journal = run.tar.with_name("0.tar.spool") / "journal"
    with journal.open("ab") as handle:
        handle.write(b'{"key": "half a li')
    with (journal.parent / "bytes").open("ab") as handle:
        handle.write(b"bytes without a line")
    with pytest.raises(UserError, match="1 of 3"):
        run([table], source, max_failed_share=0.1)
    assert len(server.times("/photo-a")) == len(server.times("/missing-b")) == 1
    # Another recipe (here: another share) starts anew.
    rows = run([table], source, max_failed_share=0.9)
    assert [row["reason"] for row in rows] == ["", "not_found", "download_failed"]
    assert len(server.times("/photo-a")) == 2


def test_spool_drops_entries_whose_bytes_are_damaged(tmp_path: Path) -> None:
    first, second = Candidate("a", "s", "", ""), Candidate("b", "s", "", "")
    with Spool(tmp_path / "spool", "recipe") as spool:
        spool.add(first, Outcome("", content=b"first"))
        spool.add(second, Outcome("", content=b"second"))
    with (tmp_path / "spool" / "bytes").open("r+b") as handle:
        handle.seek(7)
        handle.write(b"X")
    with Spool(tmp_path / "spool", "recipe") as spool:
        kept = spool.get(first)
        assert kept is not None
        assert spool.read(kept) == b"first"
        assert spool.get(second) is None
        again = spool.add(second, Outcome("", content=b"second"))
        assert (again.offset, spool.read(again)) == (5, b"second")


def test_spool_is_for_one_process(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", "recipe"):
        with (tmp_path / "spool" / "journal").open("ab") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(UserError, match="another process"):
            Spool(tmp_path / "spool", "recipe")


def test_fill_address() -> None:
    photo = Candidate("b66a26f0429984976a496a44812eb6", "s", "", "http://farm1.staticflickr.com/59/1_2.jpg")
    template = "https://host/data/images/{key:3}/{key:3:6}/{key}.jpg"
    assert fill_address(template, photo) == "https://host/data/images/b66/a26/b66a26f0429984976a496a44812eb6.jpg"
    assert fill_address("{download_url}", photo) == photo.download_url


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("", 0.0),
    ],
)
def test_retry_after(text: str, seconds: float) -> None:
    assert retry_after({"Retry-After": text} if text else {}, now=10.0) == seconds


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\n  <!DOCTYPE html><p>", "HTML"),
        (b"<p>not found</p>", "HTML"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>", "XML"),
        (b"<svg onload=alert(1)>\x01", "XML"),
        (b'[{"a": 1}]', "JSON"),
        (b"404", "text"),
        ("Größe".encode(), "text"),
        (b"x" * 1023 + "ä".encode() * 9, "text"),  # the probe ends inside a character
        (b"\xff\xd8\xff<html>", ""),
        (b"GIF89a\x01\x00", ""),
        (b"BM\x00\x00", ""),
        (bytes(range(256)), ""),
    ],
)
def test_text_kind(content: bytes, kind: str) -> None:
    assert text_kind(content) == kind
