from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.evaluate import knn
from scripts.evaluate.features import Features, join_shards, load_features, save_features, write_tensors
from scripts.evaluate.knn import knn_answers, vote_shares
from scripts.evaluate.neighbours import exact_similarities, find_neighbours
from scripts.evaluate.protocol import given_of
from scripts.evaluate.scores import accepted_share, mean_per_class, result_rows, share_interval, top1
from scripts.evaluate.settings_protocols import KnnSettings, KnnVote
from scripts.lib.errors import UserError
from scripts.lib.tables import RESULT_COLUMNS
from scripts.lib.votes import vote
from tests.evaluate.made import made_features, run_main, several_labels


def votes(*each: tuple[int, float]) -> KnnSettings:
    return KnnSettings(tasks=None, votes=tuple(KnnVote(neighbours=k, temperature=t) for k, t in each))


def naive_ranks(train: np.ndarray, test: np.ndarray, k: int) -> list[list[int]]:
    """Sort all train images by (similarity, index) in plain Python."""
    ranks = []
    for row in test.astype(np.float64).tolist():
        similarities = []
        for other in train.astype(np.float64).tolist():
            product = math.fsum(a * b for a, b in zip(row, other, strict=True))
            norms = math.sqrt(math.fsum(a * a for a in row)) * math.sqrt(math.fsum(b * b for b in other))
            similarities.append(product / norms if norms else 0.0)
        ranks.append(sorted(range(len(similarities)), key=lambda i: (-similarities[i], i))[:k])
    return ranks


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("k", [1, 5, 17, 60])
@pytest.mark.parametrize("cells", [1, 200, 2**20])
def test_ranks_equal_a_naive_search(k: int, cells: int):
    train, test = normal(60, 8), normal(13, 8, seed=1)
    assert find_neighbours(train, test, k, cells)[1].tolist() == naive_ranks(train, test, k)


@pytest.mark.parametrize("k", [1, 3, 10, 31, 64])
def test_ties_go_to_the_lower_index(k: int):
    # Corners of a cube in 4 dimensions: all norms are 2, so that similarities are exact and nearly all of them tie.
    random = np.random.default_rng(1)
    train, test = (random.integers(0, 2, (count, 4)).astype(np.float32) * 2 - 1 for count in (64, 20))
    assert find_neighbours(train, test, k)[1].tolist() == naive_ranks(train, test, k)


@pytest.mark.parametrize("k", [1, 20, 130])
def test_equal_train_images_tie_wherever_they_stand(k: int):
    # In 32 bits the product of equal rows can differ by their place in the matrix; 400 rows are 50 images, eight times.
    train, test = np.tile(normal(50, 96), (8, 1)), normal(11, 96, seed=1)
    similarities, indices = find_neighbours(train, test, k)
    assert indices.tolist() == naive_ranks(train, test, k)
    assert (np.diff(similarities, axis=1) <= 0).all()


def test_neighbours_closer_than_rounding_are_told_apart():
    # All train images are one direction but for the 6th digit: 32 bits of similarity cannot rank them.
    train = 1 + 1e-6 * normal(300, 16)
    test = 1 + 1e-6 * normal(7, 16, seed=1)
    assert find_neighbours(train, test, 5)[1].tolist() == naive_ranks(train, test, 5)


def test_rows_of_zeros_are_similar_to_nothing():
    train = np.concatenate([np.zeros((2, 4), np.float32), normal(5, 4)])
    assert find_neighbours(train, np.zeros((1, 4), np.float32), 3)[1].tolist() == [[0, 1, 2]]
    assert exact_similarities(train, normal(1, 4), np.array([[0, 1]])).tolist() == [[0, 0]]


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
    rows = [row[:8] for row in result_rows(("r", "t", "p", ""), predicted, labels, np.array([2, 2, 0]))]
    assert rows == [
        ("r", "t", "p", "top1", "75.0000", "4", "", "25.0000"),
        ("r", "t", "p", "mean_per_class", "83.3333", "4", "", "50.0000"),
    ]


def test_wilsons_interval_by_hand():
    # Wilson 1927 for 8 of 10: (0.8 + z²/20 ± z sqrt(0.016 + z²/400)) / (1 + z²/10)
    assert share_interval(80.0, 10) == pytest.approx((49.02, 94.33), abs=0.01)
    low, high = share_interval(0.0, 5)
    assert low == 0 and 40 < high < 50


def test_real_labels():
    accepted = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]], dtype=bool)
    predicted = np.array([1, 0, 2, -1])
    assert accepted_share(predicted, accepted) == pytest.approx(200 / 3)  # the second image has no accepted label
    labels = np.array([0, 0, 2, 0])
    rows = [dict(zip(RESULT_COLUMNS, row, strict=True)) for row in result_rows(("r", "t", "p", ""), predicted, labels, labels, accepted)]  # fmt: skip  # noqa: E501
    assert [(row["metric"], row["value"], row["n"]) for row in rows[::2]] == [("top1", "50.0000", "4"), ("real_top1", "66.6667", "3")]  # fmt: skip  # noqa: E501
    assert rows[2]["chance"] == "66.6667"  # class 0 for all: right for images 1 and 4 of the three judged


def answers_of(features: Features, *each: tuple[int, float]) -> list[Any]:
    return knn_answers(given_of(features, "toy"), votes(*each))


def test_k_beyond_train_counts_all_and_keeps_its_name():
    features = made_features(12, 1)  # DINO's own code crashes on fewer than 100 test images
    first, second = answers_of(features, (12, 0.07), (200, 0.07))
    assert [first.protocol, second.protocol] == ["knn_k12_T0.07", "knn_k200_T0.07"]
    assert first.predicted.tolist() == second.predicted.tolist()
    assert (second.settings["neighbours"], second.settings["voters"]) == (200, 12)


def test_a_test_split_of_one_class(tmp_path: Path):
    features = made_features(60, 30)
    one = features.test_labels == 3
    part = Features(
        features.train_features,
        features.train_labels,
        features.test_features[one],
        features.test_labels[one],
        features.description,
    )
    rows, _ = run_main(knn, tmp_path, part, votes((5, 0.07)))
    assert rows[0]["value"] == rows[1]["value"] and rows[0]["n"] == "6"
    whole = answers_of(features, (5, 0.07))[0].predicted[one]
    assert rows[0]["value"] == f"{top1(whole, part.test_labels):.4f}"


def test_several_labels_are_ranked_by_the_votes_that_have_them(tmp_path: Path):
    accepted = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]], dtype=bool)
    shares = vote_shares(np.array([[0.5, 0.5, 0.5]]), np.array([[0, 1, 2]]), accepted, 3, 0.07)
    assert shares[0].tolist() == pytest.approx([1 / 3, 2 / 3, 1 / 3])
    rows, predictions = run_main(knn, tmp_path, several_labels(200, 100), votes((10, 0.07)))
    assert [row["metric"] for row in rows] == ["map_area", "map_11_point"]
    assert all(float(row["value"]) > float(row["chance"]) + 30 for row in rows)
    assert np.mean(predictions[0]["right"]) > 0.8


def test_main(tmp_path: Path):
    rows, predictions = run_main(knn, tmp_path, made_features(60, 30), votes((1, 0.1), (5, 0.1)))
    assert tuple(rows[0]) == RESULT_COLUMNS
    assert [(row["run"], row["task"], row["protocol"], row["metric"]) for row in rows] == [
        ("r", "t", f"knn_k{k}_T0.1", metric) for k in (1, 5) for metric in ("top1", "mean_per_class")
    ]
    assert all(float(row["value"]) > 40 and (row["n"], row["seed"], row["chance"]) == ("30", "", "20.0000") for row in rows)  # fmt: skip  # noqa: E501
    assert '"neighbours":1,' in rows[0]["settings"] and rows[0]["inputs"] == '{"items_sha256":"60-30"}'
    assert [each["protocol"] for each in predictions] == ["knn_k1_T0.1", "knn_k5_T0.1"]
    assert 100 * np.mean(predictions[0]["right"]) == pytest.approx(float(rows[0]["value"]), abs=1e-3)


def test_features_file_is_whole_and_readable(tmp_path: Path):
    features = made_features(9, 4)
    save_features(tmp_path / "features", features)
    again = load_features(tmp_path / "features")
    assert np.array_equal(again.train_features, features.train_features)
    assert np.array_equal(again.test_labels, features.test_labels)
    assert again.description == features.description
    assert again.classes == 5
    assert (tmp_path / "features").stat().st_mode & 0o777 == 0o644
    (tmp_path / "broken").write_bytes((tmp_path / "features").read_bytes()[:100])
    with pytest.raises(UserError, match="is not a file of features"):
        load_features(tmp_path / "broken")


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_joined_shards_are_the_whole(tmp_path: Path, precision: str):
    features = made_features(10, 4)
    parts = {"train": [slice(0, 4), slice(4, 8), slice(8, 10)], "test": [slice(0, 4)]}
    shards: dict[str, list[Path]] = {split: [] for split in parts}
    for split, slices in parts.items():
        for number, rows in enumerate(slices):
            shards[split].append(tmp_path / f"{split}{number}")
            kept = getattr(features, f"{split}_features")[rows].astype(precision)
            write_tensors(shards[split][-1], {"features": kept, "short": np.arange(len(kept), dtype=np.int32)}, {})
    labels = {f"{split}_labels": getattr(features, f"{split}_labels") for split in parts}
    join_shards(tmp_path / "whole", shards, labels, features.description)
    whole = load_features(tmp_path / "whole", ("train_short", "absent"))
    assert whole.train_features.dtype == np.float32
    assert np.array_equal(whole.train_features, features.train_features.astype(precision).astype(np.float32))
    assert np.array_equal(whole.test_labels, features.test_labels)
    assert whole.extras["train_short"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert whole.description == features.description
