"""Processes together have the gradient of one, for every objective and every parameter, however it
is computed."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from polymodal.fusion.mixture import Mixture
from polymodal.losses import tiles
from polymodal.model import MultimodalModel
from polymodal.objectives import global_batch
from polymodal.objectives.base import Objective
from polymodal.objectives.classification import Classification
from polymodal.objectives.fused import Fused
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression
from polymodal.objectives.weighted import Weighted
from polymodal.training.grad_cache import in_parts
from tests.objectives.cases import CASES, DIM, IDS, MODALITIES, build, encoders, part, samples
from tests.processes import run_processes

Gradients = dict[str, torch.Tensor]
WAYS = ("plain", "tiled", "cached")
OF_Y = ("classification", "multilabel", "regression", "clip + classification", "fused by a mixture")
"""Objectives that read Y of a fusion, or have one, with an auxiliary loss, which couples all
samples too."""


def mixture() -> nn.Module:
    torch.manual_seed(0)
    return Mixture(DIM, MODALITIES, experts=3, hidden=4, balance=0.5).double()


def of_y(name: str) -> Objective:
    classes = Classification("kind", 3, class_weights=[0.2, 0.1, 2.5], label_smoothing=0.1)
    if name == "fused by a mixture":
        return Fused(MODALITIES, mixture()).double()
    if name == "clip + classification":
        return Weighted({"clip": build("clip"), "classes": classes}, {"clip": 1.5, "classes": 0.5})
    return {
        "classification": classes,
        "multilabel": MultiLabel("several", 3),
        "regression": Regression("value", 3),
    }[name]


def parts(case: int) -> tuple[MultimodalModel, Objective]:
    """Model and objective of a case, in fp64."""
    if case < len(CASES):
        name, options = CASES[case]
        return MultimodalModel(encoders()), build(name, **options)
    loss_of = of_y(OF_Y[case - len(CASES)])
    if not loss_of.needs_fusion:
        return MultimodalModel(encoders()), loss_of
    return MultimodalModel(encoders(), mixture(), nn.Linear(DIM, 3).double()), loss_of


@contextmanager
def small_tiles() -> Iterator[None]:
    """Blocks of two rows, of any batch."""
    before = global_batch.MANY, tiles.BLOCK, tiles.FEWEST_ROWS
    global_batch.MANY, tiles.BLOCK, tiles.FEWEST_ROWS = 1, 1, 2
    try:
        yield
    finally:
        global_batch.MANY, tiles.BLOCK, tiles.FEWEST_ROWS = before


def gradients(rank: int, world_size: int, case: int, sizes: list[int], count: int) -> Gradients:
    """Loss and gradients of one process' share, averaged as DDP does."""
    batch = samples(sum(sizes), missing=True)
    start = sum(sizes[:rank])
    own = part(batch, torch.arange(start, start + sizes[rank])) if world_size > 1 else batch
    model, loss_of = parts(case)
    loss = loss_of(in_parts(model, own, count), own)
    loss.backward()
    learned = [
        (k, p)
        for k, p in [*model.named_parameters(), *loss_of.named_parameters()]
        if p.requires_grad
    ]
    result = {"loss": loss.detach(), **{key: p.grad for key, p in learned}}
    if world_size > 1:
        for value in result.values():
            torch.distributed.all_reduce(value)
            value /= world_size
    return result


def everything(rank: int, world_size: int, sizes: list[int], way: str) -> list[Gradients]:
    """All cases, one after the other. The last four samples lack a modality."""
    return [
        gradients(rank, world_size, case, sizes, 3 if way == "cached" else 1)
        for case in range(len(CASES) + len(OF_Y))
    ]


def every_way(rank: int, world_size: int, shares: list[list[int]]) -> list[Gradients]:
    """The same as a whole, in tiles and in micro-batches, for each way to share: processes are slow
    to start."""
    results = []
    for sizes, way in itertools.product(shares, WAYS):
        if way == "tiled":
            with small_tiles():
                results += everything(rank, world_size, sizes, way)
        else:
            results += everything(rank, world_size, sizes, way)
    return results


@pytest.mark.parametrize(
    "shares",
    [[[13]], [[9, 4], [7, 7]], pytest.param([[5, 6, 3], [5, 5, 5]], marks=pytest.mark.slow)],
    ids=["1", "2", "3"],
)
def test_processes_together_have_the_gradient_of_one(shares: list[list[int]]) -> None:
    world_size = len(shares[0])
    names = [
        f"{name}, {way}, {sizes}" for sizes in shares for way in WAYS for name in [*IDS, *OF_Y]
    ]
    expected = [one for sizes in shares for one in everything(0, 1, sizes, "plain") * len(WAYS)]
    for together in (
        run_processes(every_way, world_size, shares)
        if world_size > 1
        else [every_way(0, 1, shares)]
    ):
        for name, alone, result in zip(names, expected, together, strict=True):
            assert result.keys() == alone.keys()
            for key, value in alone.items():
                message = lambda m, n=name, k=key: f"{n}, {k}: {m}"  # noqa: E731
                torch.testing.assert_close(result[key], value, rtol=1e-6, atol=1e-10, msg=message)
