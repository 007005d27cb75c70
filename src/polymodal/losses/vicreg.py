"""The three terms of VICReg, each a function of the embeddings of a whole batch."""

from __future__ import annotations

from torch import Tensor

EPS = 1e-4
"""Added to the variance under the root, as in the paper."""


def variance_loss(z: Tensor) -> Tensor:
    """(N, d) -> scalar: how far the standard deviation of each dimension falls short of 1 (Bardes
    et al. 2022).
    """
    centred = z - z.mean(0)
    variance = centred.square().sum(0) / max(1, len(z) - 1)
    return (1 - (variance + EPS).sqrt()).relu().mean()


def covariance_loss(z: Tensor) -> Tensor:
    """(N, d) -> scalar: the squared covariances of different dimensions, divided by d (Bardes et
    al. 2022).
    """
    centred = z - z.mean(0)
    covariance = centred.T @ centred / max(1, len(z) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]


def invariance_loss(a: Tensor, b: Tensor) -> Tensor:
    """(B, d), (B, d) -> (B,): the mean squared difference of the two embeddings of each sample."""
    return (a - b).square().mean(1)
