"""Images of any origin -> what an image encoder takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from polymodal.data.media.images import middle_square, read_image


def pixels(values: Sequence[Any], about: Mapping[str, Any]) -> Tensor:
    """N paths, bytes or Pillow images -> (N, C, S, S) uint8.

    Args:
        values: the images.
        about: how they are read, see `PairedDataModule.formats`.
    """
    return torch.stack([_square(value, about) for value in values])


def normalised(images: Tensor, about: Mapping[str, Any]) -> Tensor:
    """(N, C, S, S) uint8 -> float32 as the encoder takes them."""
    mean = torch.tensor(about["mean"], device=images.device).view(-1, 1, 1)
    std = torch.tensor(about["std"], device=images.device).view(-1, 1, 1)
    return (images / 255 - mean) / std


def _square(value: Any, about: Mapping[str, Any]) -> Tensor:
    """(C, S, S) uint8."""
    size, channels, image_max = about["size"], about["channels"], about.get("image_max")
    if isinstance(value, Image.Image):
        return torch.from_numpy(middle_square(value, size, channels, image_max))
    source = value if isinstance(value, bytes) else Path(value)
    return torch.from_numpy(read_image(source, size, channels, image_max=image_max))
