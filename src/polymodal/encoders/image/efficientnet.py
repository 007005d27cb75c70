"""EfficientNets of timm."""

from __future__ import annotations

from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn

from polymodal.tokens import Tokens
from polymodal.types import PositiveInt


class EfficientNet(nn.Module):
    """An EfficientNet (Tan & Le 2019) of timm with its last layer of width d.

    Args:
        dim: d, the width of the output.
        in_channels: C.
        name: which one.
        pretrained: start from timm's ImageNet weights (downloaded once).
    """

    def __init__(
        self,
        dim: PositiveInt,
        in_channels: PositiveInt = 1,
        name: Literal[
            "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4",
            "efficientnet_b5", "efficientnetv2_rw_t", "efficientnetv2_rw_s", "efficientnetv2_rw_m",
        ] = "efficientnet_b0",
        pretrained: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.efficientnet: Any = timm.create_model(name, pretrained=pretrained, in_chans=in_channels, num_classes=dim)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, d)."""
        return self.efficientnet(images)

    def tokens(self, images: Tensor) -> Tokens:
        """(B, C, H, W) -> a vector (B, h * w, d) of each place of the last feature map; their mean is `forward`."""
        features = self.efficientnet.forward_features(images).flatten(2).transpose(1, 2)
        values = self.efficientnet.classifier(features)
        return Tokens(values, values.new_ones(values.shape[:2], dtype=torch.bool))
