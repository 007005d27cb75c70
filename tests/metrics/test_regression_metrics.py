"""Metrics of a regression against scikit-learn and scipy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata, spearmanr
from sklearn import metrics as sk

from polymodal.metrics.order import average_ranks
from polymodal.metrics.regression import regression_metrics


@given(st.integers(0, 10**6), st.integers(3, 30), st.integers(1, 4), st.booleans())
@settings(max_examples=30, deadline=None)
def test_metrics_are_means_over_outputs_of_what_is_known(
    seed: int, count: int, p: int, partial: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(-4, 5, (count, p), generator=generator).double()  # ties, for the ranks
    y = target + torch.randint(-3, 4, (count, p), generator=generator)
    if partial:
        target[torch.rand(count, p, generator=generator) > 0.8] = torch.nan
    parts: dict[str, list[float]] = {}
    for k in range(p):
        seen = ~target[:, k].isnan()
        a, b = y[seen, k].numpy(), target[seen, k].numpy()
        if len(b) == 0:
            continue
        parts.setdefault("mae", []).append(sk.mean_absolute_error(b, a))
        parts.setdefault("rmse", []).append(sk.root_mean_squared_error(b, a))
        if len(np.unique(b)) > 1:
            parts.setdefault("r2", []).append(sk.r2_score(b, a))
            still = len(np.unique(a)) == 1
            parts.setdefault("pearson", []).append(0.0 if still else pearsonr(a, b).statistic)
            parts.setdefault("spearman", []).append(0.0 if still else spearmanr(a, b).statistic)
    metrics = {name: value.item() for name, value in regression_metrics(y, target).items()}
    assert metrics == pytest.approx(
        {name: np.mean(values) for name, values in parts.items()}, abs=1e-12
    )


def test_predictions_that_do_not_vary_have_no_correlation_and_targets_that_do_not_are_left_out() -> (
    None
):
    target = torch.tensor([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]])
    metrics = regression_metrics(torch.full((3, 2), 0.1), target)
    assert metrics["pearson"] == metrics["spearman"] == 0
    assert metrics.keys() == {"mae", "rmse", "r2", "pearson", "spearman"}
    assert regression_metrics(target[:, 1:], target[:, 1:]).keys() == {"mae", "rmse"}


def test_a_large_offset_does_not_blur_a_correlation() -> None:
    y = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    assert regression_metrics(y + 1e8, y)["pearson"].item() == pytest.approx(1)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20))
def test_ranks_are_scipy_s(values: list[int]) -> None:
    assert average_ranks(torch.tensor(values)).tolist() == rankdata(values).tolist()
