"""Asking with all other modalities together: the metrics, and what only they can find."""

import pytest
import torch
from torch import nn

from polymodal.batch import PairedBatch
from polymodal.fusion.sum import Sum
from polymodal.metrics.rest_retrieval import rest_metrics
from polymodal.model import MultimodalModel
from polymodal.objectives.contrastive import Contrastive
from polymodal.objectives.fused import Fused
from tests.objectives.cases import MODALITIES, batch_of, build, output

BITS, WIDTH = 4, 16


def test_symile_s_rest_is_scored_by_the_inner_product_of_all() -> None:
    torch.manual_seed(0)
    x, loss_of = torch.randn(20, 3, 4), build("symile")
    loss_of.update(output(x), batch_of(torch.arange(20)))
    unit = nn.functional.normalize(x, dim=-1)
    scores = torch.einsum("id,id,jd->ij", unit[:, 0], unit[:, 2], unit[:, 1])
    expected = (scores >= scores.diag()[:, None]).sum(1).float().mean()
    assert loss_of.compute()["rest_to_b/mean_rank"] == expected


@pytest.mark.parametrize(
    "loss_of", [build("symile"), Fused(MODALITIES, Sum(4, MODALITIES))], ids=["symile", "fused"]
)
def test_a_sample_asks_only_with_what_it_has(loss_of: Contrastive) -> None:
    mask = torch.tensor([[1, 1, 1], [1, 1, 1], [1, 0, 0], [0, 1, 0]]).bool()
    if isinstance(loss_of, Fused):
        mask[1, 2] = False  # part of a rest is a rest to a fusion, but not to a product
    else:
        mask[2, 1] = True
    aligned = torch.eye(4)[:, None].repeat(1, 3, 1)  # whoever asks with nothing gets the last rank
    loss_of.update(output(aligned, mask), batch_of(torch.arange(4)))
    assert loss_of.compute()["rest_to_a/mean_rank"] == 1


def xor(count: int, generator: torch.Generator) -> PairedBatch:
    """Signs a, b and their product c, bit by bit: any two of them are independent, and tell the
    third.

    Equal samples are of one group; the items say which of the 16 vectors it is.
    """
    a, b = (torch.randint(0, 2, (count, BITS), generator=generator) * 2.0 - 1 for _ in range(2))
    inputs = dict(zip(MODALITIES, (a, b, a * b), strict=True))
    powers = 2 ** torch.arange(BITS)
    items = {name: ((value > 0) * powers).sum(1) for name, value in inputs.items()}
    return PairedBatch(inputs, items, items["a"] + 2**BITS * items["b"], torch.arange(count))


def trained(loss_of: Contrastive) -> dict[str, torch.Tensor]:
    """Metrics after a short training of linear encoders, evaluated on which of the 16 vectors c
    is."""
    torch.manual_seed(0)
    encoders, generator = (
        {n: nn.Linear(BITS, WIDTH) for n in MODALITIES},
        torch.Generator().manual_seed(0),
    )
    model = MultimodalModel(encoders)
    optimizer = torch.optim.Adam([*model.parameters(), *loss_of.parameters()], lr=0.01)
    for _ in range(200):
        batch = xor(128, generator)
        optimizer.zero_grad()
        loss_of(model(batch), batch).backward()
        optimizer.step()
        loss_of.clamp()
    with torch.no_grad():
        batch = xor(512, generator)
        batch.group = batch.items["c"]
        # each sample asks for itself: an equal a goes with every c
        batch.items |= {"a": batch.id, "b": batch.id}
        loss_of.update(model(batch), batch)
        return loss_of.compute()


@pytest.mark.parametrize("name", ["symile", "fused"])
def test_what_only_two_together_tell_is_learnt(name: str) -> None:
    assert trained(build(name, dim=WIDTH).float())["rest_to_c/recall@1"] > 0.95


def test_no_pair_tells_it() -> None:
    assert trained(build("clip").float())["a_to_c/recall@1"] < 0.25


def test_an_item_of_several_groups_answers_for_all_of_them() -> None:
    """Item 1 of the second modality is in the groups 5 and 6, 2 in 6 and 9; of others than its
    group none is right."""
    group, items = torch.tensor([5, 6, 6, 9]), torch.tensor([1, 1, 2, 2])
    gallery = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    table = {"id": torch.arange(4), "group": group, "mask": torch.ones(4, 2, dtype=torch.bool)}
    table |= {
        "items": torch.stack([torch.arange(4), items], 1),
        "x": torch.stack([gallery, gallery], 1),
    }
    for nearest, right in (
        (torch.tensor([1.0, 0.0]), [1, 1, 1, 0]),
        (torch.tensor([0.0, 1.0]), [0, 1, 1, 1]),
    ):
        metrics = rest_metrics(table, nearest.expand(4, 2, 2), table["mask"], ["a", "b"])
        assert metrics["rest_to_b/recall@1"] == sum(right) / 4


def test_pairs_ask_with_the_sum_of_what_is_there() -> None:
    torch.manual_seed(0)
    x, loss_of = torch.randn(20, 3, 4), build("clip")
    mask = torch.ones(20, 3, dtype=torch.bool)
    mask[:5, 0] = False
    loss_of.update(output(x, mask), batch_of(torch.arange(20)))
    unit = nn.functional.normalize(x, dim=-1).masked_fill(~mask[:, :, None], 0)
    scores = (unit[:, 0] + unit[:, 2]) @ unit[:, 1].T
    expected = (scores >= scores.diag()[:, None]).sum(1).float().mean()
    metrics = loss_of.compute()
    assert metrics["rest_to_b/mean_rank"] == expected
    ways = [metrics[f"{a}_to_{b}/recall@1"] for a in MODALITIES for b in MODALITIES if a != b]
    torch.testing.assert_close(metrics["recall@1"], torch.stack(ways).mean())
