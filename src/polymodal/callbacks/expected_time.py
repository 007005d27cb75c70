"""How long training will take, measured on its own steps."""

from __future__ import annotations

import math
import time
from typing import Any

from lightning.pytorch import Callback, Trainer

from polymodal.batch import PairedBatch
from polymodal.module import MultimodalModule
from polymodal.terminal import say

SKIPPED, MEASURED = 3, 20
"""The first steps, which make caches and graphs, and those that are measured then."""

ROUGH = 1.25
"""By what factor an expectation must be wrong for another one to be said."""


class ExpectedTime(Callback):
    """Says it after some steps, without validation, and after the first epoch, with it, if that
    tells more.

    Nothing where nobody knows how many steps there will be, and nothing by steps where the half of
    them is over.
    """

    def on_train_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """A resumed run is measured anew."""
        self.begun, self.steps = time.monotonic(), 0
        self.first_epoch = trainer.current_epoch
        self.is_measuring = True
        self.end: float | None = None  # of training, as it was said

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: MultimodalModule,
        outputs: Any,
        batch: PairedBatch,
        batch_idx: int,
    ) -> None:
        """Measures between two steps; where a loss is read, an accelerator has caught up."""
        self.steps += 1
        if self.is_measuring and self.steps == SKIPPED:
            float(outputs["loss"])
            self.since = time.monotonic()
        elif self.is_measuring and self.steps == SKIPPED + MEASURED:
            float(outputs["loss"])
            each = (time.monotonic() - self.since) / MEASURED
            if self._left(trainer) > self.steps:
                self._say(trainer, each, f"measured over {MEASURED} steps, without validation")

    def on_validation_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Among the steps it would count as some of them: the epoch is measured instead."""
        if not trainer.sanity_checking and self.steps < SKIPPED + MEASURED:
            self.is_measuring = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """The first epoch of this start, with what belongs to it."""
        if trainer.current_epoch == self.first_epoch and self.steps and self._left(trainer) > 0:
            each = (time.monotonic() - self.begun) / self.steps
            self._say(trainer, each, "measured over an epoch with its validation")

    @staticmethod
    def _left(trainer: Trainer) -> float:
        """Steps; 0 where nobody knows."""
        left = trainer.estimated_stepping_batches - trainer.global_step
        return left if math.isfinite(left) else 0

    def _say(self, trainer: Trainer, seconds_of_a_step: float, how: str) -> None:
        """Unless it is what was said before."""
        left = self._left(trainer)
        more = left * seconds_of_a_step
        said = None if self.end is None else self.end - time.monotonic()
        if said is None or not said / ROUGH < more < said * ROUGH:
            self.end = time.monotonic() + more
            if trainer.is_global_zero:
                say(f"About {roughly(more)} more for {left:,} steps, {how}.", soft_wrap=True)


def roughly(seconds: float) -> str:
    """A time, no more exact than it is known: 3 s, 45 s, 4 min, 1 h 20 min."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
