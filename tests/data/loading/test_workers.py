"""Loading processes, and what becomes of a run whose loading process is stuck."""

from threading import Event

import pytest

from polymodal.data.loading import loader as workers
from polymodal.data.loading.loader import BatchLoader


class Stuck:
    """Gives one batch, and never another."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        if index:
            Event().wait()
        return index


def test_a_run_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "STUCK", 1)
    batches = iter(BatchLoader(Stuck(), 1, sampler=[0, 1]))
    assert next(batches) == 0
    with pytest.raises(RuntimeError, match="timed out after 1 seconds"):
        next(batches)
