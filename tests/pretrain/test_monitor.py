from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.lib.encoders import build_encoder
from scripts.lib.errors import UserError
from scripts.lib.labelled_sample import LabelledSample, write_sample
from scripts.pretrain.contract import Position
from scripts.pretrain.monitor import HEADER, Monitor, features_of, frozen, left_out_knn
from scripts.pretrain.monitor_images import training_sample
from scripts.pretrain.settings_monitor import MonitorSettings
from scripts.pretrain.shard_images import list_images
from scripts.pretrain.train import load_run, main, open_monitor
from tests.pretrain.made import flags, make_shards, recipe
from tests.pretrain.test_train import live

SETTINGS = MonitorSettings(task="toy", classes=None, images=20, every_epochs=2, neighbours=5, temperature=0.07)
WITHOUT_TASK = SETTINGS.model_copy(update={"task": None})
Shards = tuple[list[Path], list[Path]]


def sample_of(images: int = 20, classes: int = 4, seed: int = 0) -> LabelledSample:
    """Pictures whose colour tells the class, with noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    pixels = random.integers(0, 90, (images, 32, 32, 3)) + 150 * (labels[:, None, None, None] == np.arange(3))
    return LabelledSample("toy", pixels.astype(np.uint8), labels.astype(np.int64), classes)


def naive_knn(features: np.ndarray, labels: np.ndarray, k: int, temperature: float) -> float:
    """Loops; of equally near images the earlier is nearer, of equally strong classes the lower wins."""
    right = 0
    for own, row in enumerate(features):
        close = []
        for other, their in enumerate(features):
            if other != own:
                lengths = math.sqrt(sum(row * row)) * math.sqrt(sum(their * their))
                close.append((-round(sum(row * their) / lengths, 9), other))
        votes: dict[int, float] = {}
        for similarity, other in sorted(close)[:k]:
            votes[labels[other]] = votes.get(labels[other], 0.0) + math.exp(-similarity / temperature)
        right += max(sorted(votes), key=lambda label: votes[label]) == labels[own]
    return right / len(features)


@pytest.mark.parametrize("k", [1, 5, 20, 29])
def test_knn_equals_loops(k: int) -> None:
    random = np.random.default_rng(k)
    labels = np.arange(30) % 3
    features = (random.normal(size=(30, 6)) + 0.7 * np.eye(6)[labels]).astype(np.float32)
    features[7] = features[21]  # a twin
    expected = naive_knn(features.astype(np.float64), labels, k, 0.07)
    assert left_out_knn(features, labels, 3, k, 0.07) == pytest.approx(expected) and 0 < expected < 1


def test_knn_never_asks_the_image_itself() -> None:
    """Each image's only equal is itself, and all others are of the other class."""
    features = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    assert left_out_knn(features, np.array([0, 1]), 2, 20, 0.07) == 0.0
    collapsed = np.ones((12, 4), dtype=np.float32)  # all equally near: the first others decide
    assert left_out_knn(collapsed, np.array([0] * 9 + [1] * 3), 2, 3, 0.07) == 0.75
    assert left_out_knn(np.zeros((4, 2), dtype=np.float32), np.array([0, 0, 0, 1]), 2, 2, 0.07) == 0.75


def test_modes_are_put_back() -> None:
    encoder = build_encoder("resnet18", 0).train()
    encoder.layer1.eval()
    before = [part.training for part in encoder.modules()]
    with frozen(encoder):
        assert not any(part.training for part in encoder.modules())
    assert [part.training for part in encoder.modules()] == before and len(set(before)) == 2


def test_looking_changes_nothing() -> None:
    encoder = build_encoder("resnet18", 0).train()
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    drawn = torch.get_rng_state()
    features = features_of(encoder, sample_of(70).pixels)  # more than a batch
    assert features.shape == (70, 512) and encoder.training and torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())
    again = features_of(encoder.eval(), sample_of(70).pixels)
    assert np.array_equal(features, again)  # the running statistics, not those of a batch


def test_it_looks_before_the_first_step_every_so_many_epochs_and_at_the_end() -> None:
    monitor = Monitor(SETTINGS, sample_of())
    looked = []
    for step in range(3 * 5 + 1):
        if monitor.due(Position(step, 3, 5)):
            looked.append(step)
            monitor.rows.append([str(step)] * len(HEADER))
        assert not monitor.due(Position(step, 3, 5))  # not twice
    assert looked == [0, 6, 12, 15]
    assert not Monitor(None, None).due(Position(0, 3, 5))


def test_a_row() -> None:
    monitor = Monitor(SETTINGS, sample_of())
    monitor.observe(Position(0, 3, 5), build_encoder("resnet18", 0))
    row = dict(zip(HEADER, monitor.rows[0], strict=True))
    assert (row["step"], row["epoch"], row["dimensions"], row["images"], row["chance"]) == ("0", "0", "512", "20", "25")
    assert float(row["knn"]) > 25 and 1 < float(row["rank_me"]) < 20 and 0 < float(row["feature_std"]) < 1
    unlabelled = Monitor(WITHOUT_TASK, LabelledSample("", sample_of().pixels, np.zeros(20, dtype=np.int64), 1))
    unlabelled.observe(Position(0, 3, 5), build_encoder("resnet18", 0))
    assert unlabelled.rows[0] == ["0", "0", "", "", row["rank_me"], row["feature_std"], "512", "20"]


def test_features_that_are_not_finite_end_the_run() -> None:
    encoder = build_encoder("resnet18", 0)
    with torch.no_grad():
        encoder.conv1.weight.fill_(float("nan"))
    with pytest.raises(UserError, match="not finite numbers after step 3: the run diverged"):
        Monitor(SETTINGS, sample_of()).observe(Position(3, 3, 1), encoder)


def test_key_covers_settings_and_sample() -> None:
    keys = {
        Monitor(None, None).key,
        Monitor(SETTINGS, sample_of()).key,
        Monitor(SETTINGS, sample_of(seed=1)).key,
        Monitor(SETTINGS.model_copy(update={"neighbours": 6}), sample_of()).key,
    }
    assert len(keys) == 4 and Monitor(SETTINGS, sample_of()).key in keys


@pytest.mark.parametrize(("settings", "sample"), [(SETTINGS, ""), (WITHOUT_TASK, "file")])
def test_recipe_and_sample_must_fit(settings: MonitorSettings, sample: str, tmp_path: Path) -> None:
    run, _ = load_run(recipe())
    with pytest.raises(UserError, match="give the file that `sample_task` wrote for that task"):
        open_monitor(settings.model_dump_json(), sample, run, list_images([], []))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return make_shards(tmp_path_factory.mktemp("shards"), 26)


def test_sample_of_the_training_images_does_not_depend_on_the_shards(shards: Shards, tmp_path: Path) -> None:
    run, _ = load_run(recipe())
    images = list_images(*shards)
    found = training_sample(run, images, 7)
    again = training_sample(run, list_images(*make_shards(tmp_path, 26, count=1)), 7)
    assert np.array_equal(found.pixels, again.pixels) and found.pixels.shape == (7, 32, 32, 3) and found.task == ""
    assert len(training_sample(run, images, 100).pixels) == 26
    smaller = {each.tobytes() for each in training_sample(run, images, 3).pixels}
    assert smaller < {each.tobytes() for each in found.pixels}


def watched(shards: Shards, out: Path, sample: Path) -> list[str]:
    more = ["--monitor-recipe", SETTINGS.model_dump_json(), "--monitor-sample", str(sample)]
    return [*flags(shards, out, recipe()), *more, "--watch-folder", str(out / "watch")]


@pytest.fixture(scope="module")
def seen(shards: Shards, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was watched from beginning to end."""
    out = tmp_path_factory.mktemp("seen")
    write_sample(out / "sample", sample_of())
    main(watched(shards, out, out / "sample"))
    return out


def test_being_watched_changes_no_bit(shards: Shards, seen: Path, tmp_path: Path) -> None:
    main(flags(shards, tmp_path, recipe()))
    for name in ("encoder.safetensors", "untrained.safetensors", "metrics.csv", "views.png"):
        assert (tmp_path / name).read_bytes() == (seen / name).read_bytes(), name
    assert (tmp_path / "monitor.csv").read_text() == ",".join(HEADER) + "\n"


def test_what_was_seen(seen: Path) -> None:
    rows = list(csv.DictReader((seen / "monitor.csv").open()))
    assert [(row["step"], row["epoch"]) for row in rows] == [("0", "0"), ("6", "2"), ("9", "3")]
    assert len({row["rank_me"] for row in rows}) == 3


@pytest.mark.parametrize("deaths", [[7], *(pytest.param(each, marks=pytest.mark.slow) for each in ([6], [1, 4, 2, 2]))])
def test_killed_and_continued_has_seen_the_same(shards: Shards, seen: Path, deaths: list[int], tmp_path: Path) -> None:
    """At the step after a look, in the step whose end is a look, and again and again."""
    log = live(watched(shards, tmp_path, seen / "sample"), deaths)
    assert "continues after step" in log
    for name in ("encoder.safetensors", "metrics.csv", "monitor.csv"):
        assert (tmp_path / name).read_bytes() == (seen / name).read_bytes(), name
    steps = [row["step"] for row in csv.DictReader((tmp_path / "watch" / "speed.csv").open())]
    assert steps == ["9"]  # the lives before were too short for a row of their own


def test_the_files_for_a_person(seen: Path) -> None:
    """TensorBoard's own reader is not among the dependencies: the texts of the tags are in the file."""
    content = b"".join(path.read_bytes() for path in (seen / "watch" / "tensorboard").glob("events*"))
    for tag in (b"train/loss", b"monitor/knn", b"speed/images_per_second", b"speed/data_wait_share", b"views"):
        assert tag in content, tag
    (row,) = csv.DictReader((seen / "watch" / "speed.csv").open())
    assert float(row["images_per_second"]) > 0 and 0 < float(row["data_wait_share"]) <= 1 and row["step"] == "9"
