"""Tiled losses against the plain ones on whole matrices, and what they keep for backward."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from polymodal.losses import tiles
from polymodal.losses.info_nce import info_nce
from polymodal.losses.sigmoid import sigmoid_loss
from polymodal.losses.tiled_info_nce import tiled_info_nce
from polymodal.losses.tiled_sigmoid import tiled_sigmoid_loss


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of at most three rows of the cases below, and a rest."""
    monkeypatch.setattr(tiles, "BLOCK", 24)
    monkeypatch.setattr(tiles, "FEWEST_ROWS", 2)


class Case:
    """Unit vectors in fp64, groups, own samples and parameters; the losses of both kinds, plain and
    tiled."""

    def __init__(
        self, seed: int, count: int, groups: int, all_own: bool, scale: float = 14.3
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.x = F.normalize(
            torch.randn(count, 2, 5, generator=generator).double(), dim=-1
        ).requires_grad_()
        self.group = torch.randint(groups, (count,), generator=generator)
        self.own = (
            (torch.rand(count, generator=generator) < (2.0 if all_own else 0.6))
            .nonzero()
            .squeeze(1)
        )
        self.scale = torch.tensor(scale, dtype=torch.float64, requires_grad=True)
        self.bias = torch.tensor(-3.0, dtype=torch.float64, requires_grad=True)

    def plain(self, kind: str, smoothing: float) -> Tensor:
        a, b = self.x.unbind(1)
        positives = self.group[self.own][:, None] == self.group
        there, back = self.scale * a[self.own] @ b.T, self.scale * b[self.own] @ a.T
        if kind == "sigmoid":
            return sigmoid_loss(there + self.bias, positives)
        return (info_nce(there, positives, smoothing) + info_nce(back, positives, smoothing)) / 2

    def tiled(self, kind: str, smoothing: float) -> Tensor:
        a, b = self.x.unbind(1)
        if kind == "sigmoid":
            return tiled_sigmoid_loss(
                a[self.own], b, self.group[self.own], self.group, self.scale, self.bias
            )
        return tiled_info_nce(a, b, self.group, self.own, self.scale, smoothing)


kinds = pytest.mark.parametrize(
    ("kind", "smoothing"), [("info_nce", 0.0), ("info_nce", 0.2), ("sigmoid", 0.0)]
)


@kinds
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 17),
    groups=st.integers(1, 9),
    all_own=st.booleans(),
    scale=st.sampled_from([1.0, 14.3, 100.0]),
)
@settings(max_examples=60, deadline=None)
def test_tiles_have_the_losses_and_gradients_of_the_whole(
    kind: str, smoothing: float, seed: int, count: int, groups: int, all_own: bool, scale: float
) -> None:
    case = Case(seed, count, groups, all_own, scale)
    leaves = [case.x, case.scale, *([case.bias] if kind == "sigmoid" else [])]
    plain, tiled = case.plain(kind, smoothing), case.tiled(kind, smoothing)
    torch.testing.assert_close(tiled, plain, rtol=1e-9, atol=1e-12)
    weights = torch.randn(
        len(plain), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    found, expected = (torch.autograd.grad(losses, leaves, weights) for losses in (tiled, plain))
    for mine, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-9, atol=1e-11)


@kinds
@pytest.mark.parametrize("all_own", [True, False])
def test_gradients_are_those_of_finite_differences(
    kind: str, smoothing: float, all_own: bool
) -> None:
    case = Case(1, 7, 4, all_own, scale=3.0)

    def losses(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        case.x, case.scale, case.bias = x, scale, bias
        return case.tiled(kind, smoothing)

    assert torch.autograd.gradcheck(losses, (case.x, case.scale, case.bias))


@kinds
def test_extreme_logits_stay_finite(kind: str, smoothing: float) -> None:
    case = Case(0, 9, 4, True, scale=1e4)
    losses = case.tiled(kind, smoothing)
    assert losses.isfinite().all()
    assert all(
        grad.isfinite().all() for grad in torch.autograd.grad(losses.sum(), [case.x, case.scale])
    )


def test_a_confident_positive_keeps_its_gradient_in_fp32() -> None:
    a = torch.eye(4)[:1].requires_grad_()
    scale, bias, group = torch.tensor(20.0), torch.tensor(0.0), torch.zeros(1, dtype=torch.long)
    tiled_sigmoid_loss(a, a.detach(), group, group, scale, bias).sum().backward()
    assert a.grad[0, 0].item() == pytest.approx(
        -20 * torch.tensor(-20.0).sigmoid().item(), rel=1e-5
    )


def held(loss: Callable[[], Tensor]) -> float:
    """Bytes that stay allocated while the loss waits for backward."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        value = loss()
    assert value.requires_grad
    return sum(event.self_cpu_memory_usage for event in record.key_averages())


@pytest.mark.parametrize("kind", ["info_nce", "sigmoid"])
@pytest.mark.parametrize("whole", [False, True], ids=["tiled", "plain"])
def test_backward_needs_no_matrix(kind: str, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    a, b = (F.normalize(torch.randn(1024, 512)).requires_grad_() for _ in range(2))
    group, own = torch.arange(1024) // 2, torch.arange(1024)
    scale, bias = (torch.tensor(value, requires_grad=True) for value in (14.3, -10.0))

    def loss() -> Tensor:
        if whole:
            logits, positives = scale * a @ b.T, group[:, None] == group
            losses = (
                info_nce(logits, positives)
                if kind == "info_nce"
                else sigmoid_loss(logits + bias, positives)
            )
        elif kind == "info_nce":
            losses = tiled_info_nce(a, b, group, own, scale)
        else:
            losses = tiled_sigmoid_loss(a, b, group, group, scale, bias)
        return losses.mean()

    assert (held(loss) > 2**22) if whole else (held(loss) < 2**17)
