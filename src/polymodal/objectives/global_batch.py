"""What a contrastive loss compares: the samples of all processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from polymodal.training.distributed.collectives import exchanged, gather_rows, world_size

MANY = 2**20
"""Numbers of a (B, N) matrix, 4 MiB in fp32, from which losses are computed in tiles."""


class GlobalBatch(NamedTuple):
    """The N samples of the global batch, the same in every process but for `own`.

    Attributes:
        x: (N, k, d), one vector a modality, or whatever else the loss compares.
        mask: (N, k) bool, which are present.
        group: (N,) int64. Equal group = positive.
        own: (B,) int64, which samples this process answers for, in their order.
        complete: nothing is missing, and the host knows it without a look at the mask, which would
            wait for the device.
    """

    x: Tensor
    mask: Tensor
    group: Tensor
    own: Tensor
    complete: bool = False

    @classmethod
    def gathered(
        cls, x: Tensor, mask: Tensor, group: Tensor, complete: bool = False
    ) -> GlobalBatch:
        """The samples of all processes from those of each, with the gradient of x."""
        counts, all_complete = zip(
            *exchanged(len(group), complete, device=group.device), strict=True
        )
        rank = dist.get_rank() if world_size() > 1 else 0
        own = torch.arange(sum(counts[:rank]), sum(counts[: rank + 1]), device=group.device)
        x, mask, group = gather_rows(x, mask, group, counts=counts)
        return cls(x, mask, group, own, all(all_complete))

    @classmethod
    def alone(cls, x: Tensor, mask: Tensor, group: Tensor) -> GlobalBatch:
        """GlobalBatch that make up the whole batch."""
        return cls(x, mask, group, torch.arange(len(group), device=group.device))

    def having(self, rows: Sequence[int]) -> GlobalBatch:
        """The samples that have all of these rows of x, and these rows alone: the others are as if
        not there.
        """
        x, mask = (
            torch.stack([column[:, row] for row in rows], dim=1) for column in (self.x, self.mask)
        )
        return self._replace(x=x, mask=mask)._only(mask.all(1))

    def apart(self) -> GlobalBatch:
        """Each row of x that is there as a sample of its own: x (R, d), mask (R,)."""
        k = self.mask.shape[1]
        own = (k * self.own[:, None] + torch.arange(k, device=self.own.device)).flatten()
        x, mask = self.x.flatten(0, 1), self.mask.flatten()
        return GlobalBatch(x, mask, self.group.repeat_interleave(k), own, self.complete)._only(mask)

    def _only(self, there: Tensor) -> GlobalBatch:
        """Those that are there, (N,) bool."""
        if self.complete:
            return self
        kept = there.nonzero().squeeze(1)
        if self.all_own():
            own = torch.arange(len(kept), device=kept.device)
        else:
            own = (there.cumsum(0) - 1)[self.own[there[self.own]]]
        return GlobalBatch(self.x[kept], self.mask[kept], self.group[kept], own)

    def all_own(self) -> bool:
        """Whether this process answers for all samples."""
        return len(self.own) == len(self.group)

    def queries(self) -> Tensor:
        """(B, k, d): x of the own samples; x itself, not a copy, where all are."""
        return self.x if self.all_own() else self.x[self.own]

    def positives(self) -> Tensor:
        """(B, N) bool: for each own sample, which are of its group; itself is."""
        return self.group[self.own][:, None] == self.group

    def are_many(self) -> bool:
        """Whether a (B, N) matrix is too large to hold: a loss that can do without it then does."""
        return len(self.own) * len(self.group) >= MANY

    def mean(self, losses: Callable[[GlobalBatch], Tensor], width: int = 0) -> Tensor:
        """This process' share of the mean over all N of what `losses` says of the own samples,
        (B,); 0 of none.

        Args:
            losses: samples -> (B,), each a function of its own sample and all N.
            width: numbers that `losses` holds for each own sample. Many are held block by block,
                and again in backward.
        """
        return self.sum(losses, width) / max(1, len(self.group))

    def sum(self, losses: Callable[[GlobalBatch], Tensor], width: int = 0) -> Tensor:
        """The same, not divided."""
        if width * len(self.own) < MANY:
            return losses(self).sum()

        def of_block(rows: Tensor) -> Tensor:
            return losses(self._replace(own=rows)).sum()

        blocks = self.own.split(max(1, MANY // width))
        sums = [
            checkpoint(of_block, rows, use_reentrant=False, preserve_rng_state=False)
            for rows in blocks
        ]
        return torch.stack(sums).sum()
