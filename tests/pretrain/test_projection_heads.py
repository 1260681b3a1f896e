"""Each method's head leaves with its encoder, and is what the method computes its loss on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from scripts.lib.encoders import feature_dim, load_encoder
from scripts.lib.heads import load_head
from scripts.pretrain.train import load_run, main
from tests.pretrain import made, made_multicrop

RECIPES: dict[str, Callable[..., str]] = {
    **dict.fromkeys(made.RUNS, made.recipe),
    **dict.fromkeys(made_multicrop.RUNS, made_multicrop.recipe),
}
WIDTHS = {"moco_v2": 16, "moco_v2_cld": 16, "simclr": 16, "swav": 16, "dino": 16}
# From images to what the method scales to length 1.
PROJECTED: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "moco_v2": lambda method, images: method.f_q(images),
    "moco_v2_cld": lambda method, images: method.f_q(images),
    "simclr": lambda method, images: method.g(method.f(images)),
    "swav": lambda method, images: method.head(method.backbone(images)),
    "dino": lambda method, images: method.teacher[1].mlp(method.teacher[0](images)),
}


@pytest.mark.parametrize("method", sorted(RECIPES))
def test_train_leaves_the_head_of_its_encoder(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = RECIPES[method](method, epochs=2)
    run, module = load_run(text)
    built = module.build_method(run)
    monkeypatch.setattr(module, "build_method", lambda run: built)  # to look at what was trained
    main(made.flags(made.make_shards(tmp_path / "shards", 8), tmp_path, text))
    encoder, about = load_encoder(tmp_path / "encoder.safetensors")
    head, described = load_head(tmp_path / "head.safetensors")
    assert {name: value for name, value in described.items() if name != "layers"} == about
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found, expected = head(encoder(images)), PROJECTED[method](built.eval(), images)
    assert found.shape == (3, WIDTHS[method]) and described["layers"][0]["inputs"] == feature_dim(run.encoder)
    assert torch.allclose(found, expected, atol=1e-5, rtol=1e-5)
    assert float(found.std()) > 0
