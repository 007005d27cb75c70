"""Samples of a stream that were left out, counted by reason over all loading processes; how many come is not known."""

from __future__ import annotations

import logging
from typing import Literal

import torch
import torch.distributed as dist
from torch.utils.data import get_worker_info

from polymodal.data.skips import REASONS, BadSampleError
from polymodal.errors import DataError

log = logging.getLogger(__name__)

ENOUGH = 1000
"""Samples from which on a share of bad ones is judged while they are read."""

SEEN, ENDED = len(REASONS), len(REASONS) + 1
"""Columns after those of the reasons: samples that came, and how often all were read."""


class StreamSkips:
    """What was read and what was left out; each loading process counts for itself, in memory that all of them see.

    Args:
        workers: number of loading processes.
        on_error: `raise` at the first bad sample, or `skip` it.
        max_bad_fraction: the largest share of samples that may be skipped.
    """

    def __init__(self, workers: int, on_error: Literal["raise", "skip"], max_bad_fraction: float) -> None:
        self.table = torch.zeros(workers + 1, 2 + len(REASONS), dtype=torch.int64).share_memory_()
        self.on_error, self.max_bad_fraction = on_error, max_bad_fraction

    def count(self) -> None:
        """Notes that a sample came."""
        self._own[SEEN] += 1

    def end(self) -> None:
        """Notes that this loading process has read all that it had to; the last one of them judges the share.

        Raises:
            DataError: it is too large.
        """
        self._own[ENDED] += 1
        together = self.table[:1] if get_worker_info() is None else self.table[1:]
        if together[:, ENDED].min() == self._own[ENDED]:
            self.check()

    def reject(self, place: str, error: BadSampleError) -> None:
        """Notes a bad sample, or a shard that ends too early.

        Raises:
            DataError: bad samples are not to be skipped, or there are too many of them.
        """
        if self.on_error == "raise":
            raise DataError(f"{place}: {error} (data.on_error=skip leaves such samples out)") from error
        reason = REASONS.index(error.reason)
        log.log(logging.DEBUG if self._own[reason] else logging.WARNING, "Left out: %s: %s", place, error)
        self._own[reason] += 1
        self.check(ENOUGH)

    def check(self, enough: int = 1) -> None:
        """Judges the share of bad samples, once `enough` came.

        Raises:
            DataError: it is too large.
        """
        if sum(self.counts().values()) > self.max_bad_fraction * max(self.seen, enough):
            raise DataError(f"{self.summary()}\nThat is more than data.max_bad_fraction={self.max_bad_fraction}.")

    @property
    def seen(self) -> int:
        """Samples that came, in all epochs."""
        return int(self.table[:, SEEN].sum())

    def total(self) -> torch.Tensor:
        """A row of all columns over the loading processes of this process."""
        return self.table.sum(0)

    def over_processes(self) -> torch.Tensor:
        """The same over all processes of a run, on each of them."""
        if not (dist.is_available() and dist.is_initialized()):
            return self.total()
        total = self.total().to("cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.all_reduce(total, dist.ReduceOp.SUM)
        return total.cpu()

    def counts(self) -> dict[str, int]:
        """Reason -> how often, in all epochs, for those that occurred."""
        return counts_of(self.total())

    def summary(self) -> str:
        """One sentence: how many were left out, and why."""
        return summary_of(self.total())

    @property
    def _own(self) -> torch.Tensor:
        worker = get_worker_info()
        return self.table[0 if worker is None else 1 + worker.id]


def counts_of(total: torch.Tensor) -> dict[str, int]:
    """Reason -> how often, for those that occurred."""
    return {reason: count for reason, count in zip(REASONS, total.tolist(), strict=False) if count}


def summary_of(total: torch.Tensor) -> str:
    """One sentence: how many samples were left out, and why."""
    counts = counts_of(total)
    reasons = ", ".join(f"{reason} {count}" for reason, count in counts.items())
    return f"{sum(counts.values())} of {int(total[SEEN])} samples that were read left out: {reasons}."
