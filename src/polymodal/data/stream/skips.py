"""Samples of a stream that were left out, counted by reason as far as batches were used; how many
come is not known.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer

from polymodal.data.loading.bad_samples import REASONS, BadSampleError
from polymodal.errors import DataError

log = logging.getLogger(__name__)

ENOUGH = 1000
"""Samples from which on a share of bad ones is evaluated while they are read."""

SEEN = len(REASONS)
"""Column after those of the reasons: samples that came."""


class ReadCounts(NamedTuple):
    """What was read for a batch.

    Attributes:
        counts: a column a reason, and the samples that came.
        split: whose batch it is.
        number: of the batch in its pass over the split, from 1 on.
        first: whether the pass, or what is left of it, begins with the batch.
        last: whether it ends with the batch.
    """

    counts: tuple[int, ...]
    split: str = ""
    number: int = 0
    first: bool = False
    last: bool = False

    def with_counts(self, other: ReadCounts) -> ReadCounts:
        """The same batch, for which the other was read too."""
        return self._replace(
            counts=tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        )


class ReadCounter:
    """What a loading process reads and leaves out; it sends the counts with its batches.

    Args:
        on_error: `raise` at the first bad sample, or `skip` it.
    """

    def __init__(self, on_error: Literal["raise", "skip"]) -> None:
        self.on_error, self.known = on_error, set[str]()
        self.recent = [0] * (1 + len(REASONS))

    def count(self) -> None:
        """Notes that a sample came."""
        self.recent[SEEN] += 1

    def reject(self, place: str, error: BadSampleError) -> None:
        """Notes a bad sample, or a shard that ends too early.

        Raises:
            DataError: bad samples are not to be skipped.
        """
        if self.on_error == "raise":
            raise DataError(
                f"{place}: {error} (data.on_error=skip leaves such samples out)"
            ) from error
        log.log(
            logging.DEBUG if error.reason in self.known else logging.WARNING,
            "Left out: %s: %s",
            place,
            error,
        )
        self.known.add(error.reason)
        self.recent[REASONS.index(error.reason)] += 1

    def taken(self) -> ReadCounts:
        """What was read since this was asked for last."""
        read = ReadCounts(tuple(self.recent))
        self.recent = [0] * len(self.recent)
        return read


class StreamSkips:
    """What was read of a split and left out of it, in all epochs, up to the last batch that was
    used.

    It follows from the batches alone, however many of them were loaded in advance: so a run that
    goes on counts on.

    Args:
        max_bad_fraction: the largest share of samples that may be skipped.

    Attributes:
        total: (columns,) counts.
        before_pass: the same before the pass that the last batch is of.
        before_last: the same before the last batch.
        number: of the last batch in its pass.
    """

    def __init__(self, max_bad_fraction: float) -> None:
        self.max_bad_fraction = max_bad_fraction
        self.total = self.before_pass = self.before_last = torch.zeros(
            1 + len(REASONS), dtype=torch.int64
        )
        self.number = self.reported = 0

    def use(self, read: ReadCounts) -> None:
        """Counts a batch, and looks at the share of bad samples, once `ENOUGH` came or a pass ends.

        Raises:
            DataError: it is too large.
        """
        self.before_last, self.number = self.total, read.number
        if read.first:
            self.before_pass = self.total
        self.total = self.total + torch.tensor(read.counts)
        enough = 1 if read.last else ENOUGH
        if sum(self.counts().values()) > self.max_bad_fraction * max(int(self.total[SEEN]), enough):
            raise DataError(
                f"{self.summary()}\n"
                f"That is more than data.max_bad_fraction={self.max_bad_fraction}: mend them, or "
                "allow more."
            )

    def after(self, number: int) -> torch.Tensor:
        """The counts after so many batches of the pass: all of them, or those without the last
        batch.
        """
        return self.before_last if number == self.number - 1 else self.total

    def warn(self, split: str, total: torch.Tensor) -> None:
        """Warns of what was left out, if there is more than the last time.

        Args:
            split: its name.
            total: (columns,) counts of all processes.
        """
        count = sum(counts_of(total.tolist()).values())
        if count > self.reported:
            log.warning("%s: %s", split, summary_of(total.tolist()))
            self.reported = count

    def counts(self) -> dict[str, int]:
        """Reason -> how often, for those that occurred."""
        return counts_of(self.total.tolist())

    def summary(self) -> str:
        """One sentence: how many were left out, and why."""
        return summary_of(self.total.tolist())


def counts_to_go_on(skips: Mapping[str, StreamSkips], trainer: Trainer) -> dict[str, torch.Tensor]:
    """Split -> (columns,) counts of all processes before the batch with which a run resumes from a
    checkpoint.

    A running batch, or validation, begins again then.
    """
    loop = trainer.fit_loop.epoch_loop
    validation = loop.val_loop.batch_progress.current
    counts = {
        "train": skips["train"].after(loop.batch_progress.current.ready),
        "val": skips["val"].total
        if validation.ready == validation.completed
        else skips["val"].before_pass,
    }
    return {split: over_processes(count) for split, count in counts.items()}


def over_processes(counts: torch.Tensor) -> torch.Tensor:
    """The sum of the counts of all processes of a run, on each of them."""
    if not (dist.is_available() and dist.is_initialized()):
        return counts
    total = counts.to("cuda" if dist.get_backend() == "nccl" else "cpu", copy=True)
    dist.all_reduce(total, dist.ReduceOp.SUM)
    return total.cpu()


def counts_of(total: Sequence[int]) -> dict[str, int]:
    """Reason -> how often, for those that occurred."""
    return {reason: count for reason, count in zip(REASONS, total, strict=False) if count}


def summary_of(total: Sequence[int]) -> str:
    """One sentence: how many samples were left out, and why."""
    counts = counts_of(total)
    reasons = ", ".join(f"{reason} {count}" for reason, count in counts.items())
    return (
        f"{sum(counts.values())} of {total[SEEN]} samples that were read left "
        f"out{': ' * bool(reasons)}{reasons}."
    )
