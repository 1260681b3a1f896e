from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from scripts.filter.torch_weights import read_state_dict
from scripts.lib.errors import UserError


class TouchOnLoad:
    """What a hostile file does: unpickling it calls a function."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_file_that_runs_code_is_refused_and_does_not_run(tmp_path: Path):
    mark = tmp_path / "ran"
    torch.save({"weight": TouchOnLoad(mark)}, tmp_path / "hostile.pth")
    with pytest.raises(UserError, match="weights_only=True"):
        read_state_dict(tmp_path / "hostile.pth")
    assert not mark.exists()
    torch.load(tmp_path / "hostile.pth", weights_only=False)  # the file would have done it
    assert mark.exists()


def test_prefix_and_wrapping_are_taken_off(tmp_path: Path):
    state = {"module.a": torch.ones(2), "module.b": torch.zeros(1)}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "a.pth")
    assert list(read_state_dict(tmp_path / "a.pth")) == ["a", "b"]
    torch.save({**state, "c": torch.ones(1)}, tmp_path / "b.pth")
    assert list(read_state_dict(tmp_path / "b.pth")) == ["module.a", "module.b", "c"]
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert list(read_state_dict(tmp_path / "old.pth")) == ["a", "b"]


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_state_dict_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.pth"):
        read_state_dict(tmp_path / "bad.pth")


def test_a_zip_of_several_files_and_a_tensor_alone_are_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("b", b"2")
    with pytest.raises(UserError, match=r"two\.zip"):
        read_state_dict(tmp_path / "two.zip")
    torch.save(torch.ones(2), tmp_path / "tensor.pth")
    with pytest.raises(UserError, match="holds Tensor"):
        read_state_dict(tmp_path / "tensor.pth")
    with pytest.raises(UserError, match="absent"):
        read_state_dict(tmp_path / "absent.pth")
