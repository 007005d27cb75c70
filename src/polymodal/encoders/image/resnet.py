"""Residual networks of timm."""

from __future__ import annotations

from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn

from polymodal.tokens import Tokens
from polymodal.types import PositiveInt


class ResNet(nn.Module):
    """A residual network (He et al. 2016) of timm with its last layer of width d.

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
            "resnet10t", "resnet14t", "resnet18", "resnet26", "resnet34", "resnet50", "resnet101", "resnet152"
        ] = "resnet18",
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.resnet: Any = timm.create_model(name, pretrained=pretrained, in_chans=in_channels, num_classes=dim)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, d)."""
        return self.resnet(images)

    def tokens(self, images: Tensor) -> Tokens:
        """(B, C, H, W) -> a vector (B, h * w, d) of each place of the last feature map; their mean is `forward`."""
        features = self.resnet.forward_features(images).flatten(2).transpose(1, 2)
        values = self.resnet.fc(features)
        return Tokens(values, values.new_ones(values.shape[:2], dtype=torch.bool))
