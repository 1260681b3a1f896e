from __future__ import annotations

import socket
from pathlib import Path

import pytest

from scripts.pretrain.cost import Cost, device_name
from scripts.pretrain.run_cost import RunCost
from scripts.pretrain.train import main
from tests.pretrain.made import flags, make_shards, recipe


def test_sessions_add_up_by_device() -> None:
    first = Cost("GPU a", processes=8)
    first.restore({"seconds": {"8 x GPU a": 1000.0, "1 x b, 2 x c": 100.0}, "sessions": 2})
    total = first.total(640, {"torch": "1", "python": "3"})
    assert [(each.device, each.processes) for each in total.devices] == [("b, 2 x c", 1), ("GPU a", 8)]
    seconds = {each.device: each.wall_seconds for each in total.devices}
    assert seconds["b, 2 x c"] == 100 and 1000 <= seconds["GPU a"] < 1010
    assert total.device_hours == pytest.approx((8 * seconds["GPU a"] + 100) / 3600, abs=0.01)
    assert (total.sessions, total.images_seen, list(total.software)) == (3, 640, ["python", "torch"])


def test_a_state_restored_is_the_state_and_one_more_session() -> None:
    one, two = Cost("a", 1), Cost("b", 2)
    two.restore(one.state())
    assert set(two.state()["seconds"]) == {"1 x a", "2 x b"} and two.state()["sessions"] == 2


def test_the_device_is_a_model_and_no_machine() -> None:

    assert socket.gethostname() not in device_name(3, gpu=False)
    assert device_name(3, gpu=False).endswith("3 threads")


def test_what_train_writes(tmp_path: Path) -> None:
    main(flags(make_shards(tmp_path / "shards", 26), tmp_path, recipe(epochs=2)))
    cost = RunCost.model_validate_json((tmp_path / "cost.json").read_bytes())
    assert cost.images_seen == 2 * 3 * 8  # two images are left over in each epoch
    assert cost.sessions == 1 and len(cost.devices) == 1 and cost.device_hours >= 0
    assert set(cost.software) == {"python", "torch", "torchvision", "lightning"}
