"""Looks at the data between their set-up and the first step."""

from __future__ import annotations

import logging

from lightning.pytorch import Callback, Trainer

from polymodal.data.datamodule import PairedDataModule
from polymodal.module import MultimodalModule
from polymodal.training.data_checks import check_data, check_vocabulary, few_updates

log = logging.getLogger(__name__)


class DataCheck(Callback):
    """Ends a run whose data cannot be trained on or evaluated: see
    `polymodal.training.data_checks`.
    """

    def __init__(self) -> None:
        self.checked: set[str] = set()

    def setup(self, trainer: Trainer, pl_module: MultimodalModule, stage: str) -> None:
        """Checks each split once.

        Raises:
            DataError: there is nothing to pair, no label, or all is alike.
            ConfigError: a text encoder knows fewer tokens than the captions have.
        """
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, PairedDataModule):  # of embed.py, which measures nothing
            return
        splits = {"fit": data.wanted, "test": ("test",)}.get(stage, ("val",))
        new = [split for split in splits if split not in self.checked]
        check_data(data, pl_module.objective, pl_module.model.modalities, new)
        check_vocabulary(data, pl_module.model)
        self.checked.update(new)

    def on_train_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Warns of a run of few updates, unless it is one of debug, which takes a part of the
        data.
        """
        share = trainer.limit_train_batches  # 1.0 is all batches, and 1 is one batch
        is_whole = isinstance(share, float) and share == 1 and trainer.datamodule.limit is None  # type: ignore[attr-defined]
        if is_whole and trainer.is_global_zero:
            epochs = trainer.max_epochs if trainer.max_steps < 0 else None
            if warning := few_updates(trainer.estimated_stepping_batches, epochs):
                log.warning(warning)
