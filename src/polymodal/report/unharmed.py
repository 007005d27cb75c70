"""A picture that cannot be drawn costs nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def unharmed(what: Path | str) -> Iterator[None]:
    """Says what goes wrong inside the block, and goes on after it: metrics are worth more than
    pictures of them.

    Args:
        what: is written there.
    """
    try:
        yield
    except Exception as error:  # a full disk, a font, a sample that is no longer there
        reason = (str(error) or type(error).__name__).splitlines()[0]
        log.warning("%s could not be written: %s. The metrics are not affected.", what, reason)
