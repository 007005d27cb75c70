"""How well clusters that were found without labels fit the classes."""

from __future__ import annotations

from typing import cast

import numpy as np
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix


def clustering_metrics(vectors: np.ndarray, target: np.ndarray, seed: int) -> dict[str, float]:
    """`nmi`, `ari` and `cluster_accuracy` of k-means with as many clusters as classes occur.

    Args:
        vectors: (N, d).
        target: (N,) classes.
        seed: of the first centres; the best of ten starts counts.
    """
    clusters = KMeans(len(np.unique(target)), n_init=10, random_state=seed).fit_predict(vectors)
    return {
        "nmi": float(normalized_mutual_info_score(target, clusters)),
        "ari": float(adjusted_rand_score(target, clusters)),
        "cluster_accuracy": cluster_accuracy(clusters, target),
    }


def cluster_accuracy(clusters: np.ndarray, target: np.ndarray) -> float:
    """(N,), (N,) -> accuracy under the best matching of clusters to classes, one to one (Kuhn
    1955).
    """
    counts = cast(np.ndarray, contingency_matrix(target, clusters))
    return float(counts[linear_sum_assignment(counts, maximize=True)].sum() / len(target))
