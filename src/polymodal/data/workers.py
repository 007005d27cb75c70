"""Processes that load data."""

from __future__ import annotations

import signal
from typing import Any

GRACE = 60
"""Seconds that a loading process goes on after it was told to end."""


def outlive_signals(_: int) -> None:
    """For `worker_init_fn`: the step in work gets its batch, and a checkpoint is saved, before a process is gone.

    Ctrl-C goes to all processes of a terminal, and SIGTERM often to all of a job. What trains ends those that load.
    """

    def end_later(*_: Any) -> None:
        signal.alarm(GRACE)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end_later)
