"""The mean vector of a modality stands for an absent one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from polymodal.types import PositiveInt, Probability


class Mean(nn.Module):
    """Mean imputation: a running mean of each modality's vectors, followed in training, no
    gradient.

    Args:
        dim: d.
        modalities: the m names.
        momentum: share of the old mean that a batch leaves in place.
    """

    mean: Tensor
    seen: Tensor

    def __init__(
        self, dim: PositiveInt, modalities: Sequence[str], momentum: Probability = 0.99
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(len(modalities), dim))
        self.register_buffer("seen", torch.zeros(len(modalities), dtype=torch.bool))

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, m, d), (B, m) bool -> x with the mean in absent rows, a mask that is True
        everywhere.
        """
        if self.training:
            self._follow(x.detach(), mask)
        return torch.where(mask[:, :, None], x, self.mean.to(x.dtype)), torch.ones_like(mask)

    @torch.no_grad()
    def _follow(self, x: Tensor, mask: Tensor) -> None:
        total = x.masked_fill(~mask[:, :, None], 0).sum(0).to(self.mean.dtype)
        count = mask.sum(0).to(self.mean.dtype)
        # the mean of the global batch, the same on all processes
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(total)
            dist.all_reduce(count)
        batch_mean = total / count.clamp(min=1)[:, None]
        # the first batch is the first mean
        old = torch.where(self.seen[:, None], self.mean, batch_mean)
        new = self.momentum * old + (1 - self.momentum) * batch_mean
        self.mean.copy_(torch.where((count > 0)[:, None], new, self.mean))
        self.seen |= count > 0
