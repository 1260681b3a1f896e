"""`download` against a server in this process, local stores and killed predecessors."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import pytest

from scripts.curate.settings import (
    HttpStore,
    TarStore,
)
from scripts.lib.errors import UserError
from scripts.lib.tars import TarReader, TarWriter
from tests.curate.download_run import Run, candidates, yfcc
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


def test_no_candidates_give_an_empty_tar(run: Run, tmp_path: Path) -> None:
    table = candidates(tmp_path / "c.parquet", [("a", "")], part="1")
    assert run([table], yfcc(TarStore(tar=""))) == []
    assert run.tar.read_bytes() == bytes(10240)


def test_unknown_field_in_a_store_address(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    table = candidates(tmp_path / "c.parquet", [("a", "")])
    with pytest.raises(UserError, match=r"has a field \{photo\}"):
        run([table], yfcc(HttpStore(url=server.base + "/{photo}")))


def test_unsafe_image_id_is_refused(run: Run, tmp_path: Path) -> None:
    table = candidates(tmp_path / "c.parquet", [("../../x", "")])
    with pytest.raises(UserError, match="expected letters and digits"):
        run([table], yfcc(TarStore(tar="")))
