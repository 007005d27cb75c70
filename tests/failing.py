"""A callback by which one process of a run fails, at its third batch."""

import os
import signal
from typing import Any, Literal

from lightning.pytorch import Callback, Trainer

from polymodal.errors import DataError


class Failing(Callback):
    """Fails in the process `rank`, -1 for all: by an error, foreseen or not, by spoilt inputs, or
    by `kill -9`."""

    def __init__(
        self, rank: int, how: Literal["foreseen", "unforeseen", "spoilt", "killed"] = "foreseen"
    ) -> None:
        self.rank, self.how = rank, how

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 2 and self.rank in (-1, trainer.global_rank):
            if self.how == "foreseen":
                raise DataError("row 17 is broken")
            if self.how == "unforeseen":
                raise RuntimeError("nobody thought of this")
            if self.how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            batch.inputs["image"] = batch.inputs["image"] * float("nan")
