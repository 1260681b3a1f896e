from __future__ import annotations

import csv
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.evaluate.features import Features, load_features, save_features
from scripts.evaluate.knn import find_neighbours, knn_rows, main, nearest, vote
from scripts.evaluate.scores import mean_per_class, result_rows, top1
from scripts.evaluate.settings import KnnSettings
from scripts.lib.errors import UserError
from scripts.lib.tables import RESULT_COLUMNS


def naive_ranks(train: torch.Tensor, test: torch.Tensor, k: int) -> list[list[int]]:
    """Sort all train images by (similarity, index) in plain Python."""
    ranks = []
    for row in test.double().tolist():
        similarities = []
        for other in train.double().tolist():
            product = sum(a * b for a, b in zip(row, other, strict=True))
            norms = math.sqrt(sum(a * a for a in row)) * math.sqrt(sum(b * b for b in other))
            similarities.append(product / norms)
        ranks.append(sorted(range(len(similarities)), key=lambda i: (-similarities[i], i))[:k])
    return ranks


@pytest.mark.parametrize("k", [1, 5, 17, 60])
@pytest.mark.parametrize("cells", [1, 200, 2**20])
def test_ranks_equal_a_naive_search(k: int, cells: int):
    torch.manual_seed(0)
    train, test = torch.randn(60, 8), torch.randn(13, 8)
    assert find_neighbours(train, test, k, cells)[1].tolist() == naive_ranks(train, test, k)


@pytest.mark.parametrize("k", [1, 3, 10, 31, 64])
def test_ties_go_to_the_lower_index(k: int):
    # Corners of a cube in 4 dimensions: all norms are 2, so that similarities are exact and nearly all of them tie.
    torch.manual_seed(1)
    train, test = (torch.randint(0, 2, (count, 4)).float() * 2 - 1 for count in (64, 20))
    assert find_neighbours(train, test, k)[1].tolist() == naive_ranks(train, test, k)


def test_nearest_on_rows_of_equals():
    values, indices = nearest(torch.tensor([[0.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0], [3.0, 1.0, 2.0, 0.0]]), 2)
    assert indices.tolist() == [[1, 2], [0, 1], [0, 2]]
    assert values.tolist() == [[1.0, 1.0], [2.0, 2.0], [3.0, 2.0]]


def naive_vote(similarities: list[float], labels: list[int], temperature: float) -> int:
    votes: defaultdict[int, float] = defaultdict(float)
    for similarity, label in zip(similarities, labels, strict=True):
        votes[label] += math.exp(similarity / temperature)
    return min(votes, key=lambda label: (-votes[label], label))


@pytest.mark.parametrize("k", [1, 4, 9])
def test_vote_equals_a_naive_vote(k: int):
    random = np.random.default_rng(0)
    similarities = np.sort(random.uniform(-1, 1, (40, 9)).astype(np.float32))[:, ::-1].copy()
    labels = random.integers(0, 4, (40, 9))
    expected = [
        naive_vote(row[:k], own[:k], 0.07) for row, own in zip(similarities.tolist(), labels.tolist(), strict=True)
    ]
    assert vote(similarities, labels, 4, k, 0.07).tolist() == expected


def test_vote_weighs_and_breaks_ties_by_label():
    # Two far neighbours of class 1 outvote a near one of class 0 at a high temperature only.
    similarities, labels = np.array([[0.9, 0.5, 0.5]], dtype=np.float32), np.array([[0, 1, 1]])
    assert vote(similarities, labels, 2, 3, 0.07).tolist() == [0]
    assert vote(similarities, labels, 2, 3, 10.0).tolist() == [1]
    assert vote(np.ones((1, 2), np.float32), np.array([[2, 1]]), 3, 2, 0.07).tolist() == [1]
    # A temperature at which exp(s / T) is beyond any float.
    assert vote(similarities, labels, 2, 3, 1e-4).tolist() == [0]
    assert vote(np.full((1, 1), -1, np.float32), np.array([[1]]), 2, 1, 1e-4).tolist() == [1]


def test_metrics_by_hand():
    labels, predicted = np.array([0, 0, 0, 2]), np.array([0, 0, 1, 2])
    assert top1(predicted, labels) == 75.0
    assert mean_per_class(predicted, labels) == pytest.approx((200 / 3 + 100) / 2)  # class 1 has no test image
    # The most frequent train class is 2, and a quarter of the test images are of it; of two classes one is right.
    rows = list(result_rows(("r", "t", "p", ""), predicted, labels, np.array([2, 2, 0])))
    assert rows == [
        ("r", "t", "p", "top1", "75.0000", "4", "", "25.0000"),
        ("r", "t", "p", "mean_per_class", "83.3333", "4", "", "50.0000"),
    ]


def features_of(train: int, test: int, seed: int = 0) -> Features:
    random = np.random.default_rng(seed)
    centres = 3 * random.normal(size=(3, 6))
    labels = [np.arange(count) % 3 for count in (train, test)]
    vectors = [centres[own] + random.normal(size=(len(own), 6)) for own in labels]
    return Features(
        *(
            torch.from_numpy(array)
            for pair in zip((vector.astype(np.float32) for vector in vectors), labels, strict=True)
            for array in pair
        ),
        description={"task": "toy", "class_names": ["a", "b", "c"], "encoder": {"encoder": "resnet18"}},
    )


def test_k_beyond_train_counts_all_and_keeps_its_name():
    features = features_of(12, 1)  # DINO's own code crashes on fewer than 100 test images
    rows = knn_rows(features, KnnSettings(neighbours=(12, 200), temperature=0.07), "run", "toy")
    assert [row[2] for row in rows] == ["knn_k12_T0.07"] * 2 + ["knn_k200_T0.07"] * 2
    assert [row[4] for row in rows[:2]] == [row[4] for row in rows[2:]]


def test_main(tmp_path: Path):
    save_features(tmp_path / "features", features_of(60, 30))
    recipe = KnnSettings(neighbours=(1, 5), temperature=0.1).model_dump_json()
    arguments = ["--recipe", recipe, "--run", "r", "--task", "t", "--features", str(tmp_path / "features")]
    for name in ("first", "second"):
        main([*arguments, "--threads", "1", "--out", str(tmp_path / name)])
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    with (tmp_path / "first").open() as handle:
        header, *rows = csv.reader(handle)
    assert tuple(header) == RESULT_COLUMNS
    assert [row[:4] for row in rows] == [
        ["r", "t", f"knn_k{k}_T0.1", metric] for k in (1, 5) for metric in ("top1", "mean_per_class")
    ]
    assert all(float(row[4]) > 60 and row[5:] == ["30", "", "33.3333"] for row in rows)


def test_features_file_is_whole_and_readable(tmp_path: Path):
    features = features_of(9, 4)
    save_features(tmp_path / "features", features)
    again = load_features(tmp_path / "features")
    assert torch.equal(again.train_features, features.train_features)
    assert torch.equal(again.test_labels, features.test_labels)
    assert again.description == features.description
    assert again.classes == 3
    assert (tmp_path / "features").stat().st_mode & 0o777 == 0o644
    (tmp_path / "broken").write_bytes((tmp_path / "features").read_bytes()[:100])
    with pytest.raises(UserError, match="is not a file of features"):
        load_features(tmp_path / "broken")
