"""SIGTERM, Ctrl-C, warnings of Slurm: a run ends its step, or batch of validation, and saves; all
else ends at once.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TIME_IS_OVER = tuple(
    getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)
"""What a Slurm job gets a while before its time is over (`sbatch --signal=USR1@120`; submitit asks
for SIGUSR2)."""

TAKEN = (signal.SIGTERM, signal.SIGINT, *TIME_IS_OVER)

TWICE = 1.0
"""Seconds after which the same signal was meant a second time: a launcher may pass on what its
processes have got."""


PARENT = "POLYMODAL_PARENT"
"""Variable of the environment: the number of the process without which this one is not to go on."""


def end_with_parent() -> None:
    """SIGTERM for this process as soon as the one that started it is gone, killed or crashed, where
    PARENT names it.
    """
    parent = os.environ.pop(PARENT, None)  # not for the processes that this one starts

    def watch() -> None:
        while os.getppid() == int(parent or 0):
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    if parent:
        threading.Thread(target=watch, daemon=True).start()


class Stopped(BaseException):
    """A signal ended the run. Its exit code is that of a process which the signal ends, such as
    143 or 130.

    Args:
        signum: of the signal.
        agreed: all processes of the run stop at this point.
    """

    def __init__(self, signum: int, agreed: bool = False) -> None:
        super().__init__(f"Stopped by {signal.Signals(signum).name}.")
        self.signum, self.code, self.agreed = signum, 128 + signum, agreed


class Listener:
    """Takes the signals that end a run. They belong to a process, and so does the one instance of
    this: `listener`.
    """

    def __init__(self) -> None:
        self.signum = 0
        self.patient = False
        self.since = 0.0

    def listen(self) -> None:
        """Takes the signals from now on, whoever had them; only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            for signum in TAKEN:
                signal.signal(signum, self._receive)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes the signals for a while.

        Raises:
            Stopped: one came, and nobody was patient.
        """
        before = {signum: signal.getsignal(signum) or signal.SIG_DFL for signum in TAKEN}
        self.signum, self.patient = 0, False
        self.listen()
        try:
            yield
        finally:
            if threading.current_thread() is threading.main_thread():
                for signum, handler in before.items():
                    signal.signal(signum, handler)

    def _receive(self, signum: int, _: Any) -> None:
        again = self.signum and time.monotonic() - self.since > TWICE
        if again and signum == signal.SIGINT:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        if not self.signum:
            self.signum, self.since = signum, time.monotonic()
            if not self.patient:
                raise Stopped(signum)


listener = Listener()
