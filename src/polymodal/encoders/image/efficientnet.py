"""EfficientNets of timm."""

from __future__ import annotations

from typing import Literal

from polymodal.encoders.image.feature_map import FeatureMapEncoder
from polymodal.types import PositiveInt


class EfficientNet(FeatureMapEncoder):
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
            "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3",
            "efficientnet_b4", "efficientnet_b5", "efficientnetv2_rw_t", "efficientnetv2_rw_s",
            "efficientnetv2_rw_m",
        ] = "efficientnet_b0",
        pretrained: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(dim, in_channels, name, pretrained)
