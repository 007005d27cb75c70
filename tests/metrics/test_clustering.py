"""Clusters and probes on vectors whose answer is known."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from polymodal.metrics.clustering import cluster_accuracy, clustering_metrics
from polymodal.metrics.probes import knn_accuracy, linear_accuracy


def groups(count: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three groups of vectors around points that are far from each other, and not from 0 on counted
    classes."""
    random = np.random.default_rng(seed)
    target = np.arange(count) % 3
    centres = np.array([[5.0, 0, 0, 0], [0, 5.0, 0, 0], [0, 0, 5.0, 0]])
    return centres[target] + spread * random.normal(size=(count, 4)), 2 * target + 1


@given(st.integers(0, 10**6), st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_accuracy_is_that_of_the_best_of_all_matchings(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    clusters, target = random.integers(0, 4, count), random.integers(0, 4, count)
    best = max(np.mean(np.array(names)[clusters] == target) for names in permutations(range(4)))
    assert cluster_accuracy(clusters, target) == pytest.approx(best)


def test_clusters_that_are_apart_are_found_and_noise_is_not() -> None:
    vectors, target = groups(90, 0.1)
    assert clustering_metrics(vectors, target, 0) == pytest.approx(
        {"nmi": 1, "ari": 1, "cluster_accuracy": 1}
    )
    noise = clustering_metrics(np.random.default_rng(0).normal(size=vectors.shape), target, 0)
    assert noise["nmi"] < 0.2
    assert abs(noise["ari"]) < 0.1
    assert noise["cluster_accuracy"] < 0.6


def test_the_metrics_are_those_of_one_clustering_with_a_seed() -> None:
    from sklearn.cluster import KMeans

    vectors, target = groups(600, 100.0)  # noise: each seed finds other clusters
    clusters = KMeans(3, n_init=10, random_state=5).fit_predict(vectors)
    assert clustering_metrics(vectors, target, 5) != clustering_metrics(vectors, target, 0)
    assert clustering_metrics(vectors, target, 5) == pytest.approx(
        {
            "nmi": normalized_mutual_info_score(target, clusters),
            "ari": adjusted_rand_score(target, clusters),
            "cluster_accuracy": cluster_accuracy(clusters, target),
        }
    )


def test_neighbours_are_found_by_angle_and_vote() -> None:
    train, test = groups(60, 0.5), groups(30, 0.5, seed=1)
    # length does not matter
    assert knn_accuracy((train[0] * 10.0 ** train[1][:, None], train[1]), test) == 1
    # a tie of two: the first class
    assert knn_accuracy((train[0][:2], train[1][:2]), test) == pytest.approx(1 / 3)


def test_a_linear_probe_is_fitted_on_training_vectors_alone() -> None:
    train, test = groups(60, 0.5), groups(30, 0.5, seed=1)
    scale = np.array([1e-4, 1e-4, 1e-4, 100])  # of what tells the classes apart, and of noise
    assert linear_accuracy((train[0] * scale, train[1]), (test[0] * scale, test[1])) == 1
    # it believes the labels of the training split
    assert linear_accuracy((train[0], np.roll(train[1], 1)), test) == 0
    assert linear_accuracy((train[0], np.full(60, 3)), test) == pytest.approx(1 / 3)
