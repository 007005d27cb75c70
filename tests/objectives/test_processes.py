"""Processes together have the gradient of one, for every contrastive objective and every parameter."""

import pytest
import torch

from polymodal.losses import tiles
from polymodal.model import MultimodalModel
from polymodal.objectives import samples as compared
from tests.losses.processes import run_processes
from tests.objectives.cases import CASES, IDS, build, encoders, part, samples

Gradients = dict[str, torch.Tensor]


def gradients(rank: int, world_size: int, case: int, sizes: list[int]) -> Gradients:
    """Loss and gradients of one process' share, averaged as DDP does."""
    batch = samples(sum(sizes), missing=True)
    start = sum(sizes[:rank])
    own = part(batch, torch.arange(start, start + sizes[rank])) if world_size > 1 else batch
    name, options = CASES[case]
    model, loss_of = MultimodalModel(encoders()), build(name, **options)
    loss = loss_of(model(own), own)
    loss.backward()
    learned = [(k, p) for k, p in [*model.named_parameters(), *loss_of.named_parameters()] if p.requires_grad]
    result = {"loss": loss.detach(), **{key: p.grad for key, p in learned}}
    if world_size > 1:
        for value in result.values():
            torch.distributed.all_reduce(value)
            value /= world_size
    return result


def everything(rank: int, world_size: int, sizes: list[int]) -> list[Gradients]:
    """All cases, one after the other: processes are slow to start. The last four samples lack a modality."""
    return [gradients(rank, world_size, case, sizes) for case in range(len(CASES))]


def in_tiles(rank: int, world_size: int, sizes: list[int]) -> list[Gradients]:
    """The same with whole matrices, then in tiles of two rows."""
    plain = everything(rank, world_size, sizes)
    compared.MANY, tiles.BLOCK, tiles.FEWEST_ROWS = 1, 1, 2
    return plain + everything(rank, world_size, sizes)


@pytest.mark.parametrize("sizes", [[9, 4], [5, 6, 3]], ids=["2-processes", "3-processes"])
def test_processes_together_have_the_gradient_of_one(sizes: list[int]) -> None:
    alone = everything(0, 1, sizes)
    for together in run_processes(in_tiles, len(sizes), sizes):
        names = [*IDS, *(f"{name}, in tiles" for name in IDS)]
        for name, expected, result in zip(names, alone * 2, together, strict=True):
            for key, value in expected.items():
                message = lambda m, n=name, k=key: f"{n}, {k}: {m}"  # noqa: E731
                torch.testing.assert_close(result[key], value, rtol=1e-6, atol=1e-10, msg=message)
