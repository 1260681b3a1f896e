from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.evaluate import sgd_probe
from scripts.evaluate.protocol import given_of
from scripts.evaluate.scores import top1
from scripts.evaluate.settings_protocols import SgdProbeSettings, SgdRecipe
from scripts.evaluate.sgd import first_head, learning_rate, train_head
from scripts.evaluate.sgd_probe import rows_of, sgd_answers
from scripts.lib.draws import generator
from scripts.lib.errors import UserError
from tests.evaluate.made import made_features, run_main

PLAIN = SgdRecipe(
    name="plain", epochs=4, batch_size=32, learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=0.0,
    milestones=None, factor=0.1, initial_std=0.01, blocks=None, average_pool=False,
)  # fmt: skip


def recipe(**values: object) -> SgdRecipe:
    return PLAIN.model_copy(update=values)


def settings(*recipes: SgdRecipe) -> SgdProbeSettings:
    return SgdProbeSettings(tasks=None, recipes=recipes, holdout_share=0.2, seeds=(0, 1))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"nesterov": True, "weight_decay": 5e-4, "milestones": (1, 3)},
        {"weight_decay": 0.01, "momentum": 0.0},
        {"batch_size": 45, "learning_rate": 30.0, "milestones": (2,)},
    ],
)
def test_equals_torchs_own_sgd(values: dict[str, object]):
    own, features = recipe(**values), made_features(100, 5)
    rows, labels = torch.from_numpy(features.train_features), torch.from_numpy(features.train_labels)
    weights, biases = (each.clone().requires_grad_() for each in first_head(own, 5, 40, seed=3))
    optimiser = torch.optim.SGD(
        [weights, biases], lr=1.0, momentum=own.momentum, nesterov=own.nesterov, weight_decay=own.weight_decay
    )
    for epoch, (found, offsets) in train_head(rows, labels, 5, own, seed=3):
        optimiser.param_groups[0]["lr"] = learning_rate(own, epoch - 1)
        order = torch.from_numpy(generator(3, "sgd probe order", epoch - 1).permutation(100))
        for batch in torch.split(order, own.batch_size):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(rows[batch] @ weights.T + biases, labels[batch]).backward()
            optimiser.step()
        assert torch.allclose(found, weights.detach(), rtol=1e-3, atol=1e-3 * float(weights.detach().abs().max()))
        assert torch.allclose(offsets, biases.detach(), rtol=1e-3, atol=1e-3 * float(biases.detach().abs().max()))


def test_rates_are_those_of_the_official_schedules():
    steps = recipe(epochs=100, learning_rate=30.0, milestones=(60, 80))
    assert [learning_rate(steps, epoch) for epoch in (0, 59, 60, 79, 80, 99)] == pytest.approx([30, 30, 3, 3, 0.3, 0.3])
    cosine = recipe(epochs=100, learning_rate=0.3)
    assert learning_rate(cosine, 0) == 0.3 and learning_rate(cosine, 50) == pytest.approx(0.15)
    assert learning_rate(cosine, 99) == pytest.approx(0.15 * (1 + math.cos(0.99 * math.pi)))


def test_milestones_must_rise_and_end_before_the_last_epoch():
    with pytest.raises(ValueError, match="must rise and end before the 4 epochs"):
        SgdRecipe(**{**PLAIN.model_dump(), "milestones": (2, 4)})


def test_last_and_selected_come_from_one_fit_to_all_of_train(tmp_path: Path):
    features = made_features(200, 100)
    rows, predictions = run_main(sgd_probe, tmp_path, features, settings(recipe(epochs=6)))
    assert {row["protocol"] for row in rows} == {"sgd_plain_centre_last", "sgd_plain_centre_selected"}
    assert len(rows) == 8 and len(predictions) == 4  # two seeds, two epochs, two metrics
    train, known = torch.from_numpy(features.train_features), torch.from_numpy(features.train_labels)
    by_name = {(each["protocol"], each["seed"]): each["predicted"] for each in predictions}
    for row in rows[::2]:
        facts = json.loads(row["settings"])
        selected = row["protocol"].endswith("selected")
        epoch = facts["chosen"]["epochs"] if selected else 6
        assert row["selected_on"].startswith("40 held-out train images") == selected
        heads = {
            done: (head[0].clone(), head[1].clone())
            for done, head in train_head(train, known, 5, recipe(epochs=6), int(row["seed"]))
        }
        scores = features.test_features @ heads[epoch][0].numpy().T + heads[epoch][1].numpy()
        assert np.mean(scores.argmax(1) == by_name[row["protocol"], row["seed"]]) > 0.99


def test_views_take_turns_and_give_the_protocol_another_name():
    features = made_features(100, 50)
    views = np.stack([features.train_features, np.zeros_like(features.train_features)], axis=1)
    given = given_of(replace(features, extras={"train_views": views}), "toy")
    answers = sgd_answers(given, settings(PLAIN))
    assert answers[0].protocol == "sgd_plain_views2_last"
    tensor, labels = torch.from_numpy(views), torch.from_numpy(features.train_labels)
    heads = [head[0].clone() for _, head in train_head(tensor, labels, 5, recipe(momentum=0.0), 0)]
    assert not torch.equal(heads[0], first_head(PLAIN, 5, 40, 0)[0])
    assert torch.equal(heads[1], heads[0])  # the second epoch saw rows of zeros, which move biases only


def test_blocks_are_used_where_they_are():
    features = made_features(20, 10)
    blocks = {f"{split}_blocks": np.random.default_rng(0).normal(size=(count, 4, 3)).astype(np.float32) for split, count in (("train", 20), ("test", 10))}  # fmt: skip  # noqa: E501
    patches = {"train_patches": np.ones((20, 3), np.float32), "test_patches": np.ones((10, 3), np.float32)}
    given = given_of(replace(features, extras={**blocks, **patches}), "toy")
    rows, name = rows_of(given, recipe(blocks=2, average_pool=True), "train")
    assert name == "blocks2_pool" and rows.shape == (20, 9)
    assert np.array_equal(rows[:, 3:6], blocks["train_blocks"][:, 3]) and (rows[:, 6:] == 1).all()
    assert rows_of(given, recipe(blocks=None), "train")[1] == "centre"
    assert rows_of(given_of(features, "toy"), recipe(blocks=4), "test")[0].shape == (10, 40)  # a ResNet
    with pytest.raises(UserError, match="wants the last 5 blocks, and 4 were kept"):
        rows_of(given, recipe(blocks=5), "train")


def test_learns_what_there_is_to_learn():
    features = made_features(400, 300)
    official = recipe(epochs=30, learning_rate=0.3, milestones=(18, 24))
    answers = sgd_answers(given_of(features, "toy"), settings(official))
    assert all(top1(answer.predicted, features.test_labels) > 60 for answer in answers)
