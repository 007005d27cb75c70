"""The model of a run as a `Predictor`, whose data module reads the inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.data.table.contents import padded
from polymodal.errors import ConfigError
from polymodal.inference.pixels import pixels
from polymodal.inference.predictor import Predictor, check_samples
from polymodal.inference.trained import Trained
from polymodal.training.process import prepare_process


class RunPredictor(Predictor):
    """A model with the data module of its training, which is not set up.

    Args:
        trained: the checkpoint; its config says on which device the model is.
    """

    def __init__(self, trained: Trained) -> None:
        prepare_process(trained.config)
        data, module, trainer = trained.build(lambda _: False)
        super().__init__(module.model, module.objective)
        self.data, self.trained = data, trained
        self.to(trainer.strategy.root_device)

    @property
    def formats(self) -> Mapping[str, Mapping[str, Any]]:  # type: ignore[override]
        """See `PairedDataModule.formats`."""
        return self.data.formats()

    @property
    def templates(self) -> Sequence[str]:  # type: ignore[override]
        """Of the captions of the training."""
        return self.data.templates

    @property
    def class_names(self) -> Sequence[str] | None:  # type: ignore[override]
        """Of the label that Y stands for."""
        part = self.supervised
        return None if part is None else self.trained.class_names.get(part.label)

    def read(self, modality: str, values: list[Any]) -> Tensor:
        """Sentences, paths of files, or rows of a table as column -> value; images as Pillow has
        them or as bytes.

        Raises:
            ConfigError: there is no such file, or nothing is in a sentence.
            BadSampleError: a file cannot be read; names it.
        """
        values = [str(value) if isinstance(value, Path) else value for value in values]
        if any(isinstance(value, bytes | Image.Image) for value in values):
            return pixels(values, self.formats[modality])
        for value in values:
            if not isinstance(value, str | Mapping):
                raise ConfigError(
                    f"{modality}: give sentences, paths or images, not {type(value).__name__}."
                )
        check_samples([{modality: value} for value in values], self.model.modalities)
        arrays = [self.data.read(modality, value) for value in values]
        # the data module makes of it what it makes of its own batches
        number = torch.arange(len(arrays))
        is_there = {
            name: torch.full_like(number, name == modality) > 0 for name in self.model.modalities
        }
        items = dict.fromkeys(self.model.modalities, number)
        batch = PairedBatch({modality: padded(arrays)}, items, number, number, is_there)
        return self.data.on_after_batch_transfer(batch, 0).inputs[modality]


def load_run(path: str | Path, *changes: str) -> RunPredictor:
    """The model of a run: `load_run("logs/train/clip_small/<run>").classify(...)`.

    Args:
        path: a run folder (its best checkpoint is taken) or a checkpoint file.
        changes: of its config, as on the command line: `devices=cpu`.

    Raises:
        ConfigError: there is no such file, it is damaged or none of ours, or the changes cannot be.
    """
    return RunPredictor(Trained(Path(path), changes))
