"""Volumes of parallelotopes, with a gradient that is finite where they are flat."""

from __future__ import annotations

import torch
from torch import Tensor

EPS = 1e-6
"""Added to the squared volume: the slope of a root is infinite at 0, which is where training wants
to be."""


def volumes(anchors: Tensor, others: Tensor) -> Tensor:
    """Volume spanned by each anchor together with each tuple of other vectors (GRAM, Cicchetti et
    al. 2025).

    The squared volume is the determinant of the Gram matrix, a polynomial: it is expanded along the
    anchor, so that B N (m - 1) and N (m - 1)^2 numbers are held, not B N m^2, and nothing is ever
    inverted. In fp64 where the device has it: of vectors that are nearly aligned the determinant is
    a small difference of large numbers.

    Args:
        anchors: (B, d).
        others: (N, m - 1, d), any m >= 2.

    Returns:
        (B, N), in [0, 1] for unit vectors but for `EPS`.
    """
    given = anchors.dtype
    if anchors.device.type != "mps":
        anchors, others = anchors.double(), others.double()
    determinant, adjugate = determinant_and_adjugate(others @ others.mT)
    products = torch.einsum("bd,nkd->bnk", anchors, others)
    shared = (torch.einsum("bnk,nkl->bnl", products, adjugate) * products).sum(2)
    squared = anchors.square().sum(1, keepdim=True) * determinant - shared
    return (squared.clamp(min=0) + EPS).sqrt().to(given)


def determinant_and_adjugate(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """(N, k, k) -> (N,) and (N, k, k), by the recursion of Faddeev and LeVerrier: right for
    singular ones too.
    """
    size = matrices.shape[-1]
    identity = torch.eye(size, dtype=matrices.dtype, device=matrices.device)
    adjugate = identity.expand_as(matrices)
    for step in range(1, size + 1):
        product = matrices @ adjugate
        coefficient = -product.diagonal(dim1=1, dim2=2).sum(1) / step
        if step < size:
            adjugate = product + coefficient[:, None, None] * identity
    return (-1) ** size * coefficient, (-1) ** (size - 1) * adjugate
