"""A sweep whose jobs take no time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from polymodal.sweeps import job, runner
from polymodal.sweeps.space import SweepSpec, split


@pytest.fixture
def ordered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., SweepSpec]:
    """`ordered("value=1,2")`: an order for the stub in place of train.py."""
    monkeypatch.setattr(job, "TRAIN", Path(__file__).with_name("stub.py"))
    monkeypatch.setattr(runner, "PAUSE", 0.02)

    def order(*arguments: str, retry_failed: bool = False) -> SweepSpec:
        folder = tmp_path / "sweep"
        folder.mkdir(exist_ok=True)
        fixed, swept = split({}, list(arguments))
        return SweepSpec(folder, fixed, swept, "val/score", "max", retry_failed)

    return order
