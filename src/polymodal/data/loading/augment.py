"""Augmentation of a whole batch on the device. Each sample is given its own random numbers.

They are hashed of its id and of the step (`polymodal.hashing`), so that they depend on no process
and no worker.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from polymodal.batch import PAD, closed_up
from polymodal.hashing import hashed_uniform


def uniform_of(id: Tensor, count: int, *salts: int) -> Tensor:
    """Random numbers of samples.

    Args:
        id: (B,) int64, of the samples.
        count: how many each needs.
        salts: such as the step; other numbers, other draws.

    Returns:
        (B, count) in [0, 1).
    """
    return hashed_uniform(id[:, None], *salts, torch.arange(count, device=id.device))


def shift_and_scale(images: Tensor, shift: float, scale: float, uniform: Tensor) -> Tensor:
    """Moves and zooms each image, bilinear; what comes in from outside has the colour of the
    nearest edge.

    Args:
        images: (B, C, H, W) float.
        shift: at most this share of the side, in each direction.
        scale: at most this much smaller or larger: 0.1 is 0.9 to 1.1.
        uniform: (B, 3) in [0, 1), for the zoom and both directions.
    """
    if shift == 0 and scale == 0:
        return images
    _, _, height, width = images.shape
    signed = 2 * uniform.to(images) - 1
    zoom = 1 + scale * signed[:, :1]
    moved = 2 * shift * signed[:, 1:]  # a grid is 2 wide
    x, y = (
        zoom * _centres(images, side) + moved[:, i, None] for i, side in enumerate((width, height))
    )
    # F.affine_grid would multiply matrices for each pixel, and takes longer than the sampling
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _centres(images: Tensor, side: int) -> Tensor:
    """Where the pixels of a side lie between -1 and 1."""
    return (torch.arange(side, device=images.device, dtype=images.dtype) * 2 + 1) / side - 1


def flip(images: Tensor, probability: float, uniform: Tensor) -> Tensor:
    """Mirrors each image, left for right, with this probability. (B, C, H, W), (B,) in [0, 1) ->
    (B, C, H, W).
    """
    if probability == 0:
        return images
    mirrored = (uniform < probability)[:, None, None, None]
    return torch.where(mirrored, images.flip(-1), images)


def drop_tokens(ids: Tensor, rate: float, uniform: Tensor) -> Tensor:
    """Loses each token with this probability, the others close ranks (Iyyer et al. 2015).

    Args:
        ids: (B, T) int64, padded with `PAD`.
        rate: in [0, 1].
        uniform: (B, T) in [0, 1).

    Returns:
        (B, T) int64. A caption that would lose all of its tokens loses none.
    """
    if rate == 0:
        return ids
    left = ids.masked_fill(uniform < rate, PAD)
    is_empty = (left == PAD).all(1, keepdim=True)
    return torch.where(is_empty, ids, closed_up(left))
