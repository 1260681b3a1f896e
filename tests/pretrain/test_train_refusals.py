"""What `train` cannot do is one paragraph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from scripts.lib.errors import UserError
from scripts.pretrain.train import load_run, main
from tests.pretrain.made import flags, make_shards, recipe
from tests.pretrain.test_train import IMAGES, Shards


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return make_shards(tmp_path_factory.mktemp("shards"), IMAGES)


def test_too_few_images(tmp_path: Path) -> None:
    shards = make_shards(tmp_path, 5)
    text = r"run tiny has 5 images \(shards\), fewer than one batch: lower .*batch_size \(now 8\)"
    with pytest.raises(UserError, match=text):
        main(flags(shards, tmp_path / "out", recipe()))
    assert not (tmp_path / "out").exists()


def test_half_precision_needs_a_gpu(shards: Shards, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match="precision fp16, which needs a GPU"):
        main(flags(shards, tmp_path, recipe(precision="fp16")))


@pytest.mark.parametrize("threads", [1, 2])
def test_damaged_shard_is_one_paragraph(tmp_path: Path, threads: int) -> None:
    """Also when it is a loader process that meets it."""
    tars, indexes = make_shards(tmp_path / "shards", 16, count=1)
    tars[0].write_bytes(b"\0" * tars[0].stat().st_size)
    with pytest.raises(UserError) as caught:
        main(flags((tars, indexes), tmp_path / "out", recipe(), threads))
    assert str(caught.value).startswith("image ") and "Traceback" not in str(caught.value)
    assert "Remake it" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"run":{"method":"nothing"}}', '{"run":{"method":"../x"}}', '{"run":{"method":3}}']
)
def test_recipe_without_a_method(text: str) -> None:
    with pytest.raises(UserError, match="names no method"):
        load_run(text)


def test_recipe_with_an_unknown_key() -> None:
    wrong = json.loads(recipe())
    wrong["run"]["momentum"] = 0.9
    with pytest.raises(UserError, match=r"run\.momentum: unknown key"):
        load_run(json.dumps(wrong))


def test_flags_of_the_other_kind_of_images(shards: Shards, tmp_path: Path) -> None:
    for text, more in ((recipe(), ["--root", str(tmp_path)]), (recipe(images="other"), [])):
        with pytest.raises(UserError, match="shards need --shards and --indexes, an image set needs --root"):
            main([*flags(shards, tmp_path / "out", text), *more])
