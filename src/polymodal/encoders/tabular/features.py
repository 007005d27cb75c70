"""Ready vectors, such as features that another model has computed."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

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
            raise ValueError(f"dropout={dropout} follows hidden layers, and there are none: give hidden or dropout=0")
        layers: list[nn.Module] = []
        for width_in, width in zip([in_features, *hidden], hidden, strict=False):
            layers += [nn.Linear(width_in, width), nn.GELU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear([in_features, *hidden][-1], dim))

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_features) -> (B, d)."""
        return self.layers(features)
