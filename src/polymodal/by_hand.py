"""A trained model asked about inputs that a person gives: sentences and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.config.signature import nearest
from polymodal.data.contents import padded
from polymodal.data.datamodule import PairedDataModule
from polymodal.errors import ConfigError
from polymodal.model import ModelOutput
from polymodal.module import MultimodalModule
from polymodal.run import prepare_process
from polymodal.trained import Trained


class Asked(NamedTuple):
    """A model that answers, without any data set."""

    data: PairedDataModule
    module: MultimodalModule
    device: torch.device
    trained: Trained

    @classmethod
    def opened(cls, trained: Trained) -> Asked:
        """With its weights on the device of the config, in evaluation mode."""
        prepare_process(trained.config)
        data, module, trainer = trained.build(lambda _: False)
        return cls(data, module.eval().to(trainer.strategy.root_device), trainer.strategy.root_device, trained)

    @torch.inference_mode()
    def __call__(self, samples: Sequence[Mapping[str, str]]) -> ModelOutput:
        """Samples, each modality -> a sentence or the path of a file, -> what the model says of them.

        Raises:
            ConfigError: a modality is unknown, or a file is not there.
            DataError: a file cannot be read.
        """
        model = self.module.model
        batch = batch_of(self.data, samples, model.modalities).to(self.device)
        return model.fuse(model.encode(batch, known=False))  # their numbers are none of the data

    def answer(self, samples: Sequence[Mapping[str, str]]) -> Tensor:
        """Y (B, p) of a model with a fusion."""
        y = self(samples).y
        assert y is not None
        return y


def batch_of(data: PairedDataModule, samples: Sequence[Mapping[str, str]], modalities: Sequence[str]) -> PairedBatch:
    """B samples that are given by hand -> a batch as the model takes it; what is not given is absent.

    Raises:
        ConfigError: a modality is unknown, a file is not there, or nothing is given, or blanks alone.
        DataError: a file cannot be read.
    """
    for name, given in (pair for sample in samples for pair in sample.items()):
        if name not in modalities:
            raise ConfigError(f"{name}=: the model has no such input.{nearest(name, modalities)}")
        if not given.strip():
            raise ConfigError(f"{name}=: there is nothing in it. Leave it out where it is missing.")
    if not samples or not all(samples):
        raise ConfigError(f"Give an input, one of {', '.join(f'{name}=' for name in modalities)}.")
    inputs, present = {}, {}
    for name in modalities:
        there = [name in sample for sample in samples]
        present[name] = torch.tensor(there)
        if any(there):
            arrays = [data.read(name, sample[name]) if name in sample else None for sample in samples]
            shape = next(array for array in arrays if array is not None)
            blank = np.zeros([0] * shape.ndim, dtype=shape.dtype)
            inputs[name] = padded([blank if array is None else array for array in arrays])
    numbers = torch.arange(len(samples))
    batch = PairedBatch(inputs, dict.fromkeys(modalities, numbers), numbers, numbers, present)
    batch = data.on_after_batch_transfer(batch, 0)
    for name in set(modalities) - set(inputs):
        batch.inputs[name] = torch.zeros(len(samples), 1)
    return batch
