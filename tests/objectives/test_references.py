"""Objectives against other people's code and against sums written out."""

from itertools import combinations

import open_clip
import pytest
import symile
import torch
import torch.nn.functional as F

from polymodal.errors import ConfigError
from polymodal.fusion.sum import Sum
from polymodal.objectives.fused import Fused
from polymodal.outputs import AuxLoss, FusionOutput
from tests.objectives.cases import MODALITIES, PAIRS, batch_of, build, output

INDEX = {name: row for row, name in enumerate(MODALITIES)}


def vectors(count: int = 12, m: int = 3) -> torch.Tensor:
    return torch.randn(count, m, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def equal(ours: torch.Tensor, theirs: torch.Tensor | float) -> None:
    torch.testing.assert_close(
        ours.double(), torch.as_tensor(theirs).double(), rtol=1e-12, atol=1e-12
    )


def test_clip_and_siglip_are_weighted_means_of_open_clip_over_their_pairs() -> None:
    x, batch = vectors(), batch_of(torch.arange(12))
    unit, scale = F.normalize(x, dim=-1), torch.tensor(1 / 0.07).double()
    clip, siglip = open_clip.loss.ClipLoss(), open_clip.loss.SigLipLoss()
    ten = torch.tensor(10.0).double()
    expected = {
        "clip": [clip(unit[:, i], unit[:, j], scale) for i, j in ((0, 1), (2, 0))],
        "siglip": [siglip(unit[:, i], unit[:, j], ten, -ten) for i, j in ((0, 1), (2, 0))],
    }
    for name, (first, second) in expected.items():
        ours = build(name, pairs=PAIRS)(output(x), batch)
        torch.testing.assert_close(ours, (first + 3 * second) / 4, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["clip", "siglip", "vicreg"])
@pytest.mark.parametrize("pair", list(combinations(MODALITIES, 2)), ids="".join)
def test_a_pair_is_the_loss_of_the_samples_that_have_both(name: str, pair: tuple[str, str]) -> None:
    x, group = vectors(), torch.arange(12) // 2
    mask = torch.rand(12, 3, generator=torch.Generator().manual_seed(2)) > 0.3
    rows = [INDEX[modality] for modality in pair]
    kept = mask[:, rows].all(1)
    alone = build(name, pair)(output(x[kept][:, rows]), batch_of(group[kept], pair))
    equal(build(name, pairs=[list(pair)])(output(x, mask), batch_of(group)), alone)


@pytest.mark.parametrize("name", ["symile", "gram"])
def test_a_tuple_is_the_loss_of_the_samples_that_have_all(name: str) -> None:
    x, group = vectors(20), torch.arange(20) // 2
    mask = torch.rand(20, 3, generator=torch.Generator().manual_seed(2)) > 0.2
    kept = mask.all(1)
    loss_of = build(name)
    equal(
        loss_of(output(x, mask), batch_of(group)), loss_of(output(x[kept]), batch_of(group[kept]))
    )


@pytest.mark.parametrize("name", ["clip", "siglip", "vicreg"])
def test_an_absent_modality_does_not_make_the_others_weigh_more(name: str) -> None:
    x, batch, mask = vectors(), batch_of(torch.arange(12)), torch.tensor([[True, True, False]] * 12)
    equal(
        build(name)(output(x, mask), batch), build(name, pairs=[["a", "b"]])(output(x), batch) / 3
    )


def test_symile_is_the_package_s_with_a_scale_that_grows_with_the_width() -> None:
    x, batch = vectors(6), batch_of(torch.arange(6))
    theirs = symile.Symile("n_squared")(list(F.normalize(x, dim=-1).unbind(1)), 4**0.5 / 0.07)
    ours = build("symile", negatives="n_squared")(output(x), batch)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)


def test_cyclip_adds_both_consistencies() -> None:
    x, batch = vectors(m=2), batch_of(torch.arange(12), ["a", "b"])
    a, b = F.normalize(x, dim=-1).unbind(1)
    across = sum((a[i] @ b[j] - a[j] @ b[i]) ** 2 for i in range(12) for j in range(12)) / 12
    within = sum((a[i] @ a[j] - b[i] @ b[j]) ** 2 for i in range(12) for j in range(12)) / 12
    plain, both = (
        build("clip", ["a", "b"], **o) for o in ({}, {"cyclip_cross": 0.25, "cyclip_in": 0.5})
    )
    equal(both(output(x), batch) - plain(output(x), batch), 0.25 * across + 0.5 * within)


def test_gram_s_volume_of_two_is_the_sine_of_their_angle() -> None:
    x, batch = vectors(m=2), batch_of(torch.arange(12), ["a", "b"])
    a, b = F.normalize(x, dim=-1).unbind(1)
    logits = -(1 - (a @ b.T).square() + 1e-6).sqrt() / 0.07
    target = torch.arange(12)
    expected = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    torch.testing.assert_close(
        build("gram", ["a", "b"])(output(x), batch), expected, rtol=1e-6, atol=0
    )


def test_gram_s_anchor_meets_the_tuples_of_the_others() -> None:
    x, target = vectors(6), torch.arange(6)
    unit, logits = F.normalize(x, dim=-1), torch.empty(6, 6, dtype=torch.float64)
    for i in range(6):
        for j in range(6):
            rows = torch.stack([unit[i, 1], unit[j, 0], unit[j, 2]])
            logits[i, j] = -(torch.linalg.det(rows @ rows.T) + 1e-6).sqrt() / 0.07
    expected = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    ours = build("gram", anchor="b")(output(x), batch_of(target))
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=0)
    with pytest.raises(Exception, match="anchor: there is no modality 'd'"):
        build("gram", anchor="d")


def test_vicreg_of_a_pair_is_its_three_terms() -> None:
    x = vectors(m=2)
    loss = 25 * (x[:, 0] - x[:, 1]).square().mean()
    for z in x.unbind(1):
        covariance = torch.cov(z.T)
        loss = loss + 25 / 2 * (1 - (z.var(0) + 1e-4).sqrt()).relu().mean()
        loss = loss + (covariance - covariance.diag().diag()).square().sum() / 4
    equal(build("vicreg", ["a", "b"])(output(x), batch_of(torch.arange(12), ["a", "b"])), loss)


def test_supcon_takes_classes_for_groups_where_there_are_any() -> None:
    x, batch = vectors(), batch_of(torch.arange(12) // 2)
    batch.labels["kind"] = torch.tensor([0, 0, 1, 1, 1, -1, -1, 2, -1, -1, 0, 2])
    # numbers 4 and 5 are a group without a class
    same = batch_of(torch.tensor([0, 0, 1, 1, 1, 5, 6, 2, 7, 7, 0, 2]))
    equal(build("supcon", label="kind")(output(x), batch), build("supcon")(output(x), same))
    with pytest.raises(ConfigError, match="the data have no 'kin'. Did you mean kind?"):
        build("supcon", label="kin")(output(x), batch)
    batch.labels["kind"] = torch.zeros(12, 3)
    with pytest.raises(ConfigError, match="no class index"):
        build("supcon", label="kind")(output(x), batch)


class Mean(torch.nn.Module):
    """A fusion that asks for a loss of its own."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> FusionOutput:
        mean = x.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        return FusionOutput(mean, aux_loss=AuxLoss(x[:, 0, :1], lambda _: torch.tensor(0.125)))


def test_fused_is_pairs_and_each_modality_with_the_fused_rest() -> None:
    x, batch = vectors(), batch_of(torch.arange(12))
    mask = torch.rand(12, 3, generator=torch.Generator().manual_seed(2)) > 0.3
    unit = F.normalize(output(x, mask).x, dim=-1)
    rests = 0.0
    for k in range(3):
        others = [i for i in range(3) if i != k]
        kept = mask[:, k] & mask[:, others].any(1)
        logits = F.normalize(unit[kept][:, others].sum(1), dim=-1) @ unit[kept, k].T / 0.07
        target = torch.arange(len(logits))
        rests = rests + (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 6
    pairs = build("clip", pairs=PAIRS)(output(x, mask), batch)
    loss_of = Fused(MODALITIES, Sum(4, MODALITIES), rest_share=0.3, pairs=PAIRS).double()
    torch.testing.assert_close(
        loss_of(output(x, mask), batch), 0.7 * pairs + 0.3 * rests, rtol=1e-6, atol=0
    )
    loss_of.fusion = Mean()
    torch.testing.assert_close(
        loss_of(output(x, mask), batch), 0.7 * pairs + 0.3 * rests + 0.125, rtol=1e-6, atol=0
    )


def test_fused_refuses_a_fusion_of_tokens() -> None:
    fusion = Mean()
    fusion.reads_tokens = True
    with pytest.raises(ValueError, match="fusion=Mean reads sequences"):
        Fused(MODALITIES, fusion)
