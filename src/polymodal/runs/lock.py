"""Which process has which job. The system ends a lock with the last process that holds it, however
that dies.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: one process at a time should work on a sweep
    fcntl = None  # type: ignore[assignment]


def take(folder: Path) -> int | None:
    """Takes a job; gives the open file that holds it, which the job's own process inherits.

    Where the process that started it is killed, its training saves; nobody else takes the job until
    both are gone.

    Args:
        folder: of the job. The lock lies beside it, so that the folder can be moved away.

    Returns:
        None where another process has the job.
    """
    # a training that no sweep of ours started
    if fcntl and _is_held(folder / ".lock", fcntl.lockf):
        return None
    file = _file(folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
    if fcntl is None or _locks(descriptor, fcntl.flock):
        return descriptor
    os.close(descriptor)
    return None


def at_work(folder: Path) -> bool:
    """Whether a process runs a run: a sweep has its job, or a training has its folder
    (`config.resume`).
    """
    if fcntl is None:
        return False
    return _is_held(_file(folder), fcntl.flock) or _is_held(folder / ".lock", fcntl.lockf)


def _file(folder: Path) -> Path:
    return folder.parent / ".locks" / folder.name


def _is_held(file: Path, lock: Callable[[int, int], Any]) -> bool:
    if not file.is_file():
        return False
    with file.open("r+") as stream:
        return not _locks(stream.fileno(), lock)


def _locks(descriptor: int, lock: Callable[[int, int], Any]) -> bool:
    try:
        lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return True
    return True
