"""A gate that weighs the modalities of each sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from polymodal.fusion.layers.linear_each import LinearEach
from polymodal.fusion.layers.softmax import masked_softmax
from polymodal.outputs import FusionOutput
from polymodal.types import PositiveInt


class Gated(nn.Module):
    """A softmax over the present modalities weighs them (GMU, Arevalo et al. 2017).

    `gate=modality`: one weight a modality, from its own vector; the vectors are weighed as they
    are. `gate=feature`: one weight a feature of each modality, from all vectors side by side; what
    is weighed is tanh(W_i x_i + b_i). For two modalities these are the paper's z and 1 - z.

    Parameters: d if gate == "modality" else m*(d + 1)*d + (m*d + 1)*m*d
    Symmetric: gate == "modality"

    Args:
        dim: d.
        modalities: the m names.
        gate: what has a weight of its own.
    """

    def __init__(
        self,
        dim: PositiveInt,
        modalities: Sequence[str],
        gate: Literal["modality", "feature"] = "modality",
    ) -> None:
        super().__init__()
        count = len(modalities)
        if gate == "modality":
            self.values: nn.Module = nn.Identity()
            # a bias would be the same for all, and cancel
            self.gate: nn.Module = nn.Linear(dim, 1, bias=False)
        else:
            self.values = nn.Sequential(LinearEach(count, dim, dim), nn.Tanh())
            self.gate = nn.Sequential(
                nn.Flatten(), nn.Linear(count * dim, count * dim), nn.Unflatten(1, (count, dim))
            )

    def forward(self, x: Tensor, mask: Tensor) -> FusionOutput:
        """(B, m, d), (B, m) bool -> y (B, d), weights (B, m) that sum to 1, or to 0 where all are
        absent.
        """
        x = x.masked_fill(~mask[:, :, None], 0)
        weights = masked_softmax(self.gate(x), mask[:, :, None], dim=1)  # (B, m, 1) or (B, m, d)
        return FusionOutput((weights * self.values(x)).sum(1), weights.mean(2))
