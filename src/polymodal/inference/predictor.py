"""Predictor: a trained model for what a person has, such as sentences, files and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from polymodal.batch import PairedBatch
from polymodal.encoders.present import as_weights
from polymodal.errors import ConfigError, did_you_mean
from polymodal.inference.pixels import normalised
from polymodal.inference.zero_shot import Classified, check_tokens, scale_between, sentences_of
from polymodal.model import MultimodalModel
from polymodal.objectives.base import Objective
from polymodal.objectives.classification import Classification
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.supervised import Supervised, supervised_part
from polymodal.outputs import ModelOutput

TOGETHER = 64
"""Samples that are in memory at a time."""

SINGLE = str | bytes | Path | Image.Image
"""A sample that is given alone, and not in a list."""


class Predictor(nn.Module):
    """A trained model in evaluation mode, which makes its inputs of files and sentences.

    A subclass opens the model, and reads inputs.

    Args:
        model: encoders, fusion and head.
        objective: of the training.

    Attributes:
        formats: modality -> `kind` and more, see `PairedDataModule.formats`.
        templates: sentences of the training with a {} for the class; there may be none.
        class_names: of the classes or tags that Y has; None where they have only numbers.
    """

    formats: Mapping[str, Mapping[str, Any]]
    templates: Sequence[str] = ()
    class_names: Sequence[str] | None = None

    def __init__(self, model: MultimodalModel, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        self.eval()

    def read(self, modality: str, values: list[Any]) -> Tensor:
        """N inputs of one modality as a person has them -> (N, ...) as the encoder takes them.

        Images may be uint8: they are normalised afterwards.

        Raises:
            ConfigError: the model cannot take such inputs.
            BadSampleError: a file cannot be read; names it.
        """
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    @property
    def supervised(self) -> Supervised | None:
        """The objective that reads Y, or the first of several."""
        return supervised_part(self.objective)

    @property
    def labels(self) -> list[str]:
        """(p,) names of the classes or tags of Y; empty where there are none."""
        part = self.supervised
        if not isinstance(part, Classification | MultiLabel):
            return []
        return part.output_names(self.class_names)

    def encoder(self, modality: str) -> nn.Module:
        """The encoder of a modality.

        Raises:
            ConfigError: the model has no such modality; says the nearest.
        """
        if modality not in self.model.modalities:
            raise ConfigError(
                f"{modality}: this model has no such "
                f"modality.{did_you_mean(modality, self.model.modalities)}"
            )
        return self.model.encoders[modality]

    def inputs(self, modality: str, values: Any) -> Tensor:
        """What a person has -> the tensor that the encoder takes, on the device of the model.

        Args:
            modality: one of `formats`.
            values: N captions; N paths, bytes or Pillow images; N paths or bytes of sounds; one of
                these alone; or a tensor (N, ...), which stays as it is but for uint8 images
                (N, C, S, S), which are normalised.

        Raises:
            ConfigError: the model has no such modality, or cannot take such values.
            BadSampleError: a file cannot be read; names it.
        """
        self.encoder(modality)
        if not isinstance(values, Tensor):
            values = [values] if isinstance(values, SINGLE) else list(values)
            values = self.read(modality, values)
        tensor: Tensor = values.to(self.device)
        return normalised(tensor, self.formats[modality]) if tensor.dtype == torch.uint8 else tensor

    @torch.no_grad()
    def forward(self, **values: Any) -> ModelOutput:
        """N samples, each modality as `inputs` takes it -> X (N, m, d), its mask and, with a
        fusion, Y (N, p), of a regression in the units of the data.

        A modality that is not given is absent.

        Raises:
            ConfigError: the modalities have different numbers of samples, or there is none.
        """
        given = {name: self.inputs(name, part) for name, part in values.items()}
        counts = {name: len(part) for name, part in given.items()}
        if len(set(counts.values())) != 1:
            raise ConfigError(
                f"Give the same number of samples of at least one modality, not {counts}."
            )
        output = self._run(given, {}, next(iter(counts.values())))
        if output.y is None or not isinstance(self.objective, Supervised):
            return output
        return output._replace(y=self.objective.in_units(output.y))

    @torch.no_grad()
    def outputs(self, samples: Sequence[Mapping[str, Any]]) -> ModelOutput:
        """B samples, modality -> what it holds -> what the model makes of them.

        A modality that a sample lacks is absent. Y is as the objective takes it.

        Raises:
            ConfigError: there is nothing in a sample, or the model cannot take it.
            BadSampleError: a file cannot be read; names it.
        """
        check_samples(samples, self.model.modalities)
        inputs, present = {}, {}
        for name in self.model.modalities:
            has = torch.tensor([name in sample for sample in samples], device=self.device)
            present[name] = has
            if has.any():
                read = self.inputs(name, [sample[name] for sample in samples if name in sample])
                inputs[name] = read.new_zeros(len(samples), *read.shape[1:])
                inputs[name][has] = read
        return self._run(inputs, present, len(samples))

    def _run(
        self, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor], count: int
    ) -> ModelOutput:
        """The model on `count` samples; modalities without inputs are absent in all of them."""
        number = torch.arange(count, device=self.device)
        absent = [name for name in self.model.modalities if name not in inputs]
        blank = dict.fromkeys(absent, torch.zeros(count, 1, device=self.device))
        nowhere = dict.fromkeys(absent, torch.zeros_like(number, dtype=torch.bool))
        batch = PairedBatch(
            inputs={**inputs, **blank},
            items=dict.fromkeys(self.model.modalities, number),
            group=number,
            id=number,
            present={**present, **nowhere},
        )
        # these numbers are not those of the data: no cached vector belongs to them
        return self.model.fuse(self.model.encode(batch, known=False))

    @torch.no_grad()
    def vectors(self, modality: str, values: Any) -> Tensor:
        """N samples of one modality, see `inputs` -> (N, d) of length 1, to be compared by their
        products.
        """
        encoder = self.encoder(modality)
        inputs = as_weights(self.inputs(modality, values), encoder)
        return F.normalize(encoder(inputs).float(), dim=-1, eps=1e-12)

    def classify(
        self,
        values: Any,
        classes: Sequence[str],
        templates: Sequence[str] | None = None,
        modality: str | None = None,
    ) -> Classified:
        """Zero-shot classification (Radford et al. 2021): classes are sentences, and the nearest
        one is the answer.

        The vector of a class is the mean of the unit vectors of its sentences, made unit again; the
        probabilities are the softmax of the cosines times the trained scale.

        Args:
            values: B images, or samples of another modality, as `inputs` takes them.
            classes: K names, two at least.
            templates: sentences with a {} for the name; None: those of the training, or else the
                name alone.
            modality: what the values are; None where the model has one beside text.

        Raises:
            ConfigError: the model aligns nothing or reads no text, or there are no two different
                classes.
            BadSampleError: a file cannot be read; names it.
        """
        modality = self.queried() if modality is None else modality
        self.encoder(modality)
        text = self._text(modality)
        scale = scale_between(self.objective, self.model.modalities, modality, text)
        weights = self.class_vectors(text, classes, templates)
        vectors = self._vectors(modality, values)
        probabilities = (scale * vectors @ weights.T).softmax(1).cpu()
        names = [classes[index] for index in probabilities.argmax(1).tolist()]
        return Classified(names, probabilities)

    def class_vectors(
        self, text: str, classes: Sequence[str], templates: Sequence[str] | None = None
    ) -> Tensor:
        """(K, d) of length 1, one vector a class: see `classify`."""
        # one word is one class, and no list of letters
        classes = [classes] if isinstance(classes, str) else list(classes)
        templates = list(self.templates if templates is None else templates) or ["{}"]
        sentences = sentences_of(classes, templates)
        check_tokens(classes, self.inputs(text, [several[0] for several in sentences]))
        vectors = self._vectors(text, [sentence for several in sentences for sentence in several])
        mean = vectors.view(len(classes), len(templates), -1).mean(1)
        return F.normalize(mean, dim=-1, eps=1e-12)

    def queried(self) -> str:
        """The one modality that is no text.

        Raises:
            ConfigError: there are several, or none.
        """
        others = [name for name in self.model.modalities if self.formats[name]["kind"] != "text"]
        if len(others) != 1:
            raise ConfigError(
                f"Say which modality that is, one of {', '.join(self.model.modalities)}: "
                "modality=..."
            )
        return others[0]

    def _text(self, modality: str) -> str:
        """The modality of the sentences: another one than that of the samples, if there is one."""
        texts = [name for name in self.model.modalities if self.formats[name]["kind"] == "text"]
        if not texts:
            raise ConfigError(
                "classes: they are sentences, and this model reads none, but "
                f"{', '.join(self.model.modalities)}."
            )
        return next((name for name in texts if name != modality), texts[0])

    def _vectors(self, modality: str, values: Any) -> Tensor:
        """The same as `vectors`, not all of them in memory at a time."""
        if isinstance(values, SINGLE | Tensor):
            return self.vectors(modality, values)
        values = list(values)
        if not values:
            raise ConfigError(f"{modality}: there is nothing to classify.")
        starts = range(0, len(values), TOGETHER)
        parts = [self.vectors(modality, values[start : start + TOGETHER]) for start in starts]
        return torch.cat(parts)


def check_samples(samples: Sequence[Mapping[str, Any]], modalities: Sequence[str]) -> None:
    """Refuses samples that the model cannot take.

    Args:
        samples: modality -> what it holds.
        modalities: of the model.

    Raises:
        ConfigError: a modality is unknown, a sample has nothing in it, or blanks alone.
    """
    for sample in samples:
        for name, value in sample.items():
            if name not in modalities:
                raise ConfigError(
                    f"{name}=: the model has no such input.{did_you_mean(name, modalities)}"
                )
            content = value.strip() if isinstance(value, str) else value
            if not content:
                raise ConfigError(
                    f"{name}=: there is nothing in it. Leave it out where it is missing."
                )
    if not samples or not all(samples):
        raise ConfigError(f"Give an input, one of {', '.join(f'{name}=' for name in modalities)}.")
