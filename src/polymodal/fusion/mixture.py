"""Several experts on all modalities, and a gate that mixes them for each sample."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polymodal.outputs import AuxLoss, FusionOutput
from polymodal.types import NonNegativeFloat, PositiveInt


class Mixture(nn.Module):
    """A softmax over experts, all of which see all modalities side by side (Jacobs et al. 1991;
    FuseMoE, 2024).

    An absent modality is a learned vector, so that the gate can tell which are there. The auxiliary
    loss keeps experts from falling out of use: balance * (experts * sum(load**2) - 1), where load
    (experts,) is the mean gate over the global batch, 0 when all are used alike (after Switch,
    Fedus et al. 2022).

    Parameters: m*d + experts*((m*d + 1)*(hidden + 1) + (hidden + 1)*d)

    Args:
        dim: d.
        modalities: the m names.
        experts: number of experts, 2 or more.
        hidden: width of the MLP that an expert is.
        balance: weight of the auxiliary loss.

    Raises:
        ValueError: there is one expert, and nothing to mix.
    """

    def __init__(
        self,
        dim: PositiveInt,
        modalities: Sequence[str],
        experts: PositiveInt = 4,
        hidden: PositiveInt = 256,
        balance: NonNegativeFloat = 0.01,
    ) -> None:
        super().__init__()
        if experts == 1:
            raise ValueError(
                "experts=1 leaves nothing to mix: give fusion.experts=2 or more, or fusion=concat."
            )
        width = len(modalities) * dim
        self.balance = balance
        self.absent = nn.Parameter(torch.randn(len(modalities), dim) * 0.02)
        self.gate = nn.Linear(width, experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, dim))
            for _ in range(experts)
        )

    def forward(self, x: Tensor, mask: Tensor) -> FusionOutput:
        """(B, m, d), (B, m) bool -> y (B, d), the auxiliary loss."""
        filled = torch.where(mask[:, :, None], x, self.absent.to(x.dtype)).flatten(1)
        gates = self.gate(filled).softmax(1)
        answers = torch.stack([expert(filled) for expert in self.experts], dim=1)  # (B, experts, d)
        return FusionOutput(
            (gates[:, :, None] * answers).sum(1), aux_loss=AuxLoss(gates, self._imbalance)
        )

    def _imbalance(self, load: Tensor) -> Tensor:
        return self.balance * (len(load) * load.square().sum() - 1)
