"""A file of a report that cannot be written costs nothing else."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from polymodal.files import write_whole

log = logging.getLogger(__name__)


@contextmanager
def unharmed(what: Path | str) -> Iterator[None]:
    """Logs any error of the block as a warning: metrics are worth more than plots of them.

    Args:
        what: the block writes.
    """
    try:
        yield
    except Exception as error:  # a full disk, a font, a sample that is no longer there
        reason = (str(error) or type(error).__name__).splitlines()[0]
        log.warning("%s could not be written: %s. The metrics are not affected.", what, reason)


def draw(file: Path, write: Callable[..., None], *content: Any) -> None:
    """Writes a file of the report, in a folder that may be new.

    Args:
        file: where to.
        write: (file, *content) -> None.
        content: of the file.
    """
    with unharmed(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, *content)


def write_panel(file: Path, panel: Mapping[str, Any]) -> None:
    """Writes what the page shows as JSON; no file where there is nothing."""
    if panel:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(panel))
