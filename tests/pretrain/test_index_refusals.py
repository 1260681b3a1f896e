"""When `index_images` writes nothing: sets that are empty, missing or damaged, settings that cannot be."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from scripts.lib.errors import UserError
from scripts.lib.reasons import ImageSetReason
from scripts.pretrain.image_sets import list_places
from scripts.pretrain.settings_images import IndexImagesSettings, TarImages
from tests.conftest import ROOT
from tests.pretrain.indexed import index
from tests.pretrain.made import drawing
from tests.pretrain.made_images import folder_of, recipe_of, tar_of


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
