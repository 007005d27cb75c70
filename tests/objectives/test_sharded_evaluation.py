"""Metrics depend neither on the number of processes nor on the evaluation batch size."""

import pytest
import torch

from polymodal.data.loading.sampler import BatchSampler
from polymodal.objectives.base import Objective
from polymodal.objectives.classification import Classification
from polymodal.outputs import ModelOutput
from tests.objectives.cases import CASES, IDS, build, part, samples
from tests.processes import run_processes

Metrics = dict[str, float]
NAMES = [*IDS, "classification"]


def judged(
    objective: Objective, count: int, batch_size: int, rank: int, world_size: int
) -> Metrics:
    """What one process says of a split that all of them share."""
    split = samples(count, missing=count > 4)
    generator = torch.Generator().manual_seed(1)
    x, y = (
        torch.randn(count, 3, 4, generator=generator).double(),
        torch.randn(count, 3, generator=generator).double(),
    )
    for rows in BatchSampler(count, batch_size, rank=rank, world_size=world_size):
        batch = part(split, torch.tensor(rows))
        mask = batch.mask(["a", "b", "c"])
        objective.update(ModelOutput(x[rows] * mask[:, :, None], mask, y[rows]), batch)
    return {name: value.item() for name, value in objective.compute().items()}


def all_metrics(
    rank: int, world_size: int, count: int, batch_sizes: list[int]
) -> list[list[Metrics]]:
    """Of every objective and batch size: processes are slow to start."""
    results = []
    for batch_size in batch_sizes:
        objectives = [build(name, **options) for name, options in CASES]
        objectives.append(Classification(label="kind", outputs=3))
        results.append([judged(o.eval(), count, batch_size, rank, world_size) for o in objectives])
    return results


def one_after_the_other(rank: int, world_size: int) -> list[list[Metrics]]:
    return [*all_metrics(rank, world_size, 23, [1, 5, 100]), *all_metrics(rank, world_size, 2, [4])]


@pytest.mark.parametrize("world_size", [2, 3])
def test_metrics_are_those_of_one_process(world_size: int) -> None:
    whole, few = all_metrics(0, 1, 23, [23])[0], all_metrics(0, 1, 2, [2])[0]
    for of_process in run_processes(one_after_the_other, world_size):
        for expected, metrics in zip([whole, whole, whole, few], of_process, strict=True):
            for name, one, several in zip(NAMES, expected, metrics, strict=True):
                assert several.keys() == one.keys()
                for key, value in one.items():
                    assert several[key] == value or value != value, f"{name}, {key}"
