"""Exact on any number of processes, right about missing pairs, and judged independently of batches."""

import math
from itertools import product

import pytest
import torch
from torch import nn

from polymodal.batch import PairedBatch
from polymodal.model import MultimodalModel
from polymodal.objectives.clip import CLIP
from polymodal.objectives.siglip import SigLIP
from tests.losses.processes import run_processes

NAMES = ["a", "b"]
OBJECTIVES = {"clip": CLIP, "siglip": SigLIP}


def samples(count: int, present: bool = False) -> PairedBatch:
    """Random vectors of two modalities; some share a group, some lack the second."""
    generator = torch.Generator().manual_seed(3)
    inputs = {name: torch.randn(count, 5, generator=generator).double() for name in NAMES}
    number = torch.arange(count)
    masks = {"b": torch.rand(count, generator=generator) > 0.3} if present else {}
    return PairedBatch(inputs, dict.fromkeys(NAMES, number), number // 2 % 5, number, masks)


def part(batch: PairedBatch, rows: torch.Tensor) -> PairedBatch:
    return PairedBatch(
        {name: value[rows] for name, value in batch.inputs.items()},
        {name: value[rows] for name, value in batch.items.items()},
        batch.group[rows],
        batch.id[rows],
        {name: value[rows] for name, value in batch.present.items()},
    )


def parts() -> tuple[MultimodalModel, nn.Module]:
    torch.manual_seed(0)
    return MultimodalModel({name: nn.Linear(5, 4) for name in NAMES}).double(), nn.Identity()


def gradients(rank: int, world_size: int, objective: str, sizes: list[int], present: bool) -> dict[str, torch.Tensor]:
    """Loss and gradients of one process' share, averaged as DDP does."""
    batch = samples(sum(sizes), present)
    start = sum(sizes[:rank])
    own = part(batch, torch.arange(start, start + sizes[rank])) if world_size > 1 else batch
    model, _ = parts()
    loss_of = OBJECTIVES[objective](NAMES).double()
    loss = loss_of(model(own), own)
    loss.backward()
    result = {"loss": loss.detach()}
    result |= {key: p.grad for key, p in [*model.named_parameters(), *loss_of.named_parameters()]}
    if world_size > 1:
        for value in result.values():
            torch.distributed.all_reduce(value)
            value /= world_size
    return result


CASES = list(product(OBJECTIVES, [False, True]))


def all_gradients(rank: int, world_size: int, shapes: list[list[int]]) -> list[dict[str, torch.Tensor]]:
    """Every case, one after the other: processes are slow to start."""
    return [gradients(rank, world_size, name, sizes, present) for sizes in shapes for name, present in CASES]


@pytest.mark.parametrize("shapes", [[[8, 8], [9, 4]], [[5, 6, 3]]], ids=["2-processes", "3-processes"])
def test_processes_together_have_the_gradient_of_one(shapes: list[list[int]]) -> None:
    alone = [gradients(0, 1, name, sizes, present) for sizes in shapes for name, present in CASES]
    for together in run_processes(all_gradients, len(shapes[0]), shapes):
        for expected, result in zip(alone, together, strict=True):
            for key, value in expected.items():
                torch.testing.assert_close(result[key], value, rtol=1e-6, atol=1e-12, msg=lambda m, k=key: f"{k}: {m}")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_missing_pairs_are_as_if_they_were_not_in_the_batch(objective: str) -> None:
    batch, (model, _) = samples(12, present=True), parts()
    loss_of = OBJECTIVES[objective](NAMES).double()
    kept = part(batch, batch.present["b"].nonzero().squeeze(1))
    kept.present = {}
    torch.testing.assert_close(loss_of(model(batch), batch), loss_of(model(kept), kept), rtol=1e-12, atol=0)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_pair_at_all_is_zero_with_a_graph(objective: str) -> None:
    batch, (model, _) = samples(6), parts()
    batch.present = {"b": torch.zeros(6, dtype=torch.bool)}
    loss = OBJECTIVES[objective](NAMES).double()(model(batch), batch)
    assert loss.item() == 0
    loss.backward()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_figures_do_not_depend_on_how_the_split_is_cut(objective: str) -> None:
    batch, (model, _) = samples(23), parts()
    loss_of = OBJECTIVES[objective](NAMES, evaluation_batch_size=8)

    def figures(size: int) -> dict[str, torch.Tensor]:
        loss_of.reset()
        for rows in torch.arange(23).split(size):
            loss_of.update(model(part(batch, rows)), part(batch, rows))
        return loss_of.compute()

    whole = figures(23)
    for size in (1, 7, 22):
        for key, value in figures(size).items():
            torch.testing.assert_close(value, whole[key], rtol=1e-6, atol=0, msg=lambda m, k=key: f"{k}: {m}")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_validation_loss_is_the_objective_s_own(objective: str) -> None:
    batch, (model, _) = samples(16), parts()
    loss_of = OBJECTIVES[objective](NAMES, evaluation_batch_size=16)
    output = model(batch)
    loss_of.update(output, batch)
    torch.testing.assert_close(loss_of.compute()["loss"].double(), loss_of(output, batch).double(), rtol=1e-5, atol=0)


def test_parameters_begin_and_stay_where_the_papers_have_them() -> None:
    clip, siglip = CLIP(NAMES), SigLIP(NAMES)
    assert clip.logit_scale.item() == pytest.approx(math.log(1 / 0.07))
    assert siglip.logit_scale.item() == pytest.approx(math.log(10))
    assert siglip.logit_bias.item() == -10
    for value, expected in ((9.0, math.log(100)), (-1.0, 0.0), (2.0, 2.0)):
        clip.logit_scale.data.fill_(value)
        clip.clamp()
        assert clip.logit_scale.item() == pytest.approx(expected)


def test_the_loss_is_in_fp32_under_autocast() -> None:
    batch, (model, _) = samples(8), parts()
    output = model.float()(batch)
    plain = CLIP(NAMES)(output, batch)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = CLIP(NAMES)(output, batch)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, plain)


def test_one_modality_cannot_be_aligned() -> None:
    with pytest.raises(ValueError, match="at least two"):
        CLIP(["image"])
