"""Losses against open_clip where every sample is a group of its own, and against a float64 loop
elsewhere."""

import math

import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polymodal.losses.info_nce import info_nce
from polymodal.losses.sigmoid import sigmoid_loss


def case(seed: int, queries: int, keys: int, groups: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits in fp64 and a positive matrix in which every query has one."""
    generator = torch.Generator().manual_seed(seed)
    key_group = torch.randint(groups, (keys,), generator=generator)
    query_group = key_group[torch.randint(keys, (queries,), generator=generator)]
    logits = 4 * torch.randn(queries, keys, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), query_group[:, None] == key_group


sizes = given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 8), st.integers(1, 8))
flags = pytest.mark.parametrize(
    ("decoupled", "beta"), [(False, 0.0), (True, 0.0), (False, 0.7), (True, 0.7)]
)


@flags
@sizes
@settings(max_examples=50, deadline=None)
def test_info_nce_is_its_definition(
    decoupled: bool, beta: float, seed: int, queries: int, keys: int, groups: int
) -> None:
    logits, positives = case(seed, queries, keys, groups)
    losses = info_nce(logits, positives, decoupled=decoupled, hard_beta=beta)
    for i in range(queries):
        row = logits[i].tolist()
        right = [x for x, yes in zip(row, positives[i], strict=True) if yes]
        wrong = [x for x, yes in zip(row, positives[i], strict=True) if not yes]
        hardness = sum(math.exp(beta * x) for x in wrong)
        total = sum(math.exp(x) * len(wrong) * math.exp(beta * x) / hardness for x in wrong)
        total += 0 if decoupled else sum(map(math.exp, right))
        expected = math.log(total) - sum(right) / len(right) if total else 0.0
        assert losses[i].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert torch.autograd.grad(losses.sum(), logits)[0].isfinite().all()


@flags
def test_variants_have_the_gradient_of_their_values(decoupled: bool, beta: float) -> None:
    logits, positives = case(0, 4, 6, 3)
    assert torch.autograd.gradcheck(lambda x: info_nce(x, positives, 0.1, decoupled, beta), logits)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_info_nce_is_torch_s_cross_entropy_with_one_positive(smoothing: float) -> None:
    logits, target = case(0, 7, 7, 7)[0], torch.arange(7)
    expected = torch.nn.functional.cross_entropy(
        logits, target, reduction="none", label_smoothing=smoothing
    )
    torch.testing.assert_close(
        info_nce(logits, torch.eye(7, dtype=torch.bool), smoothing), expected, rtol=1e-12, atol=0
    )


@sizes
@settings(max_examples=50, deadline=None)
def test_sigmoid_loss_is_its_definition(seed: int, queries: int, keys: int, groups: int) -> None:
    logits, positives = case(seed, queries, keys, groups)
    losses = sigmoid_loss(logits, positives)
    for i, row in enumerate(logits.tolist()):
        expected = sum(
            math.log1p(math.exp(-x if positives[i, j] else x)) for j, x in enumerate(row)
        )
        assert losses[i].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scale", [1.0, 14.3, 100.0])
def test_both_agree_with_open_clip_in_value_and_gradient(scale: float) -> None:
    torch.manual_seed(0)
    image, text = (
        torch.nn.functional.normalize(torch.randn(32, 16).double()).requires_grad_()
        for _ in range(2)
    )
    eye = torch.eye(32, dtype=torch.bool)
    s, b = (
        torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (scale, -10.0)
    )
    logits = s * image @ text.T

    ours = (info_nce(logits, eye).mean() + info_nce(logits.T, eye).mean()) / 2
    check_equal(ours, open_clip.loss.ClipLoss()(image, text, s), [image, text, s])
    ours = sigmoid_loss(s * image @ text.T + b, eye).mean()
    check_equal(ours, open_clip.loss.SigLipLoss()(image, text, s, b), [image, text, s, b])


def check_equal(ours: torch.Tensor, theirs: torch.Tensor, leaves: list[torch.Tensor]) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    for mine, reference in zip(
        torch.autograd.grad(ours, leaves), torch.autograd.grad(theirs, leaves), strict=True
    ):
        torch.testing.assert_close(mine, reference, rtol=1e-6, atol=1e-12)


@flags
def test_extreme_logits_stay_finite(decoupled: bool, beta: float) -> None:
    logits, eye = -1e4 * torch.eye(4), torch.eye(4, dtype=torch.bool)
    assert info_nce(logits, eye, 0.0, decoupled, beta).isfinite().all()
    assert sigmoid_loss(logits, eye).isfinite().all()
