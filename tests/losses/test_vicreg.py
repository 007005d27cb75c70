"""VICReg's terms against numpy."""

import numpy as np
import pytest
import torch

from polymodal.losses.vicreg import covariance_loss, invariance_loss, variance_loss


def test_terms_are_their_definitions() -> None:
    torch.manual_seed(0)
    a, b = (
        torch.randn(7, 5).double() * torch.tensor([0.1, 0.5, 1.0, 2.0, 0.0]).double(),
        torch.randn(7, 5).double(),
    )
    z = a.numpy()
    lacking = [max(0.0, 1 - np.sqrt(z[:, j].var(ddof=1) + 1e-4)) for j in range(5)]
    covariance = np.cov(z, rowvar=False)
    squares = sum(covariance[i, j] ** 2 for i in range(5) for j in range(5) if i != j)
    assert variance_loss(a).item() == pytest.approx(np.mean(lacking), rel=1e-9)
    assert covariance_loss(a).item() == pytest.approx(squares / 5, rel=1e-9)
    assert invariance_loss(a, b).tolist() == pytest.approx(
        ((z - b.numpy()) ** 2).mean(1).tolist(), rel=1e-9
    )


@pytest.mark.parametrize("count", [1, 4])
def test_collapsed_embeddings_have_finite_gradients(count: int) -> None:
    z = torch.ones(count, 3, requires_grad=True)
    loss = variance_loss(z) + covariance_loss(z)
    loss.backward()
    assert loss.item() == pytest.approx(0.99)
    assert z.grad.isfinite().all()
