"""The processes of a run end together, and the first that fails says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch.distributed as dist
from lightning.pytorch import Trainer
from torch.distributed.distributed_c10d import Store

from polymodal.config.messages import FORESEEN, show
from polymodal.data.loading.loader import loading
from polymodal.errors import FollowedError, ProcessError
from polymodal.training.distributed.collectives import world_size
from polymodal.training.distributed.signals import Stopped
from polymodal.training.lightning_internals import observe_processes

GRACE = 10.0
"""Seconds that a process is given to notice that another has failed."""

FAILED, HEARD = "polymodal/failed", "polymodal/heard"
"""Keys in the store of the group: the rank and the words of the first that failed; that rank 0
knows of it."""


@contextmanager
def ending_together(trainer: Trainer) -> Iterator[None]:
    """An error in one process ends all of them within seconds, and is shown once.

    The first to fail leaves its words with the group and, if it is not the first process, shows
    them itself. Then it leaves the group, so that those who wait for it fail too: they find that
    they are not the first, and are silent.

    Raises:
        FollowedError: in the first process, where another one failed before it.
        ProcessError: a process that this one has started, or one that loads data, was killed from
            outside.
    """
    try:
        with loading():
            yield
    except Exception as error:
        lost = isinstance(error, RuntimeError)  # what a collective raises where a process is gone
        if killed := killed_follower(_followers(trainer), patience=2.0 if lost else 0.0):
            end_followers(trainer, grace=0.0)
            raise ProcessError(killed) from error
        if world_size() == 1:  # a single process, or they have not met yet
            end_followers(trainer)
            raise
        rank, words = dist.get_rank(), f"{dist.get_rank()}: {error}"
        store = dist.distributed_c10d._get_default_store()
        first = _first_words(store, words)
        if rank > 0 and first == words:
            show(error)
        # with others, what waits in a collective cannot be woken, only killed
        if dist.get_backend() == "gloo":
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
    processes = _followers(trainer)
    started = list(processes)
    processes.clear()  # `Watch` has nothing to do any more
    if store is not None:
        store.set(HEARD, "")
    latest = time.monotonic() + grace
    for process in started:
        try:
            process.wait(max(0.0, latest - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _followers(trainer: Trainer) -> list[subprocess.Popen]:
    """The processes that this one has started, of which number 0 has rank 1."""
    return getattr(trainer.strategy.launcher, "procs", [])


def killed_follower(processes: Sequence[subprocess.Popen], patience: float = 0.0) -> str | None:
    """What to say of the first of these processes that a signal has ended; None where there is
    none.

    Args:
        processes: of rank 1 and so on.
        patience: seconds to wait for it: a process is heard of no more before it has ended.
    """
    latest = time.monotonic() + patience
    while True:
        for rank, process in enumerate(processes, start=1):
            code = process.poll()
            if code is not None and code < 0:
                return _words_of_killed(rank, process.pid, signal.Signals(-code).name)
        if not processes or time.monotonic() > latest:
            return None
        time.sleep(0.05)


def _words_of_killed(rank: int, pid: int, name: str) -> str:
    return (
        f"Process {rank} of the run (pid {pid}) was killed by {name}: there may be too little "
        "memory. Try a smaller data.batch_size, accumulate=2, fewer data.num_workers or fewer "
        "processes."
    )


class Watch(threading.Thread):
    """Ends this process where one that it has started is gone and it does not find out by itself.

    A collective may wait for ever for a process that is gone. Lightning's own watcher kills this
    process at once, so that neither a message nor a code says why.

    Args:
        processes: which it has started; an empty list where they are nobody's concern any more.
    """

    def __init__(self, processes: list[subprocess.Popen]) -> None:
        super().__init__(daemon=True, name="watch")
        self.processes = processes

    def run(self) -> None:
        """Looks once a second."""
        found_at = 0.0
        while any(process.poll() is None or process.returncode for process in self.processes):
            time.sleep(1.0)
            ended = [
                (rank, process.returncode)
                for rank, process in enumerate(self.processes, 1)
                if process.returncode
            ]
            if not ended:
                continue
            found_at = found_at or time.monotonic()
            if time.monotonic() - found_at > GRACE:
                rank, code = ended[0]
                words = (
                    killed_follower(self.processes)
                    or f"Process {rank} of the run ended with exit code {code}."
                )
                self._end(words)

    def _end(self, words: str) -> None:
        print(f"error: {words}", file=sys.stderr, flush=True)
        for process in self.processes:
            process.kill()
        sys.stdout.flush()
        os._exit(1)  # the main thread cannot be woken


def _watch(processes: list[subprocess.Popen]) -> None:
    Watch(processes).start()


observe_processes(_watch)
