"""Vision transformers of timm."""

from __future__ import annotations

import timm
import torch
from torch import Tensor, nn

from polymodal.outputs import Tokens
from polymodal.types import PositiveInt, Probability


class ViT(nn.Module):
    """A plain vision transformer (Dosovitskiy et al. 2021), built by timm to the size asked for.

    Args:
        dim: d, the width of the output.
        in_channels: C.
        image_size: H = W, a multiple of `patch_size`.
        patch_size: side of a patch.
        width: of the blocks, a multiple of `heads`.
        layers: number of blocks.
        heads: attention heads a block.
        dropout: rate on the residual branches.
    """

    def __init__(
        self,
        dim: PositiveInt,
        in_channels: PositiveInt = 1,
        image_size: PositiveInt = 32,
        patch_size: PositiveInt = 4,
        width: PositiveInt = 128,
        layers: PositiveInt = 4,
        heads: PositiveInt = 4,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise ValueError(
                f"image_size={image_size} is not a multiple of patch_size={patch_size}"
            )
        if width % heads:
            raise ValueError(f"width={width} is not a multiple of heads={heads}")
        self.vit = timm.models.VisionTransformer(
            img_size=image_size,
            patch_size=patch_size,
            in_chans=in_channels,
            embed_dim=width,
            depth=layers,
            num_heads=heads,
            proj_drop_rate=dropout,
            num_classes=dim,
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, d)."""
        return self.vit(images)

    def tokens(self, images: Tensor) -> Tokens:
        """(B, C, H, W) -> a vector (B, 1 + patches, d) of the class token, which is `forward`, and
        of each patch.
        """
        values = self.vit.head(self.vit.forward_features(images))
        return Tokens(values, values.new_ones(values.shape[:2], dtype=torch.bool))
