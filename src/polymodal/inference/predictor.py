"""A trained model asked about inputs that a person gives: sentences and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.data.datamodule import PairedDataModule
from polymodal.data.table.contents import padded
from polymodal.data.table.module import TableData
from polymodal.errors import ConfigError, did_you_mean
from polymodal.inference.embedder import SINGLE, Embedder, normalised, pixels
from polymodal.inference.trained import Trained
from polymodal.model import MultimodalModel
from polymodal.module import MultimodalModule
from polymodal.objectives.base import Objective
from polymodal.outputs import ModelOutput
from polymodal.training.process import prepare_process

Given = str | Mapping[str, str]
"""A sentence, the path of a file, or of a table column -> value."""


@dataclass(frozen=True, eq=False)
class Predictor(Embedder):
    """A model that answers, without any data set."""

    data: PairedDataModule
    module: MultimodalModule
    device: torch.device
    trained: Trained

    @classmethod
    def opened(cls, trained: Trained) -> Predictor:
        """With its weights on the device of the config, in evaluation mode."""
        prepare_process(trained.config)
        data, module, trainer = trained.build(lambda _: False)
        return cls(
            data,
            module.eval().to(trainer.strategy.root_device),
            trainer.strategy.root_device,
            trained,
        )

    @property
    def model(self) -> MultimodalModel:  # type: ignore[override]
        """The encoders, and what follows them."""
        return self.module.model

    @property
    def objective(self) -> Objective:  # type: ignore[override]
        """That it was trained by."""
        return self.module.objective

    @property
    def formats(self) -> Mapping[str, Mapping[str, Any]]:  # type: ignore[override]
        """See `PairedDataModule.formats`."""
        return self.data.formats()

    @property
    def templates(self) -> Sequence[str]:  # type: ignore[override]
        """Of the captions of the training."""
        return self.data.templates

    def inputs(self, modality: str, values: Any) -> Tensor:
        """N sentences, or paths of files, or images as Pillow has them or as bytes; or one -> what
        the encoder takes.

        Raises:
            ConfigError: there is no such file.
            BadSampleError: a file cannot be read; names it.
        """
        alone = isinstance(values, SINGLE)
        given = [
            str(value) if isinstance(value, Path) else value
            for value in ([values] if alone else values)
        ]
        if any(isinstance(value, bytes | Image.Image) for value in given):
            about = self.formats[modality]
            return normalised(pixels(given, about).to(self.device), about)
        for value in given:
            if not isinstance(value, str | Mapping):
                raise ConfigError(
                    f"{modality}: give sentences, paths or images, not {type(value).__name__}."
                )
        samples = [{modality: value} for value in given]
        return batch_of(self.data, samples, self.model.modalities).inputs[modality].to(self.device)

    @torch.inference_mode()
    def __call__(self, samples: Sequence[Mapping[str, Given]]) -> ModelOutput:
        """Samples, each modality -> a sentence or the path of a file, -> what the model says of
        them.

        Raises:
            ConfigError: a modality is unknown, or a file is not there.
            DataError: a file cannot be read.
        """
        model = self.module.model
        batch = batch_of(self.data, samples, model.modalities).to(self.device)
        return model.fuse(model.encode(batch, known=False))  # their numbers are none of the data

    def answer(self, samples: Sequence[Mapping[str, Given]]) -> Tensor:
        """Y (B, p) of a model with a fusion."""
        y = self(samples).y
        assert y is not None
        return y


def load_run(path: str | Path, *changes: str) -> Predictor:
    """The model of a run, ready to be asked:
    `load_run("logs/train/clip_small/<run>").classify(...)`.

    Args:
        path: a run folder (its best checkpoint is taken) or a checkpoint file.
        changes: of its config, as on the command line: `devices=cpu`.

    Raises:
        ConfigError: there is no such file, it is damaged or none of ours, or the changes cannot be.
    """
    return Predictor.opened(Trained(Path(path), changes))


def inputs_by_name(
    given: Mapping[str, str], data: PairedDataModule, modalities: Sequence[str]
) -> dict[str, Given]:
    """What a person types -> modality -> what it holds: columns of the training's table may stand
    for their modality.

    Args:
        given: modality or column -> value; `<modality>.<column>` where a column is called as a
            setting.
        data: of the training.
        modalities: of the model.

    Raises:
        ConfigError: nothing is given, or there is no such modality or column; says the nearest.
    """
    columns = {
        name: data.columns[name]
        for name in modalities
        if isinstance(data, TableData) and name in data.columns
    }
    tables = [name for name in columns if data.kinds[name] == "tabular"]
    places = {f"{name}.{column}": name for name in tables for column in columns[name]}
    owners = {column: name for name, own in columns.items() for column in own} | places
    if not given:
        names = [
            *(name for name in modalities if name not in tables),
            *(c for name in tables for c in columns[name]),
        ]
        raise ConfigError(f"Give an input, one of {', '.join(f'{name}=' for name in names)}.")
    result: dict[str, Any] = {}
    for key, value in given.items():
        name = key if key in modalities else owners.get(key)
        if name is None:
            raise ConfigError(
                f"{key}=: the model has no such input.{did_you_mean(key, [*modalities, *owners])}"
            )
        if name in tables and key == name:
            example = " ".join(f"{column}=..." for column in columns[name])
            raise ConfigError(f"{key}={value}: give the values of the table one by one: {example}")
        if name in tables:
            result.setdefault(name, {})[key.removeprefix(f"{name}.")] = value
        elif name in result:
            raise ConfigError(f"{key}=: {name} is there twice. Give it once.")
        else:
            result[name] = value
    return result


def batch_of(
    data: PairedDataModule, samples: Sequence[Mapping[str, Any]], modalities: Sequence[str]
) -> PairedBatch:
    """B samples that are given by hand -> a batch as the model takes it; what is not given is
    absent.

    Raises:
        ConfigError: a modality is unknown, a file is not there, or nothing is given, or blanks
            alone.
        DataError: a file cannot be read.
    """
    for name, given in (pair for sample in samples for pair in sample.items()):
        if name not in modalities:
            raise ConfigError(
                f"{name}=: the model has no such input.{did_you_mean(name, modalities)}"
            )
        if not (given.strip() if isinstance(given, str) else given):
            raise ConfigError(f"{name}=: there is nothing in it. Leave it out where it is missing.")
    if not samples or not all(samples):
        raise ConfigError(f"Give an input, one of {', '.join(f'{name}=' for name in modalities)}.")
    inputs, present = {}, {}
    for name in modalities:
        there = [name in sample for sample in samples]
        present[name] = torch.tensor(there)
        if any(there):
            arrays = [
                data.read(name, sample[name]) if name in sample else None for sample in samples
            ]
            shape = next(array for array in arrays if array is not None)
            blank = np.zeros([0] * shape.ndim, dtype=shape.dtype)
            inputs[name] = padded([blank if array is None else array for array in arrays])
    numbers = torch.arange(len(samples))
    batch = PairedBatch(inputs, dict.fromkeys(modalities, numbers), numbers, numbers, present)
    batch = data.on_after_batch_transfer(batch, 0)
    for name in set(modalities) - set(inputs):
        batch.inputs[name] = torch.zeros(len(samples), 1)
    return batch
