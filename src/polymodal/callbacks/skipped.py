"""How many samples were left out, among the metrics of a run."""

from __future__ import annotations

from lightning.pytorch import Callback, Trainer

from polymodal.module import MultimodalModule


class Skipped(Callback):
    """Logs `data/skipped/<reason>` after each epoch and test; nothing where no sample was left out.

    The data also warn of new ones.
    """

    logs = ("data/skipped/*",)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Training and validation of this epoch are over."""
        self._log(trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """All that the run left out is known."""
        self._log(trainer, pl_module)

    @staticmethod
    def _log(trainer: Trainer, pl_module: MultimodalModule) -> None:
        counts = trainer.datamodule.skipped()  # type: ignore[attr-defined]
        metrics = {
            f"data/skipped/{reason.replace(' ', '_')}": float(count)
            for reason, count in counts.items()
        }
        pl_module.log_dict(metrics)
