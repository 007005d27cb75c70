"""Volumes against numpy's determinants, and where they are flat."""

import numpy as np
import pytest
import torch

from polymodal.losses.volume import EPS, determinant_and_adjugate, volumes


def unit(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, dtype=dtype), dim=-1)


@pytest.mark.parametrize("m", range(2, 8))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_volumes_are_roots_of_gram_determinants(m: int, dtype: torch.dtype) -> None:
    torch.manual_seed(m)
    anchors, others = unit(4, 9, dtype=dtype), unit(5, m - 1, 9, dtype=dtype)
    found = volumes(anchors, others)
    for i in range(4):
        for j in range(5):
            rows = torch.cat([anchors[i : i + 1], others[j]]).double().numpy()
            expected = np.sqrt(np.linalg.det(rows @ rows.T) + EPS)
            assert found[i, j].item() == pytest.approx(
                expected, abs=1e-12 if dtype == torch.float64 else 1e-4
            )


def test_gradients_are_those_of_the_values() -> None:
    torch.manual_seed(0)
    anchors, others = unit(3, 5).requires_grad_(), unit(2, 2, 5).requires_grad_()
    assert torch.autograd.gradcheck(volumes, (anchors, others))


@pytest.mark.parametrize("m", [2, 3, 6])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "factors", [[1.0], [1.0, -1.0], [1.0, 0.0]], ids=["coincident", "collinear", "zero"]
)
def test_flat_ones_have_finite_gradients(m: int, dtype: torch.dtype, factors: list[float]) -> None:
    torch.manual_seed(0)
    factor = torch.tensor([factors[k % len(factors)] for k in range(m)], dtype=dtype)
    x = (unit(1, 1, 7, dtype=dtype) * factor[None, :, None]).requires_grad_()
    volume = volumes(x[:, 0], x[:, 1:])
    assert volume.item() == pytest.approx(EPS**0.5, abs=2e-3)
    (gradient,) = torch.autograd.grad(volume.sum(), x)
    assert gradient.isfinite().all()
    assert gradient.abs().max() < 2


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_the_adjugate_is_right_for_singular_matrices(k: int) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, k, k).double()
    matrices[0, :, 0] = 0
    determinant, adjugate = determinant_and_adjugate(matrices)
    torch.testing.assert_close(determinant, torch.linalg.det(matrices), rtol=1e-9, atol=1e-12)
    expected = determinant[:, None, None] * torch.eye(k).double()
    torch.testing.assert_close(matrices @ adjugate, expected, rtol=1e-9, atol=1e-12)
    minors = torch.tensor(
        [
            [
                (-1) ** (i + j)
                * np.linalg.det(np.delete(np.delete(matrices[0].numpy(), j, 0), i, 1))
                for j in range(k)
            ]
            for i in range(k)
        ]
    )
    torch.testing.assert_close(adjugate[0], minors, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("m", [3, 6, 8])
@pytest.mark.parametrize("spread", [0.3, 0.1])
def test_nearly_aligned_ones_are_right_in_fp32(m: int, spread: float) -> None:
    torch.manual_seed(0)
    base = torch.randn(4, 1, 64)
    x = torch.nn.functional.normalize(base + spread * torch.randn(4, m, 64), dim=-1)
    single, double = x.clone().requires_grad_(), x.double().requires_grad_()
    for tensor in (single, double):
        volumes(tensor[:, 0], tensor[:, 1:]).sum().backward()
    found, expected = volumes(x[:, 0], x[:, 1:]), np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            rows = torch.cat([x[i, :1], x[j, 1:]]).double().numpy()
            expected[i, j] = np.sqrt(np.linalg.det(rows @ rows.T) + EPS)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(single.grad.double(), double.grad, rtol=1e-3, atol=1e-5)
