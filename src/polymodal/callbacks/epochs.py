"""A line for each epoch, which stays, and the time that training takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.formatting import duration, readable
from polymodal.module import MultimodalModule
from polymodal.terminal import say
from polymodal.training.distributed.collectives import mean_over_all


class Epochs(Callback):
    """`epoch 2/5  loss 3.159  val loss 3.279  recall@1 0.0341 best  lr 0.0013  2.5 s`, on the
    screen and in train.log.

    `loss` is the mean over the steps of the epoch, `lr` that of the first group of parameters in
    the last step, and the last metric is `monitor`: `best` says that it was never better. A
    validation within an epoch has a line of its own, with the step in the place of the epoch. A run
    that is resumed within an epoch has a line of the rest of it.
    """

    def __init__(self) -> None:
        self.best: float | None = None
        self._restart()

    def _restart(self) -> None:
        self.since = time.monotonic()
        self.total: Tensor | float = 0.0
        self.steps = 0
        self.rate = 0.0
        self.validated: dict[str, str] = {}

    def on_train_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Where a run is resumed within an epoch, Lightning does not start that again."""
        self._restart()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Nothing is known of it yet."""
        self._restart()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: MultimodalModule, batch: PairedBatch, batch_idx: int
    ) -> None:
        """Training continues after a validation."""
        if self.validated:
            self._say(trainer, f"step {trainer.global_step}")
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: MultimodalModule,
        outputs: Any,
        batch: PairedBatch,
        batch_idx: int,
    ) -> None:
        """Adds the loss up where it is: nobody waits for a device."""
        self.total = self.total + outputs["loss"].detach()
        self.steps += 1

    def on_validation_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Notes the metrics, before the checkpoints are saved."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        metrics, monitor = trainer.callback_metrics, pl_module.shown
        self.validated = (
            {"val loss": readable(float(metrics["val/loss"]))} if "val/loss" in metrics else {}
        )
        for name in ("accuracy", "r2"):
            if monitor == "val/loss" and f"val/{name}" in metrics:
                self.validated[name] = readable(float(metrics[f"val/{name}"]))
        if monitor in metrics:
            name = "val loss" if monitor == "val/loss" else monitor.removeprefix("val/")
            best = " best" if self._is_best(float(metrics[monitor]), pl_module.shown_mode) else ""
            self.validated[name] = readable(float(metrics[monitor])) + best

    def on_train_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """All that is known of the epoch."""
        last = trainer.max_epochs
        of_all = "" if last is None or last < 0 else f"/{last}"
        if self.steps or self.validated:
            self._say(trainer, f"epoch {trainer.current_epoch + 1}{of_all}")

    def on_fit_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Says why there are fewer epochs than were asked for."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if (
                isinstance(callback, EarlyStopping)
                and callback.stopped_epoch
                and trainer.is_global_zero
            ):
                say(
                    f"Stopped early: {callback.monitor} was no better in {callback.wait_count} "
                    "validations."
                )

    def state_dict(self) -> dict[str, Any]:
        """The best so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes it back."""
        self.best = state_dict["best"]

    def _is_best(self, value: float, mode: str) -> bool:
        is_best = self.best is None or (value > self.best if mode == "max" else value < self.best)
        if is_best:
            self.best = value
        return is_best

    def _say(self, trainer: Trainer, what: str) -> None:
        parts = {}
        if self.steps:  # as many in all processes
            mean = self.total / self.steps
            parts["loss"] = readable(
                float(mean_over_all(mean[None]) if isinstance(mean, Tensor) else mean)
            )
        parts |= self.validated
        parts["lr"] = f"{self.rate:.2g}"
        words = [
            what,
            *(f"{name} {value}" for name, value in parts.items()),
            duration(time.monotonic() - self.since),
        ]
        if trainer.is_global_zero:
            say("  ".join(words), soft_wrap=True)
        self._restart()
