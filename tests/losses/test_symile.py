"""Symile's logits against the authors' package."""

import pytest
import symile
import torch

from polymodal.losses.info_nce import info_nce
from polymodal.losses.symile import all_logits, shifted_logits


def ours(x: torch.Tensor, scale: float, negatives: str) -> torch.Tensor:
    """The mean over anchors of a whole batch, x (N, m, d), every sample a group of its own."""
    count, m = x.shape[:2]
    eye, losses = torch.eye(count, dtype=torch.bool), []
    for anchor in range(m):
        anchors, others = scale * x[:, anchor], x[:, [k for k in range(m) if k != anchor]]
        n = shifted_logits(anchors, others, torch.arange(count), eye)
        losses.append(
            info_nce(*(n if negatives == "n" else all_logits(anchors, others, eye))).mean()
        )
    return sum(losses) / m


@pytest.mark.parametrize(
    ("negatives", "m"), [("n", 2), ("n", 3), ("n", 4), ("n_squared", 3), ("n_squared", 4)]
)
def test_value_and_gradient_are_the_package_s(
    negatives: str, m: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, turns = 6, iter(range(1000))
    # the package draws an order for each modality that is not the anchor; here it draws our shifts
    monkeypatch.setattr(torch, "randperm", lambda n: torch.arange(n).roll(next(turns) % (m - 1)))
    torch.manual_seed(0)
    x = torch.randn(count, m, 5, dtype=torch.float64, requires_grad=True)
    theirs = symile.Symile(negatives)(list(x.unbind(1)), 3.0)
    mine = ours(x, 3.0, negatives)
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        torch.autograd.grad(mine, x)[0], torch.autograd.grad(theirs, x)[0], rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("negatives", ["n", "n_squared"])
def test_logits_and_positives_of_some_rows_are_those_of_a_loop(negatives: str) -> None:
    torch.manual_seed(0)
    count, place = 5, torch.tensor([1, 4])
    group = torch.tensor([0, 0, 1, 1, 0])
    anchors, others = torch.randn(2, 3).double(), torch.randn(count, 2, 3).double()
    positives = group[place][:, None] == group
    found = (
        shifted_logits(anchors, others, place, positives),
        all_logits(anchors, others, positives),
    )
    logits, right = found[0 if negatives == "n" else 1]
    for row, own in enumerate(place.tolist()):
        tuples = [(j, k) for j in range(count) for k in range(count)]
        if negatives == "n":
            tuples = [(own, own) if j == own else (j, (j - 1) % count) for j in range(count)]
        assert logits.shape[1] == len(tuples)
        for column, (j, k) in enumerate(tuples):
            expected = (anchors[row] * others[j, 0] * others[k, 1]).sum()
            torch.testing.assert_close(logits[row, column], expected, rtol=1e-12, atol=1e-12)
            assert right[row, column] == (group[j] == group[own] and group[k] == group[own])


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_a_shift_never_brings_a_sample_together_with_itself(count: int) -> None:
    identity = torch.eye(count, dtype=torch.bool)
    for m in (2, 3, 4):
        _, right = shifted_logits(
            torch.ones(count, 2), torch.ones(count, m - 1, 2), torch.arange(count), identity
        )
        assert torch.equal(right, identity)
