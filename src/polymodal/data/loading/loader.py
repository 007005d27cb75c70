"""Loading whole batches, in this process or in others."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader

from polymodal.batch import PairedBatch
from polymodal.errors import ProcessError

GRACE = 60
"""Seconds that a loading process has to end."""

STUCK = 600
"""Seconds without a batch after which a loading process is given up: an error is better than to
wait for ever.

Python before 3.12 may leave a process stuck at its very start, where another thread was busy in
that moment.
"""


class BatchLoader(DataLoader[PairedBatch]):
    """Loads from a data set that gives whole batches.

    Args:
        dataset: is asked with what the sampler gives, or is iterated over.
        num_workers: loading processes.
        options: of torch's DataLoader.

    Raises:
        RuntimeError: a batch did not come within `STUCK` seconds.
    """

    def __init__(self, dataset: Any, num_workers: int, **options: Any) -> None:
        super().__init__(
            dataset,
            batch_size=None,
            collate_fn=_unchanged,
            num_workers=num_workers,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=outlive_signals,
            timeout=STUCK if num_workers else 0,
            **options,
        )


KILLED = re.compile(
    r"DataLoader worker \(pid\(?s?\)? ([\d, ]+)\) "
    r"(?:is killed by signal: ([\w ]+)|exited unexpectedly)"
)
"""What torch says of a loading process that is gone."""


@contextmanager
def loading() -> Iterator[None]:
    """Says of a loading process that was killed which one it was, and what to try.

    Raises:
        ProcessError: the system has killed it.
    """
    try:
        yield
    except RuntimeError as error:
        message = f"{error.__cause__} {error}"  # the cause, if there is one, knows the signal
        if not (found := KILLED.search(message)):
            raise
        pid, how = found[1], found[2] or "an unknown cause"
        if how == "Bus error":
            why = (
                "the shared memory (/dev/shm) is full. Make it larger, or try fewer "
                "data.num_workers"
            )
        else:
            why = (
                "there may be too little memory. Try fewer data.num_workers, or a smaller "
                "data.batch_size"
            )
        raise ProcessError(
            f"A loading process (pid {pid}) ended by {how}: {why}; 0 loads in this process."
        ) from error


def _unchanged(batch: Any) -> Any:
    return batch


def outlive_signals(_: int) -> None:
    """For `worker_init_fn`: the step in work gets its batch, and a checkpoint is saved, before a
    process is gone.

    Ctrl-C goes to all processes of a terminal, and SIGTERM often to all of a job. What trains ends
    those that load.
    """

    def end_later(*_: Any) -> None:
        signal.alarm(GRACE)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end_later)
