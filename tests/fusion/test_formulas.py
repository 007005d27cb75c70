"""Fusions against independent references: float64 brute force, plain Python, torch's own
attention."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polymodal.fusion.late import log_alpha
from polymodal.fusion.layers.softmax import masked_softmax
from polymodal.fusion.tensor import LARGEST
from polymodal.objectives.base import aux_loss
from tests.fusion.cases import DIM, build, masks, refusal


def with_one(x: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """[x_i, 1] of one sample; [0, 1] where a modality is absent."""
    return [
        np.append(row if there else np.zeros_like(row), 1.0)
        for row, there in zip(x, mask, strict=True)
    ]


def outer(vectors: list[np.ndarray]) -> np.ndarray:
    """One axis a modality, entry by entry."""
    shape = [len(vector) for vector in vectors]
    result = np.empty(shape)
    for index in itertools.product(*map(range, shape)):
        result[index] = math.prod(vector[i] for vector, i in zip(vectors, index, strict=True))
    return result


@pytest.mark.parametrize("m", [1, 2, 3])
def test_tensor_is_a_linear_map_of_the_outer_product(m: int) -> None:
    fusion, x, mask = build("tensor", m), torch.randn(6, m, DIM).double(), masks(m, 6)
    y = fusion(x, mask).y.detach().numpy()
    weight, bias = fusion.out.weight.detach().numpy(), fusion.out.bias.detach().numpy()
    for i in range(6):
        vectors = [
            np.append(1.0, linear(x[i, j]).detach().numpy() if mask[i, j] else np.zeros(3))
            for j, linear in enumerate(fusion.projections.maps)
        ]
        np.testing.assert_allclose(y[i], weight @ outer(vectors).ravel() + bias)


def test_tensor_says_what_to_lower() -> None:
    message = refusal("tensor", 6, width=16)
    assert message.startswith("width=16 makes an outer product of 17**6 = 24137569 numbers")
    assert message.endswith("give fusion.width=5 or fusion=low_rank.")
    assert refusal("tensor", 17, width=2).endswith("give fusion=low_rank.")
    assert 6**6 <= LARGEST < 7**6
    build("tensor", 6, width=5)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_low_rank_is_a_linear_map_of_the_outer_product(m: int) -> None:
    fusion, x, mask = build("low_rank", m, rank=3), torch.randn(6, m, DIM).double(), masks(m, 6)
    y = fusion(x, mask).y.detach().numpy()
    # of each modality (rank, d, d + 1): the factor's weights, and its weight of the 1
    factors = [
        torch.cat([linear.weight, linear.bias[:, None]], 1)
        .detach()
        .numpy()
        .reshape(3, DIM, DIM + 1)
        for linear in fusion.factors.maps
    ]
    axes = "abc"[:m]
    full = np.einsum(",".join(f"ro{axis}" for axis in axes) + f"->o{axes}", *factors)
    for i in range(6):
        product = outer(with_one(x[i].numpy(), mask[i].numpy()))
        np.testing.assert_allclose(
            y[i], full.reshape(DIM, -1) @ product.ravel() + fusion.bias.detach().numpy()
        )


@pytest.mark.parametrize("m", [1, 3, 6])
def test_low_rank_begins_at_the_scale_of_its_input(m: int) -> None:
    fusion, x = build("low_rank", m), torch.randn(2000, m, DIM).double()
    assert 0.5 < fusion(x, torch.ones(2000, m, dtype=torch.bool)).y.std() < 2
    nothing = torch.zeros(2000, m, dtype=torch.bool)
    torch.testing.assert_close(fusion(x, nothing).y, torch.zeros(2000, DIM).double())


def test_product_is_that_of_the_present_factors() -> None:
    fusion, x, mask = build("product", 3, hidden=5), torch.randn(16, 3, DIM).double(), masks(3)
    for i, y in enumerate(fusion(x, mask).y):
        factor = torch.ones(5).double()
        for j in range(3):
            if mask[i, j]:
                factor = factor * torch.tanh(fusion.factors.maps[j](x[i, j]))
        torch.testing.assert_close(y, fusion.out(factor))


def test_masked_softmax_is_exact_in_double_precision() -> None:
    scores, mask = torch.randn(16, 3).double(), masks(3)
    for row, there, weights in zip(scores, mask, masked_softmax(scores, mask, dim=1), strict=True):
        powers = [
            math.exp(score) if yes else 0.0 for score, yes in zip(row.tolist(), there, strict=True)
        ]
        expected = torch.tensor(
            [power / (sum(powers) or 1) for power in powers], dtype=torch.float64
        )
        torch.testing.assert_close(weights, expected, atol=1e-14, rtol=0)


def test_gated_by_feature_is_the_gmu_of_two_modalities() -> None:
    fusion, x = build("gated", 2, gate="feature"), torch.randn(16, 2, DIM).double()
    y, weights, _ = fusion(x, torch.ones(16, 2, dtype=torch.bool))
    first, second = (torch.tanh(fusion.values[0].maps[j](x[:, j])) for j in range(2))
    linear = fusion.gate[1]
    (w1, w2), (b1, b2) = linear.weight.chunk(2), linear.bias.chunk(2)
    z = torch.sigmoid(torch.cat([x[:, 0], x[:, 1]], 1) @ (w1 - w2).T + b1 - b2)
    torch.testing.assert_close(y, z * first + (1 - z) * second)
    torch.testing.assert_close(weights[:, 0], z.mean(1))


def test_gated_by_modality_is_a_softmax_of_the_present() -> None:
    fusion, x, mask = build("gated", 3), torch.randn(16, 3, DIM).double(), masks(3)
    for i, y in enumerate(fusion(x, mask).y):
        there = x[i][mask[i]]
        weights = torch.softmax(there @ fusion.gate.weight[0], 0)
        torch.testing.assert_close(y, weights @ there)


@pytest.mark.parametrize("target", ["m0", "m1", "m2"])
def test_film_scales_and_shifts_the_target(target: str) -> None:
    fusion, x, mask = build("film", 3, target=target), torch.randn(16, 3, DIM).double(), masks(3)
    own = int(target[1])
    others = [j for j in range(3) if j != own]
    for i, y in enumerate(fusion(x, mask).y):
        scale, shift = torch.zeros(DIM).double(), torch.zeros(DIM).double()
        for j, linear in zip(others, fusion.maps, strict=True):
            if mask[i, j]:
                both = linear(x[i, j])
                scale, shift = scale + both[:DIM], shift + both[DIM:]
        torch.testing.assert_close(y, (1 + scale) * x[i, own] * mask[i, own] + shift)


def test_sum_mean_and_single_are_what_they_say() -> None:
    x, mask = torch.randn(16, 3, DIM).double(), masks(3)
    for i in range(16):
        there = x[i][mask[i]]
        torch.testing.assert_close(build("sum", 3)(x, mask).y[i], there.sum(0))
        torch.testing.assert_close(
            build("mean", 3)(x, mask).y[i], there.sum(0) / max(1, len(there))
        )
    torch.testing.assert_close(build("single", 3)(x, mask).y, x[:, 0] * mask[:, :1])
    torch.testing.assert_close(build("single", 3, modality="m2")(x, mask).y, x[:, 2] * mask[:, 2:])


@pytest.mark.parametrize(
    ("name", "argument"), [("single", "modality"), ("film", "target"), ("cross_attention", "query")]
)
def test_an_unknown_modality_is_told_with_the_nearest(name: str, argument: str) -> None:
    assert (
        refusal(name, 3, **{argument: "m11"})
        == f"{argument}=m11 is not a modality of this model. Did you mean m1?"
    )
    assert refusal(name, 3, **{argument: "sound"}).endswith("There are: m0, m1, m2.")


@pytest.mark.parametrize(
    "name", ["cross_attention", "mult", "transformer", "perceiver", "bottleneck"]
)
def test_heads_that_do_not_divide_are_told(name: str) -> None:
    assert (
        refusal(name, 2, heads=3)
        == "dim=8 is not a multiple of heads=3: give fusion.heads a divisor of 8."
    )


def late_logits(fusion: torch.nn.Module, x: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
    """Of each sample (present, p)."""
    logits = torch.stack([linear(x[:, j]) for j, linear in enumerate(fusion.experts.maps)], 1)
    return [row[there] for row, there in zip(logits, mask, strict=True)]


def test_late_combines_the_logits_of_the_present() -> None:
    x, mask = torch.randn(16, 3, DIM).double(), masks(3)
    mean, weighted, product = (
        build("late", 3, combine=how) for how in ("mean", "weighted", "product")
    )
    torch.nn.init.normal_(weighted.scores)
    for i in range(1, 16):
        if not mask[i].any():
            continue
        torch.testing.assert_close(mean(x, mask).y[i], late_logits(mean, x, mask)[i].mean(0))
        shares = weighted.scores[mask[i]].exp() / weighted.scores[mask[i]].exp().sum()
        torch.testing.assert_close(
            weighted(x, mask).y[i], shares @ late_logits(weighted, x, mask)[i]
        )
        experts = late_logits(product, x, mask)[i].softmax(1).prod(0)
        torch.testing.assert_close(product(x, mask).y[i].softmax(0), experts / experts.sum())


Opinion = tuple[list[float], float]


def dempster(a: Opinion, b: Opinion) -> Opinion:
    """Dempster's rule over the sets {1}, ..., {K} and the whole frame: products of masses, conflict
    taken out."""
    (belief1, unsure1), (belief2, unsure2) = a, b
    classes = range(len(belief1))
    conflict = sum(belief1[i] * belief2[j] for i in classes for j in classes if i != j)
    belief = [
        belief1[k] * belief2[k] + belief1[k] * unsure2 + unsure1 * belief2[k] for k in classes
    ]
    return [mass / (1 - conflict) for mass in belief], unsure1 * unsure2 / (1 - conflict)


@given(
    rows=st.integers(2, 5).flatmap(
        lambda k: st.lists(
            st.lists(st.floats(0, 50), min_size=k, max_size=k), min_size=1, max_size=4
        )
    )
)
@settings(deadline=None)
def test_evidence_is_combined_by_dempsters_rule(rows: list[list[float]]) -> None:
    classes = len(rows[0])
    known: Opinion = ([0.0] * classes, 1.0)
    for evidence in rows:
        strength = classes + sum(evidence)
        known = dempster(known, ([e / strength for e in evidence], classes / strength))
    belief, unsure = known
    alpha = log_alpha(torch.tensor([rows], dtype=torch.float64))[0].exp()
    strength = classes / unsure
    expected = [b * strength + 1 for b in belief]
    assert alpha.tolist() == pytest.approx(expected, rel=1e-9)
    assert float(classes / alpha.sum()) == pytest.approx(unsure, rel=1e-9)


def test_evidential_logits_stay_finite_and_know_nothing_of_the_absent() -> None:
    fusion, x = build("late", 3, combine="evidential"), torch.randn(2, 3, DIM).double()
    one = torch.tensor([[False, True, False]] * 2)
    evidence = torch.nn.functional.softplus(fusion.experts.maps[1](x[:, 1]))
    torch.testing.assert_close(fusion(x, one).y, (1 + evidence).log())
    torch.testing.assert_close(fusion(x, ~one & one).y, torch.zeros(2, DIM).double())
    assert log_alpha(torch.full((1, 6, 3), 1e30)).isfinite().all()
    assert "outputs=1" in refusal("late", 3, combine="evidential", outputs=1)


def test_mixture_mixes_its_experts_and_balances_them() -> None:
    fusion, x, mask = (
        build("mixture", 2, experts=3, balance=0.5),
        torch.randn(16, 2, DIM).double(),
        masks(2),
    )
    y = fusion(x, mask).y
    filled = torch.stack(
        [
            torch.where(there[:, None], row, fusion.absent)
            for row, there in zip(x, mask, strict=True)
        ]
    )
    gates = torch.softmax(fusion.gate(filled.flatten(1)), 1)
    torch.testing.assert_close(
        y, sum(gates[:, e, None] * fusion.experts[e](filled.flatten(1)) for e in range(3))
    )
    torch.testing.assert_close(
        aux_loss(fusion(x, mask)), 0.5 * (3 * (gates.mean(0) ** 2).sum() - 1)
    )
    for parameter in fusion.gate.parameters():
        torch.nn.init.zeros_(parameter)
    assert aux_loss(fusion(x, mask)).abs() < 1e-12  # all experts alike
    torch.nn.init.constant_(fusion.gate.bias[:1], 100.0)
    alone = aux_loss(fusion(x, mask))  # one of three: 0.5 * (3 - 1)
    torch.testing.assert_close(alone, torch.tensor(1.0).double())
    assert "experts=1" in refusal("mixture", 2, experts=1)


def test_random_modality_draws_a_present_one_with_equal_chances() -> None:
    fusion, x = (
        build("random_modality", 3),
        torch.randn(6000, 3, DIM).double() + torch.tensor([[-0.3], [0.0], [0.3]]),
    )
    mask = torch.ones(6000, 3, dtype=torch.bool)
    mask[3000:, 1] = False
    for training in (False, True):
        y, weights, _ = fusion.train(training)(x, mask)
        torch.testing.assert_close(y, x[weights.bool()])
        torch.testing.assert_close(
            weights[:3000].mean(0), torch.full((3,), 1 / 3).double(), atol=0.05, rtol=0
        )
        torch.testing.assert_close(
            weights[3000:].mean(0), torch.tensor([0.5, 0, 0.5]).double(), atol=0.05, rtol=0
        )
        assert torch.equal(fusion(x, mask).y, y) != training
    assert torch.equal(fusion.eval()(x.float(), mask).weights, fusion(x, mask).weights.float())
