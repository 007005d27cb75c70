"""The processes of a run end together, and the first that fails says why."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch.distributed as dist
from lightning.pytorch import Trainer
from torch.distributed.distributed_c10d import Store

from polymodal.config.launch import FORESEEN, show
from polymodal.errors import FollowedError
from polymodal.losses.gather import world_size
from polymodal.signals import Stopped

GRACE = 10.0
"""Seconds that a process is given to notice that another has failed."""

FAILED, HEARD = "polymodal/failed", "polymodal/heard"
"""Keys in the store of the group: the rank and the words of the first that failed; that rank 0 knows of it."""


@contextmanager
def ending_together(trainer: Trainer) -> Iterator[None]:
    """An error in one process ends all of them within seconds, and is shown once.

    The first to fail leaves its words with the group and, if it is not the first process, shows them itself. Then it
    leaves the group, so that those who wait for it fail too: they find that they are not the first, and are silent.

    Raises:
        FollowedError: in the first process, where another one failed before it.
    """
    try:
        yield
    except Exception as error:
        if world_size() == 1:  # a single process, or they have not met yet
            end_followers(trainer)
            raise
        rank, words = dist.get_rank(), f"{dist.get_rank()}: {error}"
        store = dist.distributed_c10d._get_default_store()
        first = _first_words(store, words)
        if rank > 0 and first == words:
            show(error)
        if dist.get_backend() == "gloo":  # with others, what waits in a collective cannot be woken, only killed
            dist.destroy_process_group()
        if rank > 0:
            with suppress(Exception):  # the first process may be gone, and the store with it
                store.wait([HEARD], timedelta(seconds=GRACE))
            sys.exit(2 if isinstance(error, FORESEEN) else 1)
        end_followers(trainer, store)
        if first != words:
            raise FollowedError(first) from None
        raise
    except Stopped as stop:
        if not stop.agreed:  # the others know of nothing, and would wait
            end_followers(trainer, grace=0.0)
        raise


def _first_words(store: Store, words: str) -> str:
    """What the first process that failed has said."""
    try:
        found = store.compare_set(FAILED, "", words)
    except RuntimeError:  # the process that keeps the store has failed before
        return ""
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found)


def end_followers(trainer: Trainer, store: Store | None = None, grace: float = GRACE) -> None:
    """Waits for the processes that this one has started, and kills those that do not end."""
    processes: list[subprocess.Popen] = getattr(trainer.strategy.launcher, "procs", [])
    started = list(processes)
    processes.clear()  # Lightning's watcher kills this process when one of these ends with an error
    if store is not None:
        store.set(HEARD, "")
    latest = time.monotonic() + grace
    for process in started:
        try:
            process.wait(max(0.0, latest - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
