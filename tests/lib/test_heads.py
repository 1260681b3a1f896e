from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from scripts.lib.described_weights import save_weights
from scripts.lib.errors import UserError
from scripts.lib.heads import NormedLinear, describe_head, load_head, save_head


def rows(count: int = 5, width: int = 6) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(0))


def every_kind() -> nn.Sequential:
    torch.manual_seed(0)
    head = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 7, bias=False), nn.GELU(), NormedLinear(7, 3)
    )
    head.train()(rows(20))  # running statistics of its own
    return head


def test_a_head_is_built_again_from_its_file_alone(tmp_path: Path) -> None:
    head = every_kind()
    save_head(tmp_path / "head.safetensors", head, {"run": "r"})
    before = torch.get_rng_state()
    loaded, description = load_head(tmp_path / "head.safetensors")
    assert torch.equal(torch.get_rng_state(), before)
    assert not loaded.training and torch.equal(loaded(rows()), head.eval()(rows()))
    assert description["run"] == "r"
    assert [layer["kind"] for layer in description["layers"]] == [
        "linear", "batch_norm", "relu", "linear", "gelu", "normed_linear",
    ]  # fmt: skip
    assert description["layers"][3] == {"kind": "linear", "inputs": 8, "outputs": 7, "bias": False}
    save_head(tmp_path / "again.safetensors", loaded, {"run": "r"})
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "head.safetensors").read_bytes()
    assert set(load_file(tmp_path / "head.safetensors")) == set(head.state_dict())


def test_synchronised_statistics_are_ordinary_ones_in_the_file() -> None:
    assert describe_head(nn.Sequential(nn.SyncBatchNorm(4))) == describe_head(nn.Sequential(nn.BatchNorm1d(4)))


@pytest.mark.parametrize("layer", [nn.Dropout(), nn.Sequential(nn.ReLU()), nn.GELU(approximate="tanh")])
def test_a_layer_of_another_kind_is_refused_when_it_is_saved(layer: nn.Module) -> None:
    with pytest.raises(TypeError, match="a head cannot hold"):
        describe_head(nn.Sequential(layer))


@pytest.mark.parametrize(
    "layers",
    [
        [{"kind": "tanh"}],
        [{"kind": "linear", "inputs": 6, "outputs": 8}],
        [{"kind": "linear", "inputs": 6, "outputs": 9, "bias": True}],  # other shapes than the tensors
        [],
        3,
    ],
)
def test_a_description_that_does_not_fit_is_one_paragraph(tmp_path: Path, layers: object) -> None:
    save_weights(tmp_path / "head", nn.Sequential(nn.Linear(6, 8)), {"layers": layers})
    with pytest.raises(UserError, match="is not a projection head of this project"):
        load_head(tmp_path / "head")


def test_an_encoder_is_no_head(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not weights")
    for path in (tmp_path / "text", tmp_path / "absent"):
        with pytest.raises(UserError, match="make it again with the rule `train`"):
            load_head(path)
