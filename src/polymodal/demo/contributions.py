"""The prediction of a fusion model, and the contribution of each modality to it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.demo.outputs import output_names
from polymodal.inference.predictions import predictions_of
from polymodal.inference.run_predictor import RunPredictor
from polymodal.metrics.shapley import shapley_values
from polymodal.objectives.supervised import Supervised
from polymodal.outputs import Encoded, Tokens

MOST = 8
"""Modalities of which all subsets are tried; with more, each is left out alone."""


class Explanation(NamedTuple):
    """The prediction for one sample.

    Attributes:
        scores: class, tag or name of the output -> its probability, or its value where
            `are_values`.
        are_values: whether the model predicts values.
        of: the output that is explained, that of the highest probability or else the first.
        contribution: modality -> what it adds to that output. Of MOST modalities and fewer, Shapley
            values: their sum is the difference to the output without any modality. Of more, what is
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
def explain(
    predictor: RunPredictor, sample: PairedBatch, dropped: frozenset[str] = frozenset()
) -> Explanation:
    """Predicts for one sample without some modalities, and for all subsets of the others.

    Args:
        predictor: a model with a fusion.
        sample: one, as the model takes it; a modality that is not dropped must be there.
        dropped: modalities.
    """
    model, names = predictor.model, predictor.model.modalities
    objective = predictor.supervised
    assert objective is not None
    # encoded once; a visitor's items have no cached vectors
    absent = torch.tensor([name in dropped for name in names], device=predictor.device)
    encoded = model.encode(sample.to(predictor.device), known=False).without(absent)
    present = [names[index] for index in encoded.mask[0].nonzero().flatten().tolist()]
    # fused once, a row a subset of the modalities
    subsets = _subsets(present)
    kept = [[name in subset for name in names] for subset in subsets]
    left_out = ~torch.tensor(kept, device=predictor.device)
    output = model.fuse(_repeated(encoded, len(subsets)).without(left_out))
    assert output.y is not None
    # the last row is the prediction itself; its likeliest class is explained
    labels = output_names(predictor.trained, objective)
    scores, are_values = _scores(objective, output.y, labels)
    explained = 0 if are_values else int(scores[-1].argmax())
    worth = dict(zip(subsets, scores[:, explained].double().tolist(), strict=True))
    weights: dict[str, float] = {}
    if output.weights is not None:
        weights = dict(zip(names, output.weights[-1].tolist(), strict=True))
    return Explanation(
        scores=dict(zip(labels, scores[-1].tolist(), strict=True)),
        are_values=are_values,
        of=labels[explained],
        contribution=_contributions(present, worth),
        base=worth.get(frozenset()),
        weights={name: weights[name] for name in present if name in weights},
    )


def _subsets(names: list[str]) -> list[frozenset[str]]:
    """All subsets, or of many names those that lack one at most; the last one is the whole."""
    count = len(names)
    sizes = range(count + 1) if count <= MOST else range(count - 1, count + 1)
    return [frozenset(subset) for size in sizes for subset in combinations(names, size)]


def _scores(objective: Supervised, y: Tensor, labels: Sequence[str]) -> tuple[Tensor, bool]:
    """Y (B, p) -> probabilities, or values in their units; whether they are values."""
    probability = predictions_of(objective, y, labels).probability
    if probability is None:
        return objective.in_units(y), True
    return torch.from_numpy(probability), False


def _contributions(names: list[str], worth: dict[frozenset[str], float]) -> dict[str, float]:
    """What each modality adds.

    Args:
        names: of the modalities.
        worth: subset -> output.
    """
    if len(names) <= MOST:
        return shapley_values(names, worth)
    whole = frozenset(names)
    return {name: worth[whole] - worth[whole - {name}] for name in names}


def _repeated(encoded: Encoded, count: int) -> Encoded:
    """One sample -> a batch of `count` times this sample."""

    def repeat(part: Tensor) -> Tensor:
        return part.expand(count, *part.shape[1:])

    tokens = None
    if encoded.tokens is not None:
        tokens = [Tokens(repeat(part.values), repeat(part.mask)) for part in encoded.tokens]
    return Encoded(repeat(encoded.x), repeat(encoded.mask), tokens)
