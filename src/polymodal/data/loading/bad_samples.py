"""What is done with samples that cannot be used: the first one ends the run, or they are left out
and counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
import torch.distributed as dist

from polymodal.errors import DataError

log = logging.getLogger(__name__)

Reason = Literal[
    "missing file",
    "empty file",
    "damaged file",
    "too large",
    "bad caption",
    "bad number",
    "bad text",
    "bad value",
    "bad name",
    "damaged shard",
    "missing field",
]
REASONS: tuple[Reason, ...] = Reason.__args__  # type: ignore[attr-defined]


class BadSampleError(DataError):
    """One sample cannot be used.

    Args:
        reason: under which it is counted.
        problem: what a person reads.
    """

    def __init__(self, reason: Reason, problem: str) -> None:
        super().__init__(problem)
        self.reason = reason


class Skips:
    """The rows that were left out, and why: one byte a row, shared by all loading processes of a
    machine.

    Args:
        rows: number of rows.
        place: row -> how it is named in messages.
        on_error: `raise` at the first bad row, or `skip` it.
        max_bad_fraction: the largest share of rows that may be skipped.
    """

    def __init__(
        self,
        rows: int,
        place: Callable[[int], str],
        on_error: Literal["raise", "skip"],
        max_bad_fraction: float,
    ) -> None:
        self.reasons = torch.zeros(rows, dtype=torch.uint8).share_memory_()
        self.problems: dict[int, str] = {}
        self.place, self.on_error, self.max_bad_fraction = place, on_error, max_bad_fraction

    def reject(self, row: int, error: BadSampleError) -> None:
        """Notes a bad row, and in this process what is wrong with it.

        Raises:
            DataError: bad rows are not to be skipped, or there are too many of them.
        """
        if self.on_error == "raise":
            raise DataError(
                f"{self.place(row)}: {error} (data.on_error=skip leaves such rows out)"
            ) from error
        log.debug("%s: %s", self.place(row), error)
        self.reasons[row] = 1 + REASONS.index(error.reason)
        self.problems[row] = str(error)
        if int(self.reasons.count_nonzero()) > self.max_bad_fraction * len(self.reasons):
            raise DataError(
                f"{self.summary()}\n"
                f"That is more than data.max_bad_fraction={self.max_bad_fraction}: mend them, or "
                f"allow more. The last one: {self.place(row)}: {error}"
            ) from error

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The rows that were left out, and the number of the reason of each."""
        rows = self.reasons.nonzero().flatten()
        return {"rows": rows, "reasons": self.reasons[rows]}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Leaves the same rows out."""
        self.reasons[state["rows"]] = state["reasons"]

    def sum_over_processes(self) -> None:
        """Lets each process of a run know what the others have noted."""
        if dist.is_available() and dist.is_initialized():
            device = torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
            noted = self.reasons.to(device)
            dist.all_reduce(noted, dist.ReduceOp.MAX)
            self.reasons.copy_(noted)

    def kept(self) -> np.ndarray:
        """(rows,) bool: which are not left out so far."""
        return self.reasons.numpy() == 0

    def counts(self) -> dict[str, int]:
        """Reason -> number of rows, for those that occurred."""
        counts = self.reasons.long().bincount(minlength=len(REASONS) + 1)[1:].tolist()
        return {reason: count for reason, count in zip(REASONS, counts, strict=True) if count}

    def summary(self) -> str:
        """One sentence: how many rows were left out, why, and where the first of each reason
        stands.
        """
        if not self.counts():
            return f"None of {len(self.reasons)} rows left out."
        parts = []
        for reason, count in self.counts().items():
            first = int((self.reasons == 1 + REASONS.index(reason)).nonzero()[0])
            parts.append(f"{reason} {count} (first: {self.place(first)})")
        return (
            f"{sum(self.counts().values())} of {len(self.reasons)} rows left "
            f"out{': ' * bool(parts)}{', '.join(parts)}."
        )
