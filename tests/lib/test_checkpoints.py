from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from scripts.lib.checkpoints import (
    LAST,
    PREVIOUS,
    content_digest,
    load_checkpoint,
    remove_checkpoints,
    save_checkpoint,
)


def state(step: int) -> dict[str, object]:
    return {
        "step": step,
        "module": {"w": torch.full((3, 2), float(step)), "n": torch.tensor(step)},
        "rows": [["1", "2"]],
    }


def test_newest_whole_one_with_the_key_is_loaded(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path, "key") is None
    save_checkpoint(tmp_path, "key", state(1))
    save_checkpoint(tmp_path, "key", state(2))
    loaded = load_checkpoint(tmp_path, "key")
    assert loaded is not None and loaded["step"] == 2 and torch.equal(loaded["module"]["w"], torch.full((3, 2), 2.0))
    assert torch.load(tmp_path / PREVIOUS, weights_only=True)["state"]["step"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [PREVIOUS, LAST]
    remove_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_damaged_one_gives_way_to_the_one_before(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    save_checkpoint(tmp_path, "key", state(1))
    save_checkpoint(tmp_path, "key", state(2))
    path = tmp_path / LAST
    content = bytearray(path.read_bytes())
    if damage == "flip":
        place = content.index(torch.full((3, 2), 2.0).numpy().tobytes())
        content[place] ^= 1
    new = {"cut": content[: len(content) // 2], "flip": content, "empty": b"", "text": b"hello"}[damage]
    path.write_bytes(bytes(new))
    with caplog.at_level(logging.WARNING):
        loaded = load_checkpoint(tmp_path, "key")
    assert loaded is not None and loaded["step"] == 1
    assert "damaged" in caplog.text
    assert (tmp_path / f"{LAST}.damaged").exists() and not path.exists()


def test_killed_between_the_two_renames(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "key", state(1))
    (tmp_path / LAST).rename(tmp_path / PREVIOUS)
    loaded = load_checkpoint(tmp_path, "key")
    assert loaded is not None and loaded["step"] == 1


def test_another_key_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_checkpoint(tmp_path, "a" * 64, state(1))
    save_checkpoint(tmp_path, "a" * 64, state(2))
    with caplog.at_level(logging.WARNING):
        assert load_checkpoint(tmp_path, "b" * 64) is None
    assert "belongs to other settings, code, images or torch" in caplog.text
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"{PREVIOUS}.{'a' * 12}.set-aside", f"{LAST}.{'a' * 12}.set-aside"]


def test_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("never",)

    torch.save({"key": "key", "digest": "", "state": Runs()}, tmp_path / LAST)
    assert load_checkpoint(tmp_path, "key") is None
    assert (tmp_path / f"{LAST}.damaged").exists()


def test_digest_sees_every_bit_and_no_layout() -> None:
    first = state(1)
    assert content_digest(first) == content_digest(state(1)) != content_digest(state(2))
    image = torch.arange(24.0).view(1, 2, 3, 4)
    assert content_digest(image) == content_digest(image.contiguous(memory_format=torch.channels_last))
    assert content_digest(image) != content_digest(image.view(1, 2, 4, 3))
    assert content_digest([1, "1"]) != content_digest(["1", 1])
    for dtype in (torch.bfloat16, torch.bool, torch.int64):
        assert content_digest(torch.ones(3, dtype=dtype)) != content_digest(torch.zeros(3, dtype=dtype))


def test_digests_that_the_caller_has_are_not_taken_again(tmp_path: Path) -> None:
    digests = {"module": content_digest(state(1)["module"])}
    save_checkpoint(tmp_path, "key", state(1), digests)
    given = torch.load(tmp_path / LAST, weights_only=True)["digest"]
    save_checkpoint(tmp_path, "key", state(1))
    assert torch.load(tmp_path / LAST, weights_only=True)["digest"] == given
    save_checkpoint(tmp_path, "key", state(2), digests)  # of another state
    loaded = load_checkpoint(tmp_path, "key")
    assert loaded is not None and loaded["step"] == 1
