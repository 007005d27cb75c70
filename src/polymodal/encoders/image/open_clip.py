"""Image towers of the open_clip library."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from polymodal.encoders.open_clip import create, first
from polymodal.types import PositiveInt


class OpenCLIP(nn.Module):
    """The image tower of a model of open_clip (Ilharco et al. 2021), with its own pooling and
    projection.

    Pretrained weights expect the pixels that they were trained with: for most of them
    `data.mean=[0.481,0.458,0.408] data.std=[0.269,0.261,0.276]`, for SigLIP 0.5 and 0.5.

    Args:
        dim: d, the width of the output; with weights that of the model.
        name: one of `open_clip.list_models()`, `local-dir:<folder>` or `hf-hub:<repository>`.
        in_channels: C; a grey image is given to all three channels of the tower.
        image_size: H = W.
        pretrained: a file of weights, or a tag of open_clip's (downloaded once); None for random
            weights.

    Raises:
        ConfigError: open_clip is not installed.
        ValueError: there is no such model, or its weights do not fit.
    """

    def __init__(
        self,
        dim: PositiveInt,
        name: str = "ViT-B-32",
        in_channels: Literal[1, 3] = 3,
        image_size: PositiveInt = 224,
        pretrained: str | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.tower = create(name, dim, pretrained, image_size).visual

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, d)."""
        return first(self.tower(images.expand(-1, 3, -1, -1)))
