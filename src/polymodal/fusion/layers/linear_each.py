"""A linear map for each modality."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LinearEach(nn.Module):
    """Row i of X through its own linear map.

    Parameters: m*(d + 1)*outputs

    Args:
        count: m.
        dim: d.
        outputs: what each map gives.
    """

    def __init__(self, count: int, dim: int, outputs: int) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(dim, outputs) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        """(B, m, d) -> (B, m, outputs)."""
        return torch.stack(
            [linear(row) for linear, row in zip(self.maps, x.unbind(1), strict=True)], dim=1
        )
