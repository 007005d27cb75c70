"""Losses against open_clip where every sample is a group of its own, and against a float64 loop elsewhere."""

import math

import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polymodal.losses.info_nce import info_nce
from polymodal.losses.sigmoid import sigmoid_loss

Rows = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def rows(seed: int, queries: int, keys: int, groups: int) -> Rows:
    """Unit vectors in fp64 and a positive matrix in which every query has one."""
    generator = torch.Generator().manual_seed(seed)
    q, k = (torch.nn.functional.normalize(torch.randn(n, 6, generator=generator).double()) for n in (queries, keys))
    key_group = torch.randint(groups, (keys,), generator=generator)
    query_group = key_group[torch.randint(keys, (queries,), generator=generator)]
    return q.requires_grad_(), k.requires_grad_(), query_group[:, None] == key_group[None]


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 8), st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_info_nce_is_its_definition(seed: int, queries: int, keys: int, groups: int) -> None:
    q, k, positives = rows(seed, queries, keys, groups)
    losses = info_nce(q, k, positives, torch.tensor(9.0, dtype=torch.float64))
    for i in range(queries):
        weights = [math.exp(9.0 * (q[i] @ k[j]).item()) for j in range(keys)]
        mine = [j for j in range(keys) if positives[i, j]]
        expected = -sum(math.log(weights[j] / sum(weights)) for j in mine) / len(mine)
        assert losses[i].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_info_nce_is_torch_s_cross_entropy_with_one_positive(smoothing: float) -> None:
    q, k, _ = rows(0, 7, 7, 7)
    logits, target = 5.0 * q @ k.T, torch.arange(7)
    expected = torch.nn.functional.cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)
    losses = info_nce(q, k, torch.eye(7, dtype=torch.bool), torch.tensor(5.0).double(), smoothing)
    torch.testing.assert_close(losses, expected, rtol=1e-12, atol=0)


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 8), st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_sigmoid_loss_is_its_definition(seed: int, queries: int, keys: int, groups: int) -> None:
    q, k, positives = rows(seed, queries, keys, groups)
    losses = sigmoid_loss(q, k, positives, torch.tensor(7.0).double(), torch.tensor(-3.0).double())
    for i in range(queries):
        logits = [7.0 * (q[i] @ k[j]).item() - 3.0 for j in range(keys)]
        expected = sum(math.log1p(math.exp(-x if positives[i, j] else x)) for j, x in enumerate(logits))
        assert losses[i].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scale", [1.0, 14.3, 100.0])
def test_both_agree_with_open_clip_in_value_and_gradient(scale: float) -> None:
    torch.manual_seed(0)
    image, text = (torch.nn.functional.normalize(torch.randn(32, 16).double()).requires_grad_() for _ in range(2))
    eye = torch.eye(32, dtype=torch.bool)
    s, b = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (scale, -10.0))

    ours = (info_nce(image, text, eye, s).mean() + info_nce(text, image, eye, s).mean()) / 2
    check_equal(ours, open_clip.loss.ClipLoss()(image, text, s), [image, text, s])
    ours = sigmoid_loss(image, text, eye, s, b).mean()
    check_equal(ours, open_clip.loss.SigLipLoss()(image, text, s, b), [image, text, s, b])


def check_equal(ours: torch.Tensor, theirs: torch.Tensor, leaves: list[torch.Tensor]) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    for mine, reference in zip(torch.autograd.grad(ours, leaves), torch.autograd.grad(theirs, leaves), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-6, atol=1e-12)


def test_extreme_logits_stay_finite() -> None:
    q = torch.eye(4)
    assert info_nce(q, -q, torch.eye(4, dtype=torch.bool), torch.tensor(1e4)).isfinite().all()
    bias = torch.tensor(0.0)
    assert sigmoid_loss(q, -q, torch.eye(4, dtype=torch.bool), torch.tensor(1e4), bias).isfinite().all()
