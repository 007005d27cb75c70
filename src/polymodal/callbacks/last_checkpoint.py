"""checkpoints/last.ckpt: from which a run resumes that was stopped, killed or is to be longer."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.loggers.csv import CSVLogger
from polymodal.module import MultimodalModule
from polymodal.runs.resume import LIMITS
from polymodal.training.checkpoints.sharded import not_finite
from polymodal.training.distributed.collectives import exchanged
from polymodal.training.distributed.signals import Stopped, listener
from polymodal.training.lightning_internals import (
    epoch_is_over,
    row_to_log,
    training_is_over,
    validates_next,
)
from polymodal.types import PositiveFloat, PositiveInt

log = logging.getLogger(__name__)


class LastCheckpoint(Checkpoint):
    """Saves where training is: at the end of each epoch, every so often within it, and where the
    run ends.

    It saves between two optimizer steps only, and not where a validation is about to begin but
    after it: what Lightning restores there continues exactly. A run that ends within an epoch
    resumes within it, when it is to be longer. Beside what Lightning keeps, every checkpoint of the
    run gets `resume`: the number of `rows` in metrics.csv and the one that is `pending`, the
    `seconds` of the run, the metrics (`figures` in the file) that were logged last, and whether
    training is `stopped`.

    Args:
        dirpath: folder of the checkpoints.
        every_minutes: of training; None to save by time no more.
        every_steps: optimizer steps.

    Raises:
        NumericError: weights or running statistics are NaN or infinite; nothing is saved.
        Stopped: by a signal; after the checkpoint is saved.
    """

    def __init__(
        self,
        dirpath: str,
        every_minutes: PositiveFloat | None = 10.0,
        every_steps: PositiveInt | None = None,
    ) -> None:
        self.file = Path(dirpath) / "last.ckpt"
        self.every_minutes, self.every_steps = every_minutes, every_steps
        self.restored: dict[str, Any] = {"seconds": 0.0, "figures": {}, "pending": {}}
        self.started = self.saved_at = time.monotonic()
        self.saved_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """From here on, a signal is waited for until the step is over."""
        self._log_pending(trainer)
        self.saved_at, self.saved_step = time.monotonic(), trainer.global_step
        listener.patient = True

    def on_train_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """From here on, nothing is lost by stopping at once."""
        listener.patient = False
        if stop := self._agreed(trainer)[0]:
            raise Stopped(stop, agreed=True)

    def on_fit_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Training may have been over before, and did not start again."""
        self._log_pending(trainer)

    def _log_pending(self, trainer: Trainer) -> None:
        if pending := self.restored["pending"]:
            for logger in trainer.loggers:
                logger.log_metrics(pending, trainer.global_step - 1)
        self.restored = self.restored | {"pending": {}}

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: MultimodalModule,
        outputs: Any,
        batch: PairedBatch,
        batch_idx: int,
    ) -> None:
        """Saves within an epoch, where it is time for it or the run ends."""
        late = time.monotonic() - self.saved_at >= 60 * (self.every_minutes or float("inf"))
        stop, late = self._agreed(trainer, late)
        due = (
            late
            or self.every_steps is not None
            and trainer.global_step - self.saved_step >= self.every_steps
        )
        due |= training_is_over(trainer)
        # the end of the epoch, or of the validation, saves then
        if (stop or due) and not (epoch_is_over(trainer) or validates_next(trainer)):
            self._save(trainer, pl_module, stop)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: MultimodalModule, *arguments: Any
    ) -> None:
        """Where the run is to end, a single process saves within a validation, which begins again
        when the run resumes.

        Several may have different numbers of batches, and cannot agree here; nor are the weights of
        an average the ones to be saved.
        """
        fitting = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        averages = any(isinstance(callback, WeightAveraging) for callback in trainer.callbacks)  # type: ignore[attr-defined]
        if listener.signum and fitting and trainer.world_size == 1 and not averages:
            progress = trainer.fit_loop.epoch_loop.val_loop.batch_progress
            done = progress.current.completed
            # to where Lightning sees that the first batch is running
            for counts in (progress.total, progress.current):
                counts.load_state_dict(
                    {k: n - done - (k == "processed") for k, n in counts.state_dict().items()}
                )
            self._save(trainer, pl_module, listener.signum)

    def on_validation_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Saves after a validation within an epoch."""
        within = not epoch_is_over(trainer)
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking and within:
            self._save(trainer, pl_module, self._agreed(trainer)[0])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Saves at the end of an epoch, but not where the run ends within it: the rest of it would
        count as done.
        """
        if epoch_is_over(trainer):
            self._save(trainer, pl_module, self._agreed(trainer)[0])

    def _agreed(self, trainer: Trainer, late: bool = False) -> tuple[int, bool]:
        """The signal that any process has got, and whether the first one finds it late: the same on
        all.
        """
        if trainer.world_size == 1:
            return listener.signum, late
        found = exchanged(
            listener.signum, late and trainer.is_global_zero, device=trainer.strategy.root_device
        )
        return max(signum for signum, _ in found), any(late for _, late in found)

    def save_before_batch(self, trainer: Trainer, module: MultimodalModule) -> Path | None:
        """Saves as if the running batch had not begun; weights and statistics must be as they
        were before it.

        The counters of the loops stay there, so this ends a run.

        Returns:
            the checkpoint that begins with this batch; None where not even the weights before it
            are finite.
        """
        if not_finite(module.state_dict()):
            return None
        # a batch after validation, or the first of an epoch or a run
        if trainer.global_step == self.saved_step:
            return self.file if self.file.exists() else None
        loop = trainer.fit_loop.epoch_loop
        steps = loop.automatic_optimization.optim_progress.optimizer
        for progress in (loop.batch_progress, steps.step, steps.zero_grad):
            for counts in (progress.total, progress.current):
                counts.completed -= progress is steps.zero_grad  # which alone is complete
                counts.reset_on_restart()
        loop.batch_progress.is_last_batch = False
        self._save(trainer, module, stop=0)
        return self.file

    def _save(self, trainer: Trainer, module: MultimodalModule, stop: int) -> None:
        trainer.save_checkpoint(self.file)
        self.saved_at, self.saved_step = time.monotonic(), trainer.global_step
        if stop:
            raise Stopped(stop, agreed=True)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: MultimodalModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds to every checkpoint of the run, the best one too, what Lightning does not keep."""
        rows = next((logger.rows for logger in trainer.loggers if isinstance(logger, CSVLogger)), 0)
        checkpoint["resume"] = {
            "folder": str(self.file.parent.resolve()),
            "seconds": self.restored["seconds"] + time.monotonic() - self.started,
            "figures": self.restored["figures"]
            | {k: float(v) for k, v in trainer.callback_metrics.items()},
            "rows": rows,
            "pending": row_to_log(trainer),
            "stopped": trainer.should_stop,
        }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: MultimodalModule, checkpoint: dict[str, Any]
    ) -> None:
        """Takes it back; paths are those of the folder as it is named now."""
        self.restored = checkpoint["resume"]
        checkpoint["callbacks"] = _moved(
            checkpoint["callbacks"], self.restored["folder"], str(self.file.parent.resolve())
        )
        others = [
            other.dirpath
            for other in trainer.checkpoint_callbacks
            if isinstance(other, ModelCheckpoint)
        ]
        own = {Path(folder).resolve() for folder in (self.file.parent, *others) if folder}
        for state in checkpoint["callbacks"].values():
            forget_others(state, own)
        before, now = (
            config.get("trainer", {}) for config in (checkpoint["config"], pl_module.config)
        )
        # else the run is to be longer
        if all(before.get(name) == now.get(name) for name in LIMITS):
            trainer.should_stop = self.restored["stopped"]


def forget_others(state: Any, own: Collection[Path]) -> None:
    """Takes those checkpoints out of the state of a callback that lie in no own folder: they would
    be removed.
    """
    if not isinstance(state, dict):
        return

    def is_own(path: Any) -> bool:
        return Path(path).name != ".." and Path(path).parent.resolve() in own

    for key in ("best_model_path", "last_model_path", "kth_best_model_path"):
        if state.get(key) and not is_own(state[key]):
            log.warning("%s=%s is no checkpoint of this run, and forgotten.", key, state[key])
            state[key] = ""
    if "best_k_models" in state:
        state["best_k_models"] = {
            path: score for path, score in state["best_k_models"].items() if is_own(path)
        }


def _moved(node: Any, old: str, new: str) -> Any:
    """The same containers with another folder at the start of the paths in them."""
    if isinstance(node, dict):
        return {_moved(key, old, new): _moved(value, old, new) for key, value in node.items()}
    if isinstance(node, list | tuple) and not isinstance(node, Tensor):
        return type(node)(_moved(item, old, new) for item in node)
    if isinstance(node, str) and (node == old or node.startswith(old + "/")):
        return new + node[len(old) :]
    return node
