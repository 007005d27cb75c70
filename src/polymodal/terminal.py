"""What a run says: its lines stay on the screen, above a progress bar, and go to train.log with
their times.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

from rich import get_console
from rich.console import Console
from rich.file_proxy import FileProxy

from polymodal.config.secrets import mask_text

NAME = "train.log"

WIDTH = 100
"""Columns of a table in the file."""

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""Colours and movements of a terminal, which mean nothing in a file."""


def say(text: Any, soft_wrap: bool = False) -> None:
    """Prints a line, several, or a table of rich; above a progress bar where there is one.

    Args:
        text: brackets in it are no markup.
        soft_wrap: a line stays whole, so that a path in it can be copied.
    """
    get_console().print(text, soft_wrap=soft_wrap, markup=False, highlight=False)
    if run_log.is_recording:
        plain = Console(file=StringIO(), width=WIDTH, color_system=None, force_terminal=False)
        plain.print(text, soft_wrap=True, markup=False, highlight=False)
        run_log.add(plain.file.getvalue())  # type: ignore[attr-defined]


class RunLog:
    """train.log in the folder of a run: what is said, printed, logged and warned of, each line with
    its time.

    Lines wait in memory until the folder is the run's: a command that is refused writes nothing.
    The one instance of this is `run_log`, since a process has one screen.
    """

    def __init__(self) -> None:
        self.is_recording = False
        self.file: Path | None = None
        self.waiting: list[str] = []

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Notes all lines from here on; of an error that ends this, the stack trace too."""
        before = sys.stdout, sys.stderr
        self.is_recording, self.file, self.waiting = True, None, []
        sys.stdout, sys.stderr = (Recorded(file, self) for file in before)
        try:
            yield
        except Exception:
            self.add(traceback.format_exc())
            raise
        finally:
            sys.stdout, sys.stderr = before
            self.is_recording = False

    @contextmanager
    def aside(self) -> Iterator[None]:
        """With sys.stdout and sys.stderr as they were, for what keeps hold of them."""
        recorded = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (getattr(file, "stream", file) for file in recorded)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = recorded

    def open(self, folder: Path) -> None:
        """The folder is the run's now; a file of an earlier start is continued."""
        self.file = folder / NAME
        waiting, self.waiting = self.waiting, []
        self._write(waiting)

    def add(self, text: str) -> None:
        """Notes lines: without colours and blank ones, and of a line that was written over, what it
        was last.
        """
        now = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        lines = [
            ESCAPES.sub("", line.rstrip("\r")).rpartition("\r")[2].rstrip()
            for line in text.split("\n")
        ]
        self._write([f"{now}  {line}\n" for line in lines if line])

    def _write(self, lines: list[str]) -> None:
        if self.file is None:
            self.waiting += lines
            return
        try:
            with self.file.open("a", encoding="utf-8", errors="replace") as stream:
                stream.write(mask_text("".join(lines)))
        except FileNotFoundError:  # a run that never began has given its folder back
            self.is_recording = False
        except OSError as error:
            name, self.file, self.is_recording = self.file, None, False
            print(
                f"{name} could not be written: {error}. The run continues without it.",
                file=sys.stderr,
            )


class Recorded(FileProxy):
    """Stands for sys.stdout or sys.stderr, and notes whole lines in the log.

    What rich draws itself goes past this, straight to the file: it asks every `FileProxy` for what
    is behind it.

    Args:
        file: what it stands for.
        log: where lines are noted.
    """

    def __init__(self, file: TextIO, log: RunLog) -> None:
        super().__init__(get_console(), file)
        self.stream, self.log, self.part = file, log, ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the file."""
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """That of the file."""
        return self.stream.errors

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Prints, above a progress bar where there is one."""
        if self.log.is_recording:
            *lines, self.part = (self.part + text).split("\n")
            self.part = self.part if self.part.endswith("\r") else self.part.rpartition("\r")[2]
            if lines:
                self.log.add("\n".join(lines))
        if get_console()._render_hooks:  # a bar is on the screen, and would be drawn over the text
            super().write(text)
        else:
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Both what waits for its end of line and the file."""
        super().flush()
        self.stream.flush()


run_log = RunLog()
