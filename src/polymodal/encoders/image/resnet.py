"""Residual networks of timm."""

from __future__ import annotations

from typing import Literal

from polymodal.encoders.image.feature_map import FeatureMapEncoder
from polymodal.types import PositiveInt


class ResNet(FeatureMapEncoder):
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
            "resnet10t",
            "resnet14t",
            "resnet18",
            "resnet26",
            "resnet34",
            "resnet50",
            "resnet101",
            "resnet152",
        ] = "resnet18",
        pretrained: bool = False,
    ) -> None:
        super().__init__(dim, in_channels, name, pretrained)
