"""What convolutional networks of timm share: one vector an image, or one a place of the last
feature map.
"""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor, nn

from polymodal.outputs import Tokens


class FeatureMapEncoder(nn.Module):
    """A convolutional network of timm with its last layer of width d.

    Args:
        dim: d, the width of the output.
        in_channels: C.
        name: which one.
        pretrained: start from timm's ImageNet weights (downloaded once).
    """

    def __init__(self, dim: int, in_channels: int, name: str, pretrained: bool) -> None:
        super().__init__()
        self.network: Any = timm.create_model(
            name, pretrained=pretrained, in_chans=in_channels, num_classes=dim
        )
        # depthwise convolutions are 2.5 times faster so, on a CPU
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, d)."""
        return self.network(images.contiguous(memory_format=torch.channels_last))

    def tokens(self, images: Tensor) -> Tokens:
        """(B, C, H, W) -> a vector (B, h * w, d) of each place of the last feature map; their mean
        is `forward`.
        """
        features = self.network.forward_features(
            images.contiguous(memory_format=torch.channels_last)
        )
        values = self.network.get_classifier()(features.flatten(2).transpose(1, 2))
        return Tokens(values, values.new_ones(values.shape[:2], dtype=torch.bool))
