"""What a supervised model answers, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from torch import Tensor

from polymodal.objectives.classification import Classification
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.supervised import Supervised


class Answers(NamedTuple):
    """The answers to B samples.

    Attributes:
        prediction: (B,) names of classes, lists of tags, float32 values, or lists of p values.
        probability: (B, p) float32, or None for values: of each class, or of each tag by itself.
        names: (p,) of the outputs (`Supervised.output_names`).
    """

    prediction: pa.Array
    probability: np.ndarray | None
    names: list[str]


def answers(objective: Supervised, y: Tensor, names: Sequence[str] | None) -> Answers:
    """Y (B, p) in the words of its objective.

    Args:
        objective: says what Y is.
        y: of the model.
        names: of the classes or tags; None where they have only numbers. There may be fewer than outputs.
    """
    y = y.cpu().double()  # not every device has doubles
    labels = np.array(objective.output_names(names), dtype=object)
    if isinstance(objective, Classification):
        probability = y.softmax(1).numpy().astype(np.float32)
        return Answers(pa.array(labels[y.argmax(1).numpy()], pa.string()), probability, labels.tolist())
    if isinstance(objective, MultiLabel):
        probability = y.sigmoid().numpy().astype(np.float32)
        tags = [labels[row].tolist() for row in probability > 0.5]
        return Answers(pa.array(tags, pa.list_(pa.string())), probability, labels.tolist())
    values = objective.in_units(y).numpy().astype(np.float32)
    return Answers(pa.array(values[:, 0] if y.shape[1] == 1 else list(values)), None, labels.tolist())
