"""Keeps encoders, or parts of them, as they are, for ever or until a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, Trainer
from torch.optim import Optimizer

from polymodal.batch import PairedBatch
from polymodal.model import MultimodalModel
from polymodal.training.tuning import Tuning, frozen_parameters, hold_still


class Freezing(Callback):
    """Freezes what `tuning` says, as soon as it is made: optimizers and DDP look at parameters
    before training starts.

    Frozen parts are in evaluation mode: batch norms keep their statistics, dropout does nothing.
    Vectors that are cached (`tuning.<encoder>.cache`) are kept on disk when an epoch or an
    evaluation ends, and with each checkpoint.

    The module brings this callback along (`configure_callbacks`), whichever ones a run has.

    Args:
        model: with the encoders.
        tuning: encoder -> how it is trained.

    Attributes:
        frozen: encoder -> names of its frozen parameters.
    """

    def __init__(self, model: MultimodalModel, tuning: Mapping[str, Tuning]) -> None:
        self.tuning = tuning
        self.frozen: dict[str, set[str]] = {}
        for name, tuned in tuning.items():
            encoder = model.encoders[name]
            self.frozen[name] = set(frozen_parameters(encoder, tuned.freeze))
            # what trains later has gradients from the start: DDP settles then which it averages
            if tuned.unfreeze_at is None:
                for key, parameter in encoder.named_parameters():
                    parameter.requires_grad_(key not in self.frozen[name])

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Holds still what is frozen at this step, the first one or that of a resumed run."""
        self._hold(pl_module, trainer.global_step)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: PairedBatch, batch_idx: int
    ) -> None:
        """Releases what was frozen until this step."""
        step = trainer.global_step
        if any(step == tuned.unfreeze_at for tuned in self.tuning.values()):
            self._hold(pl_module, step)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: Any, optimizer: Optimizer
    ) -> None:
        """The optimizer does not see the gradients of what is still frozen."""
        for name, tuned in self.tuning.items():
            if tuned.unfreeze_at is not None and tuned.is_frozen(trainer.global_step):
                for key, parameter in pl_module.model.encoders[name].named_parameters():
                    if key in self.frozen[name]:
                        parameter.grad = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Keeps what frozen encoders gave."""
        _save_caches(pl_module)

    on_validation_epoch_end = on_test_epoch_end = on_predict_epoch_end = on_train_epoch_end

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        """Keeps what frozen encoders gave up to it."""
        _save_caches(pl_module)

    def _hold(self, module: Any, step: int) -> None:
        module.train()
        for name, tuned in self.tuning.items():
            if tuned.is_frozen(step):
                hold_still(module.model.encoders[name], self.frozen[name])


def _save_caches(module: Any) -> None:
    for cache in module.model.caches.values():
        cache.save()
