"""One run of a sweep: a training in a process and a numbered folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from polymodal.cli.overrides import quoted
from polymodal.config.messages import CONFIGS
from polymodal.runs.folder import record_failure
from polymodal.runs.lock import take
from polymodal.runs.results import end_of
from polymodal.training.distributed.signals import PARENT

TRAIN = CONFIGS.parent / "src" / "train.py"

PATIENCE = 60.0
"""Seconds that a training has to save and end after a signal."""


class Job:
    """A process gives all its memory back, and where it is killed the sweep goes on.

    Args:
        folder: of the run; its name is the job's number.
        overrides: arguments of train.py.
    """

    def __init__(self, folder: Path, overrides: Sequence[str]) -> None:
        self.folder, self.overrides = folder, list(overrides)
        self.started = 0.0
        self.stopped_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self.lock: int | None = None

    def take(self) -> bool:
        """Makes the job ours; False if another process has it."""
        self.lock = take(self.folder)
        return self.lock is not None

    def start(self) -> None:
        """Starts the training; where an earlier start of it was interrupted, it resumes from its
        checkpoint.

        What an earlier start left that cannot go on is kept beside it, as `<number>.1`,
        `<number>.2` and so on.
        """
        is_requeued = end_of(self.folder) is None and any(
            (self.folder / "checkpoints").glob("*.ckpt")
        )
        if self.folder.exists() and not is_requeued:
            aside = (self.folder.with_name(f"{self.folder.name}.{number}") for number in count(1))
            self.folder.rename(next(folder for folder in aside if not folder.exists()))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.started = time.monotonic()
        again = [f"resume={self.folder}"]
        arguments = (
            again if is_requeued else [*self.overrides, f"hydra.run.dir={quoted(self.folder)}"]
        )
        with (self.folder / "output.txt").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(TRAIN), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the sweep, which stops its jobs itself
                env=os.environ | {PARENT: str(os.getpid())},  # killed, it cannot
                pass_fds=[self.lock] if self.lock is not None and os.name == "posix" else [],
            )

    def is_over(self) -> bool:
        """Whether the process has ended; then the folder says how, and the job is nobody's any
        more.
        """
        assert self.process is not None
        code = self.process.poll()
        if code is None:
            if self.stopped_at and time.monotonic() - self.stopped_at > PATIENCE:
                os.killpg(self.process.pid, signal.SIGKILL)
            return False
        if not self.stopped_at and end_of(self.folder) is None:
            output = (self.folder / "output.txt").read_text(errors="replace")
            record_failure(self.folder, reason(output, code), output, self.overrides)
        self.release()
        return True

    def release(self) -> None:
        """Gives the job up."""
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None

    def stop(self) -> None:
        """Tells the training to end; it saves first. That is no failure."""
        assert self.process is not None
        if not self.stopped_at:
            self.stopped_at = time.monotonic()
            self.process.terminate()


def reason(output: str, code: int) -> str:
    """Why a training failed: the message that it ended with, or the signal that ended it.

    Args:
        output: all that it wrote.
        code: its exit code, below 0 for a signal.
    """
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (was there too little memory?)" if -code == signal.SIGKILL else ""
        return f"Killed by {name}{hint}."
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    errors = [index for index, line in enumerate(lines) if line.startswith("error: ")]
    if errors:
        return "\n".join(lines[errors[-1] :]).removeprefix("error: ")
    return lines[-1] if lines else f"Ended with exit code {code}."
