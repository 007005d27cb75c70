"""What a supervised model answers, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from torch import Tensor

from polymodal.objectives.classification import Classification
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.supervised import Supervised

NO_ANSWERS = (
    "This model aligns modalities and has no answers of its own. Name classes, such as "
    "image=photo.png "
    "classes=[cat,dog], or use src/embed.py and src/search.py."
)


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


def answer_names(
    objective: Supervised, label: str | Sequence[str], names: Sequence[str] | None
) -> list[str]:
    """The columns that `answer_columns` gives.

    Args:
        objective: says what Y is.
        label: the column of the training's labels, or the columns of its values.
        names: of the classes or tags.
    """
    labels = [label] if isinstance(label, str) else list(label)
    if not isinstance(objective, Classification | MultiLabel):
        if len(labels) != objective.outputs:
            labels = [f"{labels[0]}_{number}" for number in range(objective.outputs)]
        return [f"prediction {name}" for name in labels] if len(labels) > 1 else ["prediction"]
    own = ["probability"] if isinstance(objective, Classification) else []
    each = [f"probability {name}" for name in objective.output_names(names)]
    return ["prediction", *own, *each]


def answer_columns(
    objective: Supervised, y: Tensor, label: str | Sequence[str], names: Sequence[str] | None
) -> dict[str, pa.Array]:
    """Y (B, p) as columns of a table, (B,) each.

    Of a class `prediction`, its `probability` and `probability <name>` of all; of tags a list of
    those that are likelier than not and the probability of each; of a value `prediction` in its
    unit, of several `prediction <label>`.

    Args:
        objective: says what Y is.
        y: of the model.
        label: see `answer_names`.
        names: of the classes or tags.
    """
    said = answers(objective, y, names)
    columns: list[Any]
    if said.probability is None:
        columns = list(objective.in_units(y.cpu().double()).numpy().astype(np.float32).T)
    elif isinstance(objective, Classification):
        columns = [said.prediction, said.probability.max(1), *said.probability.T]
    else:
        columns = [said.prediction, *said.probability.T]
    keys = answer_names(objective, label, names)
    return {key: pa.array(column) for key, column in zip(keys, columns, strict=True)}


def answers(objective: Supervised, y: Tensor, names: Sequence[str] | None) -> Answers:
    """Y (B, p) in the words of its objective.

    Args:
        objective: says what Y is.
        y: of the model.
        names: of the classes or tags; None where they have only numbers. There may be fewer than
            outputs.
    """
    y = y.cpu().double()  # not every device has doubles
    labels = np.array(objective.output_names(names), dtype=object)
    if isinstance(objective, Classification):
        probability = y.softmax(1).numpy().astype(np.float32)
        return Answers(
            pa.array(labels[y.argmax(1).numpy()], pa.string()), probability, labels.tolist()
        )
    if isinstance(objective, MultiLabel):
        probability = y.sigmoid().numpy().astype(np.float32)
        tags = [labels[row].tolist() for row in probability > 0.5]
        return Answers(pa.array(tags, pa.list_(pa.string())), probability, labels.tolist())
    values = objective.in_units(y).numpy().astype(np.float32)
    return Answers(
        pa.array(values[:, 0] if y.shape[1] == 1 else list(values)), None, labels.tolist()
    )
