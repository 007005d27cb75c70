"""The bar of what is running: it names that, counts samples per second, and goes when that is
over.
"""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich import get_console
from rich.progress import ProgressColumn, Task
from rich.text import Text

PER_SECOND = 10
"""Times that it is drawn in a second at most."""


class ProgressBar(RichProgressBar):
    """Lightning's bar, on a terminal and in a notebook alone: in a file each drawing would be a
    line.

    Attributes:
        task: what is done with the batches of a test or of predictions, such as `embed test`.
    """

    def __init__(self) -> None:
        super().__init__(refresh_rate=PER_SECOND)
        self.task = "test"

    @property
    def test_description(self) -> str:
        """What is running."""
        return self.task

    @property
    def predict_description(self) -> str:
        """The same while predictions are written."""
        return self.task

    @property
    def validation_description(self) -> str:
        """What is running."""
        return "validate"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Nobody looks at a file."""
        super().setup(trainer, pl_module, stage)
        console = get_console()
        if not (console.is_terminal or console.is_jupyter):
            self.disable()

    def _init_progress(self, trainer: Trainer) -> None:
        super()._init_progress(trainer)
        if self.progress is not None:
            self.progress.live.transient = True  # lines say what came of it

    def _get_train_description(self, current_epoch: int) -> str:
        """Epochs count from 1, as in the lines."""
        last = self.trainer.max_epochs
        of_all = "" if last is None or last < 0 else f"/{last}"
        return f"epoch {current_epoch + 1}{of_all}"

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> Any:
        """Those of training alone: the lines have those of validation."""
        shown = super().get_metrics(trainer, pl_module)
        return {
            name.removeprefix("train/"): value
            for name, value in shown.items()
            if name.startswith("train/")
        }

    def configure_columns(self, trainer: Trainer) -> list:
        """Samples per second in the place of batches."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        size = getattr(getattr(data, "data", data), "batch_size", 1)
        *columns, _ = super().configure_columns(trainer)
        return [*columns, SamplesPerSecond(size, 1 if trainer.training else trainer.world_size)]


class SamplesPerSecond(ProgressColumn):
    """Speed of a task.

    Args:
        batch_size: samples of a batch; in training those of all processes.
        world_size: processes that have such a batch each.
    """

    def __init__(self, batch_size: int, world_size: int) -> None:
        super().__init__()
        self.samples = batch_size * world_size

    def render(self, task: Task) -> Text:
        """Nothing before there is a speed."""
        return Text(
            "" if not task.speed else f"{task.speed * self.samples:,.0f} samples/s", style="dim"
        )


def name_task(trainer: Trainer, task: str) -> None:
    """Names the task of the bar of a test or of predictions, such as `embed test`."""
    if isinstance(trainer.progress_bar_callback, ProgressBar):
        trainer.progress_bar_callback.task = task
