"""How fast a run is, and how much of a step waits for data."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback, Trainer

from polymodal.batch import PairedBatch
from polymodal.module import MultimodalModule


class Throughput(Callback):
    """Logs `train/samples_per_second` (all processes), `train/step_ms` and `train/data_wait_ms` at
    each logged step.

    Means over the steps since the last logged one; validation and checkpoints are not in them. On
    an accelerator steps are only queued between two logged ones, so the mean over many steps is
    what to read.
    """

    logs = ("train/samples_per_second", "train/step_ms", "train/data_wait_ms")

    def __init__(self) -> None:
        self._restart()

    def _restart(self) -> None:
        self.samples = self.steps = 0
        self.busy = self.waited = 0.0
        self.last_end: float | None = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """The clock starts anew: what happens between epochs is not training."""
        self._restart()

    def on_validation_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """A validation within an epoch is no waiting for data."""
        self.last_end = None

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: MultimodalModule, batch: PairedBatch, batch_idx: int
    ) -> None:
        """Notes how long the batch was waited for."""
        self.start = time.perf_counter()
        if self.last_end is not None:
            self.waited += self.start - self.last_end

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: MultimodalModule,
        outputs: Any,
        batch: PairedBatch,
        batch_idx: int,
    ) -> None:
        """Notes the step and, at a logged one, logs."""
        self.last_end = time.perf_counter()
        self.busy += self.last_end - self.start
        self.steps += 1
        self.samples += len(batch) * trainer.world_size
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            seconds = self.busy + self.waited
            pl_module.log_dict(
                {
                    "train/samples_per_second": self.samples / seconds,
                    "train/step_ms": 1000 * seconds / self.steps,
                    "train/data_wait_ms": 1000 * self.waited / self.steps,
                },
                batch_size=len(batch),
            )
            last_end = self.last_end
            self._restart()
            self.last_end = last_end
