from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from scripts.filter.fetch_weights import copy_checked, main
from scripts.lib.errors import UserError

CONTENT = b"weights" * 300_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def run(out: Path, path: str = "", url: str = "", sha256: str = SHA256) -> None:
    main(["--detector", "yolo9", "--path", path, "--url", url, "--sha256", sha256, "--out", str(out)])


@pytest.mark.parametrize("digits", [64, 63, 8])
def test_a_local_file_is_copied_when_its_leading_digits_agree(tmp_path: Path, digits: int):
    source = tmp_path / "in put.pth"
    source.write_bytes(CONTENT)
    run(tmp_path / "out" / "yolo9.weights", str(source), sha256=SHA256[:digits])
    assert (tmp_path / "out" / "yolo9.weights").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["yolo9.weights"]


def test_a_missing_file_says_who_where_and_which(tmp_path: Path):
    with pytest.raises(UserError) as caught:
        run(tmp_path / "out", "data/absent.pth")
    text = str(caught.value)
    assert "detector yolo9" in text
    assert "data/absent.pth" in text
    assert str(Path("data/absent.pth").absolute()) in text
    assert SHA256 in text
    assert "\n" not in text
    with pytest.raises(UserError, match=r"abcdef01\.\.\. \(its first 8 digits\)"):
        run(tmp_path / "out", "data/absent.pth", sha256="abcdef01")


def test_another_file_is_refused_and_what_was_there_stays(tmp_path: Path):
    source = tmp_path / "weights.pth"
    source.write_bytes(CONTENT + b"!")
    out = tmp_path / "out.weights"
    out.write_bytes(b"before")
    with pytest.raises(UserError) as caught:
        run(out, str(source))
    assert SHA256 in str(caught.value)
    assert hashlib.sha256(CONTENT + b"!").hexdigest() in str(caught.value)
    assert out.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.weights", "weights.pth"]


def test_a_folder_is_no_weights_file(tmp_path: Path):
    with pytest.raises(UserError, match="expected a file"):
        copy_checked("yolo9", tmp_path, tmp_path / "out", SHA256)


def test_exactly_one_of_path_and_address(tmp_path: Path):
    for path, url in (("", ""), ("a", "https://example.org/a")):
        with pytest.raises(UserError, match="exactly one"):
            run(tmp_path / "out", path, url)


def test_an_address_in_a_private_network_is_refused_without_a_request(tmp_path: Path):
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(CONTENT)

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with pytest.raises(UserError, match=r"weights of the detector yolo9 .*weights\.path"):
            run(tmp_path / "out", url=f"http://127.0.0.1:{server.server_address[1]}/w.pth")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert seen == []
    assert not (tmp_path / "out").exists()
