"""Zero-shot classification: the sentences of classes, and the scale of their cosines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from polymodal.errors import ConfigError
from polymodal.objectives.base import Objective
from polymodal.objectives.contrastive import Contrastive
from polymodal.objectives.symile import Symile

SCALE = 1 / 0.07
"""Inverse temperature of a loss that has none: the one that CLIP starts with."""


class Classified(NamedTuple):
    """The classes of B samples, out of K.

    Attributes:
        names: (B,) the most likely class of each.
        probabilities: (B, K) float32 on the CPU, in the order of the classes.
    """

    names: list[str]
    probabilities: Tensor


def sentences_of(classes: Sequence[str], templates: Sequence[str]) -> list[list[str]]:
    """K class names, T templates -> K lists of T sentences.

    Raises:
        ConfigError: there are no two different classes, or a template has no place for the name.
    """
    if len(classes) < 2 or not all(isinstance(name, str) and name.strip() for name in classes):
        raise ConfigError(f"classes={classes}: give the names of two classes at least.")
    name, count = Counter(classes).most_common(1)[0]
    if count > 1:
        raise ConfigError(f"classes: {name!r} is there twice.")
    for template in templates:
        if template.count("{}") != 1:
            raise ConfigError(f"templates: {template!r} needs one {{}}, where the class goes.")
    # replace, and not format: a template from elsewhere must not read attributes
    return [[template.replace("{}", name) for template in templates] for name in classes]


def check_tokens(classes: Sequence[str], tokens: Tensor) -> None:
    """Refuses classes of the same tokens: each would get half of the probability.

    Args:
        classes: K names.
        tokens: (K, T) ids of a sentence of each.

    Raises:
        ConfigError: two classes have the same tokens.
    """
    seen: dict[tuple[int, ...], str] = {}
    for name, ids in zip(classes, tokens.tolist(), strict=True):
        other = seen.setdefault(tuple(ids), name)
        if other != name:
            raise ConfigError(
                f"classes: {other!r} and {name!r} are the same tokens to this model: rename one."
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
            "trained on. Leave classes out."
        )
    part = parts[0]
    if isinstance(part, Symile) and len(modalities) > 2:
        raise ConfigError(
            f"classes: Symile compares {', '.join(modalities)} all at once, and no two of them. "
            "Use src/search.py with the vectors of src/embed.py."
        )
    if part.logit_scale is None:
        return SCALE
    rows = {modalities.index(first), modalities.index(second)}
    compared = [set(term.rows) for term in part.terms]
    index = compared.index(rows) if rows in compared else 0
    return float(part.scale(index).detach())
