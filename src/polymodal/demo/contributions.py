"""What a fusion model answers, and what each modality has to do with it."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.demo.outputs import output_names
from polymodal.inference.predictions import answers
from polymodal.inference.run_predictor import RunPredictor
from polymodal.metrics.shapley import shapley_values
from polymodal.outputs import Encoded, Tokens

MOST = 8
"""Modalities of which all subsets are tried; with more, each is left out alone."""


class Answer(NamedTuple):
    """The answer to one sample.

    Attributes:
        scores: class, tag or number of the output -> its probability, or its value where
            `are_values`.
        are_values: whether the model predicts values.
        of: the output that is taken apart, that of the highest probability or else the first.
        contribution: modality -> what it adds to that output. Of MOST modalities and fewer, Shapley
            values: their sum is the difference to an answer without any modality. Of more, what is
            lost without this one alone; these do not add up.
        base: the output without any modality; None of more than MOST modalities.
        weights: modality -> weight within the fusion; empty where it has none.
    """

    scores: dict[str, float]
    are_values: bool
    of: str
    contribution: dict[str, float]
    base: float | None
    weights: dict[str, float]


@torch.no_grad()
def answer(
    predictor: RunPredictor, sample: PairedBatch, dropped: frozenset[str] = frozenset()
) -> Answer:
    """What the model says of one sample without some modalities.

    Args:
        predictor: a model with a fusion.
        sample: one, as the model takes it; a modality that is not dropped must be there.
        dropped: modalities.
    """
    model, names = predictor.model, predictor.model.modalities
    absent = torch.tensor([name in dropped for name in names], device=predictor.device)
    encoded = model.encode(sample.to(predictor.device), known=False).without(
        absent
    )  # a visitor's items are none of the data
    there = [name for name, has in zip(names, encoded.mask[0].tolist(), strict=True) if has]
    sizes = range(len(there) + 1) if len(there) <= MOST else (len(there) - 1, len(there))
    subsets = [
        frozenset(subset) for size in sizes for subset in combinations(there, size)
    ]  # the last one is all
    left_out = torch.tensor(
        [[name not in subset for name in names] for subset in subsets], device=predictor.device
    )
    output = model.fuse(_repeated(encoded, len(subsets)).without(left_out))
    objective = predictor.answering
    assert objective is not None
    assert output.y is not None
    labels = output_names(predictor.trained, objective)
    probability = answers(objective, output.y, labels).probability
    scores = objective.in_units(output.y) if probability is None else torch.from_numpy(probability)
    best = 0 if probability is None else int(scores[-1].argmax())
    worth = dict(zip(subsets, scores[:, best].double().tolist(), strict=True))
    weights = (
        {} if output.weights is None else dict(zip(names, output.weights[-1].tolist(), strict=True))
    )
    return Answer(
        dict(zip(labels, scores[-1].tolist(), strict=True)),
        probability is None,
        labels[best],
        _contributions(there, worth),
        worth.get(frozenset()),
        {name: weights[name] for name in there if name in weights},
    )


def _contributions(there: list[str], worth: dict[frozenset[str], float]) -> dict[str, float]:
    if len(there) <= MOST:
        return shapley_values(there, worth)
    everything = frozenset(there)
    return {name: worth[everything] - worth[everything - {name}] for name in there}


def _repeated(encoded: Encoded, count: int) -> Encoded:
    """One sample -> the same (count) times."""

    def times(part: Tensor) -> Tensor:
        return part.expand(count, *part.shape[1:])

    tokens = (
        None
        if encoded.tokens is None
        else [Tokens(times(t.values), times(t.mask)) for t in encoded.tokens]
    )
    return Encoded(times(encoded.x), times(encoded.mask), tokens)
