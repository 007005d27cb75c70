"""What a supervised model answers, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from polymodal.objectives.classification import Classification
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.supervised import Supervised


class Answers(NamedTuple):
    """The answers to B samples.

    Attributes:
        prediction: (B,) names of classes, lists of tags, values, or lists of p values.
        probability: (B, p) float32, or None for values: of each class, or of each tag by itself.
    """

    prediction: Sequence[Any]
    probability: np.ndarray | None


def answers(objective: Supervised, y: Tensor, names: Sequence[str] | None) -> Answers:
    """Y (B, p) in the words of its objective.

    Args:
        objective: says what Y is.
        y: of the model.
        names: of the classes or tags; None where they have only numbers.
    """
    y = y.double()
    labels = np.array(names if names and len(names) == objective.outputs else range(objective.outputs), dtype=object)
    if isinstance(objective, Classification):
        probability = y.softmax(1).cpu().numpy().astype(np.float32)
        return Answers([str(name) for name in labels[y.argmax(1).cpu().numpy()]], probability)
    if isinstance(objective, MultiLabel):
        probability = y.sigmoid().cpu().numpy().astype(np.float32)
        return Answers([[str(name) for name in labels[row]] for row in probability > 0.5], probability)
    values = y.float().cpu().tolist()
    return Answers([value[0] for value in values] if y.shape[1] == 1 else values, None)
