"""Image augmentation of a whole batch on the device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def shift_and_scale(images: Tensor, shift: float, scale: float) -> Tensor:
    """Moves and zooms each image by its own random amount, bilinear, black outside.

    Args:
        images: (B, C, H, W) float.
        shift: at most this share of the side, in each direction.
        scale: at most this much smaller or larger: 0.1 is 0.9 to 1.1.
    """
    if shift == 0 and scale == 0:
        return images
    count, _, height, width = images.shape
    zoom = 1 + scale * (2 * torch.rand(count, 1, device=images.device) - 1)
    moved = 2 * shift * (2 * torch.rand(count, 2, device=images.device) - 1)  # a grid is 2 wide
    x, y = (zoom * _centres(images, side) + moved[:, i, None] for i, side in enumerate((width, height)))
    # F.affine_grid would multiply matrices for each pixel, and takes longer than the sampling
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
    return F.grid_sample(images, grid, align_corners=False)


def _centres(images: Tensor, side: int) -> Tensor:
    """Where the pixels of a side lie between -1 and 1."""
    return (torch.arange(side, device=images.device, dtype=images.dtype) * 2 + 1) / side - 1


def flip(images: Tensor, probability: float) -> Tensor:
    """Mirrors each image, left for right, with this probability. (B, C, H, W) -> the same."""
    if probability == 0:
        return images
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < probability
    return torch.where(mirrored, images.flip(-1), images)
