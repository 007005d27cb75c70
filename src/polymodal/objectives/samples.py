"""What a contrastive loss compares: the samples of all processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from polymodal.losses.gather import gather_rows, world_size

MANY = 2**20
"""Numbers of a (B, N) matrix, 4 MiB in fp32, from which losses are computed in tiles."""


class Samples(NamedTuple):
    """The N samples of the global batch, the same in every process but for `own`.

    Attributes:
        x: (N, k, d), one vector a modality, or whatever else the loss compares.
        mask: (N, k) bool, which are present.
        group: (N,) int64. Equal group = positive.
        own: (N,) bool, the B samples whose loss this process answers for.
    """

    x: Tensor
    mask: Tensor
    group: Tensor
    own: Tensor

    @classmethod
    def gathered(cls, x: Tensor, mask: Tensor, group: Tensor) -> Samples:
        """The samples of all processes from those of each, with the gradient of x."""
        rank = dist.get_rank() if world_size() > 1 else 0
        x, mask, group, ranks = gather_rows(x, mask, group, torch.full_like(group, rank))
        return cls(x, mask, group, ranks == rank)

    @classmethod
    def alone(cls, x: Tensor, mask: Tensor, group: Tensor) -> Samples:
        """Samples that make up the whole batch."""
        return cls(x, mask, group, torch.ones_like(group, dtype=torch.bool))

    def having(self, rows: Sequence[int]) -> Samples:
        """The samples that have all of these rows of x, and these rows alone: the others are as if not there."""
        there = self.mask[:, rows].all(1)
        return Samples(self.x[there][:, rows], self.mask[there][:, rows], self.group[there], self.own[there])

    def queries(self) -> Tensor:
        """(B, k, d): x of the own samples; x itself, not a copy, where all are."""
        return self.x if self.own.all() else self.x[self.own]

    def positives(self) -> Tensor:
        """(B, N) bool: for each own sample, which are of its group; itself is."""
        return self.group[self.own][:, None] == self.group

    def are_many(self) -> bool:
        """Whether a (B, N) matrix is too large to hold: a loss that can do without it then does."""
        return int(self.own.sum()) * len(self.own) >= MANY

    def mean(self, losses: Callable[[Samples], Tensor], width: int = 0) -> Tensor:
        """This process' share of the mean over all N of what `losses` says of the own samples, (B,); 0 of none.

        Args:
            losses: samples -> (B,), each a function of its own sample and all N.
            width: numbers that `losses` holds for each own sample. Many are held block by block, and again in backward.
        """
        return self.sum(losses, width) / max(1, len(self.group))

    def sum(self, losses: Callable[[Samples], Tensor], width: int = 0) -> Tensor:
        """The same, not divided."""
        own = self.own.nonzero().squeeze(1)
        if width * len(own) < MANY:
            return losses(self).sum()

        def of_block(rows: Tensor) -> Tensor:
            return losses(self._replace(own=torch.zeros_like(self.own).index_fill(0, rows, True))).sum()

        blocks = own.split(max(1, MANY // width))
        sums = [checkpoint(of_block, rows, use_reentrant=False, preserve_rng_state=False) for rows in blocks]
        return torch.stack(sums).sum()
