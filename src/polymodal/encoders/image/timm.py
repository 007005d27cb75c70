"""Any image model of timm."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor, nn

from polymodal.errors import did_you_mean
from polymodal.outputs import Tokens
from polymodal.types import PositiveInt


class Timm(nn.Module):
    """A model of timm with its own pooling, then one linear map of our own.

    Args:
        dim: d, the width of the output.
        name: of the model, if wanted with the tag of its weights:
            `vit_base_patch16_224.augreg_in1k`. All of them: `python -c "import timm;
            print(timm.list_models())"`.
        in_channels: C.
        image_size: H = W. Models that are built for one size are built for this one.
        pretrained: start from timm's weights (downloaded once).

    Raises:
        ValueError: there is no such model, or it cannot read images of this size.
    """

    def __init__(
        self,
        dim: PositiveInt,
        name: str,
        in_channels: PositiveInt = 1,
        image_size: PositiveInt = 32,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.model: Any
        size: dict[str, Any] = {"img_size": image_size} if _about(name).fixed_input_size else {}
        try:
            self.model = timm.create_model(
                name, pretrained=pretrained, in_chans=in_channels, num_classes=0, **size
            )
            with torch.no_grad():
                self.model.eval().forward_features(
                    torch.zeros(1, in_channels, image_size, image_size)
                )
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"name={name} cannot be built for image_size={image_size}: {error}"
            ) from error
        self.model.train()
        self.projection = nn.Linear(self.model.head_hidden_size, dim)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, d)."""
        return self.projection(self.model(images))

    def tokens(self, images: Tensor) -> Tokens:
        """(B, C, H, W) -> (B, n, d): first what `forward` gives, then each patch or place of the
        last feature map.

        Of models whose head is wider than their feature map, the first alone.
        """
        features = self.model.forward_features(images)
        pooled = self.model.forward_head(features)[:, None]
        places = self._places(features)
        if places.shape[-1] == pooled.shape[-1]:
            pooled = torch.cat([pooled, places], dim=1)
        values = self.projection(pooled)
        return Tokens(values, values.new_ones(values.shape[:2], dtype=torch.bool))

    def _places(self, features: Tensor) -> Tensor:
        """(B, c, h, w), (B, h, w, c) or (B, n, c), as timm has it -> (B, n, c)."""
        if features.ndim == 3:
            return features[:, getattr(self.model, "num_prefix_tokens", 0) :]
        if str(getattr(self.model, "output_fmt", "NCHW")).endswith("NHWC"):
            return features.flatten(1, 2)
        return features.flatten(2).transpose(1, 2)


def _about(name: str) -> timm.models.PretrainedCfg:
    """What timm knows of a model without building it."""
    # names of hubs and folders too: timm's own checkpoints alone are read
    if not timm.is_model(name):
        hint = did_you_mean(name, timm.list_models())
        raise ValueError(f"name={name}: timm has no such model.{hint}")
    try:
        return timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
    except RuntimeError as error:  # of the tag
        tags = [
            full.partition(".")[2] for full in timm.list_pretrained(f"{name.partition('.')[0]}.*")
        ]
        raise ValueError(f"name={name}: {error} There are: {', '.join(tags) or 'none'}") from error
