"""A loading process that is killed is said, with what to try."""

import os
import signal

import pytest

from polymodal.data.loading.loader import BatchLoader, loading
from polymodal.errors import ProcessError


class Killing:
    """A data set whose third batch kills the process that loads it."""

    def __init__(self, signum: int) -> None:
        self.signum = signum

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        if index == 2:
            os.kill(os.getpid(), self.signum)
        return index


@pytest.mark.parametrize(
    ("signum", "message"),
    [
        (
            signal.SIGKILL,
            r"A loading process \(pid \d+\) ended by Killed: there may be too little memory. Try fewer data.num",
        ),
        (
            signal.SIGBUS,
            r"A loading process \(pid \d+\) ended by Bus error: the shared memory \(/dev/shm\) is full",
        ),
    ],
)
def test_a_killed_loading_process_is_said(signum: int, message: str) -> None:
    with pytest.raises(ProcessError, match=message), loading():
        list(BatchLoader(Killing(signum), num_workers=1))


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="of somebody else"), loading():
        raise RuntimeError("of somebody else")


@pytest.mark.parametrize("said", ["DataLoader worker (pid(s) 12, 13) exited unexpectedly"])
def test_whatever_torch_says_of_it(said: str) -> None:
    with pytest.raises(ProcessError, match=r"\(pid 12, 13\) ended by an unknown cause"), loading():
        raise RuntimeError(said)
