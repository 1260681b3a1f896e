"""A part with pictures for the tests of review and audit."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from scripts.lib.files import table_of, write_table
from scripts.lib.tables import CANDIDATES, DETECTIONS, DOWNLOADS, SELECTION, VERDICTS
from scripts.lib.tars import TarWriter
from tests.filter.made import candidate, detection, download, picture, row, save, verdict

PAGE = {
    "images_per_page": 50,
    "thumbnail": 64,
    "jpeg_quality": 80,
    "person": ["a person <b>", "a mirror"],
    "also_drop": ["a licence plate"],
    "keep": ["a statue & a doll"],
}
HOSTILE = (
    "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202eevil\u202c\x1b[31m\nline\ttwo =cmd|'/c'"
)


def jpeg(name: str, height: int = 60, width: int = 90, **options: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(picture(name, height, width)).save(target, "JPEG", quality=90, **options)
    return target.getvalue()


def write_tar(folder: Path, part: str, files: Mapping[str, bytes]) -> tuple[Path, Path]:
    """Write <part>.tar and <part>.parquet and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    with TarWriter(folder / f"{part}.tar") as tar:
        for image_id in sorted(files):
            member = tar.add(f"{image_id}.jpg", files[image_id])
            place = {"member": member.name, "offset": member.offset, "size": member.size}
            rows.append(download(image_id, sha256=hashlib.sha256(files[image_id]).hexdigest(), **place))
    save(folder / f"{part}.parquet", rows, DOWNLOADS)
    return folder / f"{part}.tar", folder / f"{part}.parquet"


def selected(image_id: str, reason: str = "", part: str = "0", **values: Any) -> dict[str, Any]:
    given = {"source": "made", "file": "made-000", "part": part, "keep": reason == "", "reason": reason}
    return row(SELECTION, image_id=image_id, **{**given, **values})


class Part:
    """The inputs of `write_review_page`; images await review until a test says otherwise."""

    def __init__(self, folder: Path, files: Mapping[str, bytes]) -> None:
        self.folder = folder
        self.files = dict(files)
        self.reasons = dict.fromkeys(files, "awaits_review")
        self.titles: dict[str, str] = {}
        self.boxes: dict[str, list[dict[str, float]]] = {}
        self.kept: list[str] = []
        self.human = ""
        self.of = ["awaits_review"]
        self.page: dict[str, Any] = dict(PAGE)
        self.pages = 1

    def arguments(self) -> list[str]:
        folder = self.folder
        tar, status = write_tar(folder, "0", self.files)
        names = sorted(self.reasons)
        candidates = [
            candidate(name, row=index, title=self.titles.get(name, f"Title {name}"), creator=f"Maker {name}")
            for index, name in enumerate(names)
        ]
        judged = [
            verdict(name, self.reasons[name], row=index, evidence=f"nanodet 0.4 for {name}")
            for index, name in enumerate(names)
        ]
        (folder / "human.csv").write_text("image_id,verdict,reviewer\n" + self.human)
        write_table(folder / "select.parquet", table_of([selected(name) for name in self.kept], SELECTION))
        found = [detection(name, boxes=self.boxes.get(name, [])) for name in names]
        recipe = {"title": "Made", "review": {"of": self.of, "pages_per_part": self.pages}, "page": self.page}
        return [
            *("--recipe", json.dumps(recipe), "--part", "0"),
            *("--candidates", save(folder / "made-000.parquet", [*candidates, candidate("x", "1")], CANDIDATES)),
            *("--verdicts", save(folder / "judged.parquet", judged, VERDICTS)),
            f"--selection={folder / 'select.parquet' if 'kept' in self.of else ''}",
            *("--human", str(folder / "human.csv"), "--tar", str(tar), "--status", str(status)),
            *("--faces", save(folder / "centerface" / "0.parquet", found, DETECTIONS)),
            *("--people", save(folder / "hog" / "0.parquet", [detection(name) for name in names], DETECTIONS)),
            *("--pages", *(str(folder / f"0-{number}.html") for number in range(1, self.pages + 1))),
            *("--account", str(folder / "0.json")),
        ]


def data_of(page: Path) -> dict[str, Any]:
    """Return the values inside a page."""
    text = page.read_text(encoding="utf-8")
    start = text.index('id="data">') + len('id="data">')
    found: dict[str, Any] = json.loads(text[start : text.index("</script>", start)])
    return found
