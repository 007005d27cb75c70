"""What stands beside a result: chance, and a linear model of the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np
import torch
from lightning.pytorch import Trainer
from scipy.sparse import csr_matrix
from scipy.special import gammaln
from torch import Tensor
from torch.utils.data import IterableDataset

from polymodal.controls.linear import class_scores, ridge
from polymodal.controls.samples import Collected, collect, encoded
from polymodal.data.datamodule import PairedDataModule
from polymodal.formatting import readable
from polymodal.metrics.multilabel import multilabel_metrics
from polymodal.metrics.regression import regression_metrics
from polymodal.metrics.retrieval import EmbeddingTable, Items, Table, distinct_items
from polymodal.objectives.base import Objective
from polymodal.objectives.classification import Classification
from polymodal.objectives.contrastive import Contrastive
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression
from polymodal.objectives.supervised import Supervised, known

MOST = 6000
"""Samples of a split at most: a control is to take seconds."""

MAIN = ("accuracy", "r2", "mean_average_precision", "recall@1")
"""Metrics of which more is better, one a task."""

Metrics = dict[str, float]
Features = Mapping[str, np.ndarray]


def control_metrics(
    trainer: Trainer, data: PairedDataModule, objective: Objective, modalities: Sequence[str]
) -> Metrics:
    """`test/control/chance/...` and `test/control/linear/...`, made by the first process while the
    others wait.

    Nothing of a stream, which has no first sample to go back to, or where a part of the test split
    was left out.
    """
    metrics: Metrics = {}
    limit = trainer.limit_test_batches  # 1.0 is all batches, and 1 is one
    is_whole = (
        isinstance(limit, float)
        and limit == 1.0
        and not isinstance(data.train_set, IterableDataset)
    )
    if trainer.is_global_zero and is_whole:
        for control, values in metrics_by_control(data, objective, modalities).items():
            metrics |= {f"test/control/{control}/{name}": value for name, value in values.items()}
    trainer.strategy.barrier("control")
    return metrics


def metrics_by_control(
    data: PairedDataModule, objective: Objective, modalities: Sequence[str]
) -> dict[str, Metrics]:
    """`chance` and `linear` -> their metrics on the test split, named as the objective's metrics.

    Chance is a random order where items are found, else always the commonest class or the mean of
    the training labels.

    Args:
        data: set up; not a stream.
        objective: reads the labels, and has the metrics.
        modalities: of the model.
    """
    most = min(MOST, data.limit or MOST)
    train = collect(data, data.train_set, modalities, most)
    test = collect(data, data.test_set, modalities, most)
    x, z = encoded(data, train, test)
    texts = [name for name in modalities if data.kinds.get(name, name) == "text"]
    chance: Metrics = {}
    linear: Metrics = {}
    for name, part in objective.parts().items():
        if isinstance(part, Contrastive):
            found = _aligned(part, train, test, x, z, texts)
        elif isinstance(part, Classification | MultiLabel | Regression):
            found = _supervised(part, train, test, x, z)
        else:
            continue
        prefix = f"{name}/" if name else ""
        for metrics, values in zip((chance, linear), found, strict=True):
            metrics |= {f"{prefix}{key}": float(value) for key, value in values.items()}
    return {"chance": chance, "linear": linear}


def verdict(metrics: Mapping[str, float], monitor: str, mode: str) -> str:
    """A sentence where the linear model is better by the metric that chose the checkpoint; else
    nothing. Where that was the loss, which the two do not share, it is the task's main metric.

    Args:
        metrics: of the run, by their keys.
        monitor: `val/<name>`.
        mode: max or min, which is better.
    """
    name = monitor.partition("/")[2]
    if name == "loss" and f"test/control/linear/{name}" not in metrics:
        main = (each for each in MAIN if f"test/control/linear/{each}" in metrics)
        name, mode = next(main, name), "max"
    model, linear = metrics.get(f"test/{name}"), metrics.get(f"test/control/linear/{name}")
    if model is None or linear is None or (linear <= model if mode == "max" else linear >= model):
        return ""
    return (
        f"A linear model of simple features is better on the test data: {name} {readable(linear)} "
        f"against {readable(model)}. Train longer, take smaller or pretrained encoders, or more "
        "data."
    )


def _supervised(
    objective: Supervised, train: Collected, test: Collected, x: Features, z: Features
) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
    """Metrics of the commonest label, and of a linear model of all modalities together."""
    target, truth = (objective.targets(part.labels(objective.label)) for part in (train, test))
    # samples without a label are left out
    rows, tested = _any_known(target), _any_known(truth)
    target, truth = target[rows], truth[tested]
    if len(target) == 0 or len(truth) == 0:
        return {}, {}
    table = np.concatenate(list(x.values()), axis=1)[rows.numpy()]
    questions = np.concatenate(list(z.values()), axis=1)[tested.numpy()]
    chance = same_answer(objective, target, truth)
    if isinstance(objective, Classification):
        scores = class_scores(table, target.numpy(), questions, objective.outputs)
        return chance, objective.all_metrics(torch.from_numpy(scores), truth)
    # several values or tags: a column each, of the samples in which it is known
    values = target.double().where(known(target), torch.nan)
    scores = np.tile(_means(target).numpy(), (len(truth), 1))
    for column, value in enumerate(values.T.numpy()):
        seen = ~np.isnan(value)
        if seen.sum() > 1:
            scores[:, column] = ridge(table[seen], value[seen], questions)[:, 0]
    return chance, _measured(objective, torch.from_numpy(scores), truth)


def same_answer(objective: Supervised, seen: Tensor, truth: Tensor) -> Mapping[str, Tensor]:
    """Metrics of one answer to all samples: the commonest class, or the mean of each value or tag.

    Args:
        objective: measures them.
        seen: (N,) or (N, p) targets that the answer is made of.
        truth: (M,) or (M, p) targets that are to be found.
    """
    seen, truth = seen[_any_known(seen)], truth[_any_known(truth)]
    if len(seen) == 0 or len(truth) == 0:
        return {}
    if isinstance(objective, Classification):
        counts = torch.bincount(seen, minlength=objective.outputs).double()
        return objective.all_metrics((counts + 1).log().expand(len(truth), -1), truth)
    return _measured(objective, _means(seen).expand(len(truth), -1), truth)


def _means(target: Tensor) -> Tensor:
    """(N, p) -> (p,) means of what is known."""
    return target.double().where(known(target), torch.nan).nanmean(0).nan_to_num()


def _measured(objective: Supervised, answers: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Metrics of answers (N, p): values in units, or tags from 0 to 1."""
    if isinstance(objective, MultiLabel):
        return multilabel_metrics(answers - 0.5, truth)
    return regression_metrics(answers, truth)


def _any_known(labels: Tensor) -> Tensor:
    """(N,) bool: of which samples anything is known."""
    is_known = known(labels)
    return is_known if is_known.ndim == 1 else is_known.any(1)


def _aligned(
    objective: Contrastive,
    train: Collected,
    test: Collected,
    x: Features,
    z: Features,
    texts: Sequence[str],
) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
    """Metrics of a random order, and of modalities that a ridge regression takes to the space of
    one of them.
    """
    modalities = objective.modalities
    mask = test.mask(modalities)
    seen = train.mask(modalities)
    # the space is that of a modality that all others may be near to: captions, where there are some
    anchor = next((name for name in modalities if name in texts), modalities[0])
    middle = x[anchor][seen[:, modalities.index(anchor)]].mean(0)
    vectors = np.zeros((len(mask), len(modalities), len(middle)))
    for column, name in enumerate(modalities):
        both = seen[:, column] & seen[:, modalities.index(anchor)]
        if name == anchor:
            vectors[:, column] = z[anchor] - middle
        elif both.sum() > 1:
            vectors[:, column] = ridge(x[name][both], x[anchor][both] - middle, z[name])
    table = EmbeddingTable()
    table.is_shared = False  # the other processes wait meanwhile
    sizes = [len(batch) for batch in test.batches]
    parts = (torch.from_numpy(array).split(sizes) for array in (vectors, mask))
    for batch, x_of_batch, present in zip(test.batches, *parts, strict=True):
        items = torch.stack([batch.items[name] for name in modalities], dim=1)
        table.update(x_of_batch, items, present, objective.groups(batch), batch.id)
    filled = table.compute()
    return random_order(filled, modalities), objective.metrics(filled)


def random_order(
    table: Table, modalities: Sequence[str], ks: Sequence[int] = (1, 5, 10)
) -> dict[str, Tensor]:
    """What recall@K a random order of the gallery is expected to have, in each direction and in the
    mean.

    With r right ones among n, none of them is among the first k with the chance C(n - r, k) / C(n,
    k).
    """
    metrics: dict[str, Tensor] = {}
    for source, target in permutations(range(len(modalities)), 2):
        right = _right_answers(distinct_items(table, source), distinct_items(table, target))
        count = len(distinct_items(table, target).x)
        if len(right) == 0:
            continue
        for k in ks:
            found = 1 - _none_among_first(count, right, min(k, count))
            metrics[f"{modalities[source]}_to_{modalities[target]}/recall@{k}"] = found.mean()
    for k in ks:
        directions = [value for key, value in metrics.items() if key.endswith(f"/recall@{k}")]
        if directions:
            metrics[f"recall@{k}"] = torch.stack(directions).mean()
    return metrics


def _right_answers(queries: Items, gallery: Items) -> np.ndarray:
    """(Q,) how many items of the gallery are right for each query; queries without any are left
    out.
    """
    numbers = torch.cat([queries.group, gallery.group]).unique(return_inverse=True)[1]
    of_queries, of_gallery = numbers.split([len(queries.group), len(gallery.group)])
    groups = int(numbers.max()) + 1 if len(numbers) else 0
    shared = _membership(queries, of_queries, groups) @ _membership(gallery, of_gallery, groups).T
    right = np.diff(shared.tocsr().indptr)
    return right[right > 0]


def _membership(items: Items, group: Tensor, groups: int) -> csr_matrix:
    """(N, groups): 1 where an item is in a group."""
    of = torch.arange(len(items.x)) if items.of is None else items.of
    ones = np.ones(len(group), dtype=np.int32)
    return csr_matrix((ones, (of.numpy(), group.numpy())), shape=(len(items.x), groups))


def _none_among_first(count: int, right: np.ndarray, k: int) -> Tensor:
    """C(n - r, k) / C(n, k), by the logarithms of their factorials."""
    wrong = count - right.astype(np.float64)
    enough = wrong >= k
    wrong = np.where(enough, wrong, k)
    ratio = (
        gammaln(wrong + 1) - gammaln(wrong - k + 1) - gammaln(count + 1) + gammaln(count - k + 1)
    )
    return torch.from_numpy(np.where(enough, np.exp(ratio), 0.0))
