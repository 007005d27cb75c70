"""What sentences, images and sounds mean to a model of aligned modalities: vectors, and classes by
their names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from polymodal.data.media.images import middle_square, read_image
from polymodal.errors import ConfigError, did_you_mean
from polymodal.model import MultimodalModel
from polymodal.objectives.aligned import Aligned
from polymodal.objectives.base import Objective
from polymodal.objectives.contrastive import Contrastive
from polymodal.objectives.symile import Symile

TOGETHER = 64
"""Samples that are in memory at a time."""

SCALE = 1 / 0.07
"""Inverse temperature of a loss that has none: that of CLIP's start."""

SINGLE = str | bytes | Path | Image.Image
"""A sample that is given alone."""


class Classified(NamedTuple):
    """B samples told apart by the names of K classes.

    Attributes:
        names: (B,) of the likeliest class of each.
        probabilities: (B, K) float32 on the CPU, in the order of the classes.
    """

    names: list[str]
    probabilities: Tensor


class Embedder:
    """The part that all trained models share, however they were opened.

    A model says what it is made of, and how what a person has becomes inputs.

    Attributes:
        model: its encoders.
        objective: that it was trained by.
        formats: modality -> `kind` and more, see `PairedDataModule.formats`.
        templates: sentences with a {} for the class, of the training; empty where there were none.
    """

    model: MultimodalModel
    objective: Objective
    formats: Mapping[str, Mapping[str, Any]]
    templates: Sequence[str] = ()

    def inputs(self, modality: str, values: Any) -> Tensor:
        """N samples as a person has them -> the tensor that the encoder takes, on the model's
        device.
        """
        raise NotImplementedError

    @torch.no_grad()
    def vectors(self, modality: str, values: Any) -> Tensor:
        """N samples of one modality, see `inputs` -> (N, d) of length 1: their products are what is
        compared.
        """
        encoder = self.encoder(modality)
        return F.normalize(encoder(self.inputs(modality, values)).float(), dim=-1, eps=1e-12)

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
        classes = (
            [classes] if isinstance(classes, str) else list(classes)
        )  # a word is no list of letters
        name, count = max(Counter(classes).items(), key=lambda pair: pair[1], default=("", 0))
        if count > 1:
            raise ConfigError(f"classes: {name!r} is there twice.")
        if len(classes) < 2 or not all(isinstance(each, str) and each.strip() for each in classes):
            raise ConfigError(f"classes={classes}: give the names of two classes at least.")
        templates = list(self.templates if templates is None else templates) or ["{}"]
        for template in templates:
            if template.count("{}") != 1:
                raise ConfigError(f"templates: {template!r} needs one {{}}, where the class goes.")
        # replace, and not format: a template of a stranger reaches into nothing
        sentences = [template.replace("{}", each) for each in classes for template in templates]
        self._check_tokens(text, classes, sentences[:: len(templates)])
        vectors = self._vectors(text, sentences).view(len(classes), len(templates), -1)
        return F.normalize(vectors.mean(1), dim=-1, eps=1e-12)

    def _check_tokens(self, text: str, classes: Sequence[str], sentences: Sequence[str]) -> None:
        """Refuses classes whose sentences are the same tokens: each would have half of what is due
        to both.
        """
        seen: dict[tuple[int, ...], str] = {}
        for name, ids in zip(classes, self.inputs(text, sentences).tolist(), strict=True):
            other = seen.setdefault(tuple(ids), name)
            if other != name:
                raise ConfigError(
                    f"classes: {other!r} and {name!r} are the same tokens to this model: rename "
                    "one."
                )

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

    def encoder(self, modality: str) -> nn.Module:
        """Of a modality.

        Raises:
            ConfigError: the model has no such modality; says the nearest.
        """
        if modality not in self.model.modalities:
            raise ConfigError(
                f"{modality}: this model has no such "
                f"modality.{did_you_mean(modality, self.model.modalities)}"
            )
        return self.model.encoders[modality]

    def _text(self, modality: str) -> str:
        """The modality of the classes' sentences: another one than that of the samples, if there is
        one.
        """
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
        parts = range(0, len(values), TOGETHER)
        return torch.cat(
            [self.vectors(modality, values[start : start + TOGETHER]) for start in parts]
        )


def scale_between(
    objective: Objective, modalities: Sequence[str], first: str, second: str
) -> float:
    """The inverse temperature by which two modalities were compared in training.

    Args:
        objective: of the training.
        modalities: names of the rows of X.
        first: one of them.
        second: one of them.

    Raises:
        ConfigError: the model was not trained to compare two modalities; says what it can do.
    """
    parts = [part for part in objective.parts().values() if isinstance(part, Contrastive)]
    if not parts:
        raise ConfigError(
            "classes: this model aligns no modalities, and answers with the classes that it was "
            "trained on. "
            "Leave classes out."
        )
    part = parts[0]
    if isinstance(part, Symile) and len(modalities) > 2:
        raise ConfigError(
            f"classes: Symile compares {', '.join(modalities)} all at once, and no two of them. "
            "Use src/search.py "
            "with the vectors of src/embed.py."
        )
    if part.logit_scale is None:
        return SCALE
    rows = {modalities.index(first), modalities.index(second)}
    terms = part.terms if isinstance(part, Aligned) else []
    index = next((number for number, term in enumerate(terms) if set(term.rows) == rows), 0)
    return float(part.scale(index).detach())


def pixels(values: Sequence[Any], about: Mapping[str, Any]) -> Tensor:
    """N paths, bytes or Pillow images -> (N, C, S, S) uint8, as `about` of
    `PairedDataModule.formats` says.
    """
    return torch.stack([_square(value, about) for value in values])


def normalised(images: Tensor, about: Mapping[str, Any]) -> Tensor:
    """(N, C, S, S) uint8 -> float32 as the encoder takes them."""
    mean, std = (
        torch.tensor(about[key], device=images.device).view(-1, 1, 1) for key in ("mean", "std")
    )
    return (images / 255 - mean) / std


def _square(value: Any, about: Mapping[str, Any]) -> Tensor:
    """(C, S, S) uint8."""
    size, channels, image_max = about["size"], about["channels"], about.get("image_max")
    if isinstance(value, Image.Image):
        return torch.from_numpy(middle_square(value, size, channels, image_max))
    source = value if isinstance(value, bytes) else Path(value)
    return torch.from_numpy(read_image(source, size, channels, image_max=image_max))
