"""What the outputs of a supervised model are called."""

from __future__ import annotations

from polymodal.inference.trained import Trained
from polymodal.objectives.regression import Regression
from polymodal.objectives.supervised import Supervised


def label_columns(trained: Trained) -> list[str]:
    """The columns that held the label in training; none of data that are no table."""
    label = (trained.stored["data"].get("columns") or {}).get("label")
    if label is None or label is False or label == "":
        return []
    return [str(name) for name in label] if isinstance(label, list | tuple) else [str(label)]


def label_name(trained: Trained, objective: Supervised) -> str:
    """What the label is called: its column, or its name in the data."""
    return ", ".join(label_columns(trained)) or objective.label


def output_names(trained: Trained, objective: Supervised) -> list[str]:
    """A name an output: of its class or tag, of the column of its value, or else its number."""
    names = trained.class_names.get(objective.label)
    if isinstance(objective, Regression) and not names:
        columns = label_columns(trained)
        if len(columns) == objective.outputs:
            return columns
        name = label_name(trained, objective)
        if objective.outputs == 1:
            return [name]
        return [f"{name} {place}" for place in range(1, objective.outputs + 1)]
    return objective.output_names(names)
