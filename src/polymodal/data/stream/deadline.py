"""Reading that may block, with a limit to how long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")


def with_deadline(items: Iterable[T], seconds: float) -> Iterator[T]:
    """The same items, read in a thread.

    Raises:
        TimeoutError: the next one did not come within `seconds`.
    """
    queue: Queue[tuple[bool, T | BaseException | None]] = Queue(maxsize=1)
    enough = Event()

    def put(is_item: bool, value: T | BaseException | None) -> None:
        while not enough.is_set():
            try:
                queue.put((is_item, value), timeout=0.1)
            except Full:
                continue
            return

    def read() -> None:
        try:
            for item in items:
                put(True, item)
                if enough.is_set():
                    return
            put(False, None)
        except BaseException as error:  # it is raised where the items are asked for
            put(False, error)

    thread = Thread(target=read, daemon=True)
    thread.start()
    try:
        while True:
            try:
                is_item, value = queue.get(timeout=seconds)
            except Empty:
                raise TimeoutError from None
            if is_item:
                yield value  # type: ignore[misc]
            elif isinstance(value, BaseException):
                raise value
            else:
                return
    finally:
        enough.set()
        # so that no process is forked from a thread that reads; one that blocks is left
        thread.join(timeout=1)
