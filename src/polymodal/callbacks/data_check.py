"""Looks at the data between their set-up and the first step."""

from __future__ import annotations

from lightning.pytorch import Callback, Trainer

from polymodal.data.datamodule import PairedDataModule
from polymodal.data_checks import check_data, check_vocabulary
from polymodal.module import MultimodalModule


class DataCheck(Callback):
    """Ends a run whose data cannot be trained on or evaluated: see `polymodal.data_checks`."""

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
        splits = data.wanted if stage == "fit" else ("test",) if stage == "test" else ("val",)
        new = [split for split in splits if split not in self.checked]
        check_data(data, pl_module.objective, pl_module.model.modalities, new)
        check_vocabulary(data, pl_module.model)
        self.checked.update(new)
