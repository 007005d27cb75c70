"""Ready vectors, such as features that another model has computed."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from polymodal.errors import ConfigError
from polymodal.types import PositiveInt, Probability


class Features(nn.Module):
    """One linear layer over vectors or, with `hidden`, a multi-layer perceptron with GELU.

    Args:
        dim: d, the width of the output.
        in_features: numbers a sample, best of mean 0 and variance 1.
        hidden: widths of the layers between.
        dropout: rate after each of them.

    Raises:
        ValueError: a dropout without a hidden layer.
        ConfigError: at the first batch, vectors of another length.
    """

    def __init__(
        self,
        dim: PositiveInt,
        in_features: PositiveInt,
        hidden: Sequence[PositiveInt] = (),
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        if dropout and not hidden:
            raise ValueError(
                f"dropout={dropout} follows hidden layers, and there are none: give hidden or "
                "dropout=0"
            )
        self.in_features = in_features
        layers: list[nn.Module] = []
        for width_in, width in zip([in_features, *hidden], hidden, strict=False):
            layers += [nn.Linear(width_in, width), nn.GELU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear([in_features, *hidden][-1], dim))

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_features) -> (B, d)."""
        if features.shape[-1] != self.in_features:
            raise ConfigError(
                f"The vectors of the data have {features.shape[-1]} numbers: give this encoder "
                f"in_features={features.shape[-1]} instead of {self.in_features}."
            )
        return self.layers(features)
