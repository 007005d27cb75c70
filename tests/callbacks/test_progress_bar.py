"""A bar is for a terminal; it names its task and counts samples."""

import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from lightning.pytorch import LightningModule, Trainer
from rich import get_console
from rich.console import Console
from tests.resumed import TINY, configured

from polymodal.callbacks.progress_bar import ProgressBar, SamplesPerSecond, name_task
from polymodal.training.build import build
from polymodal.training.run import train

BARS = [argument for argument in TINY if "enable_progress_bar" in argument]


class Terminal(io.StringIO):
    """What looks like one."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Stands for the screen; within a test, since pytest has sys.stdout between its phases."""
    # which is made now, if it is not there: in no colours
    screen, console = (Terminal(), get_console())
    monkeypatch.setattr(sys, "stdout", screen)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "80")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(console, "__dict__", Console().__dict__)
    return screen


def with_bar(folder: Path, *overrides: str) -> dict:
    config = configured(folder, *overrides)
    config["trainer"].pop("enable_progress_bar")
    return config


def test_lines_stay_and_the_bar_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    config = with_bar(tmp_path, "trainer.max_epochs=2")
    train(config, config)
    drawn = screen.getvalue()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn).replace("\r", "")
    assert {"epoch 1/2", "epoch 2/2"} <= set(
        re.findall(r"^epoch \d/\d(?= +[━╸╺])", plain, flags=re.MULTILINE)
    )
    assert re.search(r"epoch 2/2 +[━╸╺]+ 8/8 .* samples/s loss: \d", plain)
    assert len(re.findall(r"epoch \d/2  loss .* s$", plain, flags=re.MULTILINE)) == 2
    before = drawn[: drawn.index("Logged last")]
    # what was drawn last is taken away
    assert "\x1b[1A\x1b[2K" in before[before.rindex("samples/s") :]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_it_is_drawn_on_a_terminal_alone(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_terminal:
        terminal(monkeypatch)
    bar = ProgressBar()
    bar.setup(
        Trainer(enable_progress_bar=False, logger=False, accelerator="cpu"),
        LightningModule(),
        "fit",
    )
    assert bar.is_enabled == is_terminal


def test_a_file_has_no_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = with_bar(tmp_path, "trainer.max_epochs=1")
    train(config, config)
    said = capsys.readouterr().out
    assert "epoch 1/1  loss " in said
    assert "━━ 8/8" not in said
    assert "\x1b" not in said


def test_a_task_has_a_name(tmp_path: Path) -> None:
    config = with_bar(tmp_path)
    _, _, trainer = build(config, config, keep=lambda _: False)
    name_task(trainer, "embed val")
    assert trainer.progress_bar_callback.test_description == "embed val"
    # there is none
    name_task(Trainer(enable_progress_bar=False, logger=False, accelerator="cpu"), "embed val")


@pytest.mark.parametrize(("wanted", "bars"), [(None, 1), (True, 1), (False, 0)])
def test_there_is_a_bar_unless_nobody_wants_one(
    tmp_path: Path, wanted: bool | None, bars: int
) -> None:
    config = with_bar(
        tmp_path,
        "callbacks=[checkpoint,progress_bar]" if wanted is False else "callbacks=[checkpoint]",
    )
    if wanted is not None:
        config["trainer"]["enable_progress_bar"] = wanted
    _, _, trainer = build(config, config)
    assert sum(isinstance(callback, ProgressBar) for callback in trainer.callbacks) == bars


def test_speed_is_that_of_samples() -> None:
    assert SamplesPerSecond(64, 2).render(SimpleNamespace(speed=10.0)).plain == "1,280 samples/s"
    assert SamplesPerSecond(64, 2).render(SimpleNamespace(speed=None)).plain == ""
