"""The time of a training is measured, and said once or, where that was wrong, again."""

import time
from types import SimpleNamespace

import pytest
import torch

from polymodal.callbacks.expected_time import MEASURED, SKIPPED, ExpectedTime, roughly


class Clock:
    """Seconds that pass only where a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def trained(clock: Clock, seconds: float, steps: int, epoch: int, validation: float) -> None:
    """A run of steps, in epochs, with a validation after each."""
    callback, trainer = (
        ExpectedTime(),
        SimpleNamespace(current_epoch=0, global_step=0, sanity_checking=False),
    )
    trainer.estimated_stepping_batches, trainer.is_global_zero = steps, True
    callback.on_train_start(trainer, None)
    for step in range(1, steps + 1):
        clock.now += seconds if step > SKIPPED else 10 * seconds  # the first ones are slow
        trainer.global_step = step
        callback.on_train_batch_end(trainer, None, {"loss": torch.zeros(())}, None, step)
        if step % epoch == 0:
            callback.on_validation_start(trainer, None)
            clock.now += validation
            callback.on_train_epoch_end(trainer, None)
            trainer.current_epoch += 1


def test_it_is_said_after_some_steps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(Clock(monkeypatch), seconds=0.5, steps=400, epoch=200, validation=0)
    left = 400 - SKIPPED - MEASURED
    assert (
        capsys.readouterr().out
        == f"About 3 min more for {left} steps, measured over 20 steps, without validation.\n"
    )


def test_it_is_said_again_where_validation_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(Clock(monkeypatch), seconds=0.5, steps=400, epoch=100, validation=200)
    # 100 steps have taken 13.5 s more than 50 s, and 200 s after them: 300 take three times that
    assert capsys.readouterr().out.splitlines() == [
        "About 3 min more for 377 steps, measured over 20 steps, without validation.",
        "About 13 min more for 300 steps, measured over an epoch with its validation.",
    ]


def test_short_epochs_are_measured_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(Clock(monkeypatch), seconds=1, steps=16, epoch=8, validation=5)
    assert (
        capsys.readouterr().out
        == "About 40 s more for 8 steps, measured over an epoch with its validation.\n"
    )


@pytest.mark.parametrize("steps", [8, float("inf")])
def test_nothing_is_said_where_nothing_is_left_or_known(
    steps: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if steps == 8:
        trained(Clock(monkeypatch), seconds=1, steps=8, epoch=8, validation=5)
    else:
        trainer = SimpleNamespace(estimated_stepping_batches=steps, global_step=3)
        assert ExpectedTime._left(trainer) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (45.2, "45 s"), (59.7, "1 min"), (250.0, "4 min"), (4800.0, "1 h 20 min")],
)
def test_it_is_no_more_exact_than_it_is_known(seconds: float, words: str) -> None:
    assert roughly(seconds) == words
