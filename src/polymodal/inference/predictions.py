"""Y of a supervised model as predictions: names of classes, tags, or values in their units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from torch import Tensor

from polymodal.objectives.classification import Classification
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.supervised import Supervised

NO_PREDICTIONS = (
    "This model aligns modalities and was not trained to predict anything. Name classes, such as "
    "image=photo.png classes=[cat,dog], or use src/embed.py and src/search.py."
)


class Predictions(NamedTuple):
    """The predictions for B samples.

    Attributes:
        prediction: (B,) names of classes, lists of tags, float32 values, or lists of p values.
        probability: (B, p) float32, or None for values: of each class, or of each tag by itself.
        names: (p,) of the outputs (`Supervised.output_names`).
    """

    prediction: pa.Array
    probability: np.ndarray | None
    names: list[str]


def column_names_of(
    objective: Supervised, label: str | Sequence[str], names: Sequence[str] | None
) -> list[str]:
    """Names of the columns of `prediction_columns`.

    Args:
        objective: reads Y.
        label: the column of the training's labels, or the columns of its values.
        names: of the classes or tags.
    """
    if isinstance(objective, Classification | MultiLabel):
        each = [f"probability {name}" for name in objective.output_names(names)]
        likeliest = ["probability"] if isinstance(objective, Classification) else []
        return ["prediction", *likeliest, *each]
    labels = [label] if isinstance(label, str) else list(label)
    if len(labels) != objective.outputs:
        labels = [f"{labels[0]}_{number}" for number in range(objective.outputs)]
    return [f"prediction {name}" for name in labels] if len(labels) > 1 else ["prediction"]


def prediction_columns(
    objective: Supervised, y: Tensor, label: str | Sequence[str], names: Sequence[str] | None
) -> dict[str, pa.Array]:
    """Y (B, p) as columns of a table, (B,) each.

    Of a class `prediction`, its `probability` and `probability <name>` of all; of tags a list of
    those that are likelier than not and the probability of each; of a value `prediction` in its
    unit, of several `prediction <label>`.

    Args:
        objective: reads Y.
        y: of the model.
        label: see `column_names_of`.
        names: of the classes or tags.
    """
    result = predictions_of(objective, y, names)
    columns: list[Any]
    if result.probability is None:
        columns = list(objective.in_units(y.cpu().double()).numpy().astype(np.float32).T)
    elif isinstance(objective, Classification):
        columns = [result.prediction, result.probability.max(1), *result.probability.T]
    else:
        columns = [result.prediction, *result.probability.T]
    keys = column_names_of(objective, label, names)
    return {key: pa.array(column) for key, column in zip(keys, columns, strict=True)}


def predictions_of(objective: Supervised, y: Tensor, names: Sequence[str] | None) -> Predictions:
    """Y (B, p) as its objective reads it.

    Args:
        objective: reads Y.
        y: of the model.
        names: of the classes or tags; None where they have only numbers. There may be fewer than
            outputs.
    """
    y = y.cpu().double()  # not every device has doubles
    outputs = objective.output_names(names)
    labels = np.array(outputs, dtype=object)
    if isinstance(objective, Classification):
        probability = y.softmax(1).numpy().astype(np.float32)
        likeliest = labels[y.argmax(1).numpy()]
        return Predictions(pa.array(likeliest, pa.string()), probability, outputs)
    if isinstance(objective, MultiLabel):
        probability = y.sigmoid().numpy().astype(np.float32)
        tags = [labels[row].tolist() for row in probability > 0.5]
        return Predictions(pa.array(tags, pa.list_(pa.string())), probability, outputs)
    values = objective.in_units(y).numpy().astype(np.float32)
    return Predictions(pa.array(values[:, 0] if y.shape[1] == 1 else list(values)), None, outputs)
