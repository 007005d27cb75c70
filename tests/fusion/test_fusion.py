"""What the whole group promises: a new file in configs/fusion is tested by being there."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polymodal.objectives.base import aux_loss
from polymodal.outputs import Tokens
from tests.fusion.cases import (
    COUNTS,
    DIM,
    IDS,
    NAMES,
    WAYS,
    arguments,
    build,
    documented,
    inputs_of,
    masks,
    names_in_docstring,
    run,
)

every_way = pytest.mark.parametrize(("name", "way"), WAYS, ids=IDS)


@pytest.mark.parametrize("m", COUNTS)
@every_way
def test_one_step_changes_every_number_of_every_parameter(name: str, way: dict, m: int) -> None:
    mask = masks(m, 64)
    for tokens in inputs_of(build(name, m, **way), mask):
        fusion = build(name, m, **way).train()
        before = {key: value.detach().clone() for key, value in fusion.named_parameters()}
        output = run(fusion, torch.randn(64, m, DIM).double(), mask, tokens)
        assert output.y.shape == (64, DIM)
        loss = (output.y * torch.randn_like(output.y)).sum() + aux_loss(output)
        # what only weighs modalities against each other has no gradient
        alone = m == 1 and output.weights is not None
        if before:
            optimizer = torch.optim.SGD(fusion.parameters(), lr=1.0)
            loss.backward()
            optimizer.step()
        for key, parameter in fusion.named_parameters():
            moved = (
                parameter - before[key]
            ).abs() > 1e-12  # what cancels leaves rounding errors only
            assert moved.all() or (alone and not moved.any()), (key, moved)


@every_way
def test_a_reload_gives_the_same_output(name: str, way: dict) -> None:
    one, other, mask = build(name, 3, seed=1, **way), build(name, 3, seed=2, **way), masks(3)
    assert one.state_dict().keys() == dict(one.named_parameters()).keys()
    other.load_state_dict(one.state_dict())
    x = torch.randn(16, 3, DIM).double()
    for tokens in inputs_of(one, mask):
        assert torch.equal(run(one, x, mask, tokens).y, run(other, x, mask, tokens).y)


@pytest.mark.parametrize("size", [None, 2, 4])
@every_way
def test_the_number_of_parameters_is_that_of_the_docstring(
    name: str, way: dict, size: int | None
) -> None:
    sized = {key: size for key, hint in arguments(name).items() if hint is int and size is not None}
    formula = documented(name, "Parameters")
    assert formula, "no line `Parameters: <expression>`"
    for m in COUNTS:
        count = sum(parameter.numel() for parameter in build(name, m, **way, **sized).parameters())
        assert count == eval(formula, {}, names_in_docstring(name, m, {**way, **sized}))


@every_way
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_what_is_absent_never_matters(name: str, way: dict, data: st.DataObject) -> None:
    m, count = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    row = st.lists(st.booleans(), min_size=m, max_size=m)
    mask = torch.tensor(data.draw(st.lists(row, min_size=count, max_size=count)))
    junk = data.draw(st.sampled_from([1e6, -1e6, float("inf"), float("nan")]))
    fusion = build(name, m, **way).train(data.draw(st.booleans()))
    x = torch.randn(count, m, DIM).double()
    for tokens in inputs_of(fusion, mask):
        spoilt = tokens and [
            Tokens(
                values.masked_fill(~real[:, :, None], junk), real | ~mask[:, i, None]
            )  # the mask counts
            for i, (values, real) in enumerate(tokens)
        ]
        one, other = (
            run(fusion, x, mask, tokens),
            run(fusion, x.masked_fill(~mask[:, :, None], junk), mask, spoilt),
        )
        fields = [
            (*output[:2], output.aux_loss and output.aux_loss.rows) for output in (one, other)
        ]
        for a, b in zip(*fields, strict=True):
            assert a is b is None or (torch.equal(a, b) and a.isfinite().all())


@every_way
def test_a_sample_does_not_depend_on_the_others(name: str, way: dict) -> None:
    fusion, mask = build(name, 3, **way), masks(3)
    x = torch.randn(16, 3, DIM).double()
    for tokens in inputs_of(fusion, mask):
        together = run(fusion, x, mask, tokens)
        for i in range(16):
            alone = tokens and [
                Tokens(values[i : i + 1], real[i : i + 1]) for values, real in tokens
            ]
            torch.testing.assert_close(
                run(fusion, x[i : i + 1], mask[i : i + 1], alone).y[0], together.y[i]
            )


@every_way
def test_tokens_that_are_absent_may_as_well_be_cut_off(name: str, way: dict) -> None:
    fusion, mask = build(name, 3, **way), masks(3)
    x = torch.randn(16, 3, DIM).double()
    for tokens in inputs_of(fusion, mask)[1:]:
        together = run(fusion, x, mask, tokens)
        for i in range(16):
            kept = [(values[i][real[i]], real[i][real[i]]) for values, real in tokens]
            alone = [
                Tokens(v[None], r[None])
                if len(v)
                else Tokens(v.new_zeros(1, 1, DIM), r.new_zeros(1, 1))
                for v, r in kept
            ]
            output = run(fusion, x[i : i + 1], mask[i : i + 1], alone)
            for a, b in zip(output, together, strict=True):
                assert a is b is None or torch.allclose(a[0], b[i], atol=1e-12)


@pytest.mark.parametrize("name", [name for name in NAMES if documented(name, "Symmetric")])
def test_the_order_of_modalities_does_not_matter_where_a_class_says_so(name: str) -> None:
    claimed = [
        w
        for n, w in WAYS
        if n == name and eval(documented(name, "Symmetric"), {}, names_in_docstring(n, 4, w))
    ]
    assert claimed
    order, mask = torch.tensor([2, 0, 3, 1]), masks(4)
    for way in claimed:
        fusion, x = build(name, 4, **way), torch.randn(16, 4, DIM).double()
        here, there = fusion(x, mask), fusion(x[:, order], mask[:, order])
        torch.testing.assert_close(there.y, here.y)
        if here.weights is not None:
            torch.testing.assert_close(there.weights, here.weights[:, order])


@pytest.mark.parametrize("m", [1, 3])
@every_way
def test_nothing_present_is_finite_forward_and_backward(name: str, way: dict, m: int) -> None:
    fusion, mask = build(name, m, **way), torch.zeros(4, m, dtype=torch.bool)
    for tokens in inputs_of(fusion, mask):
        x = torch.randn(4, m, DIM).double().requires_grad_()
        leaves = [x, *fusion.parameters()]
        for values in [] if tokens is None else [token.values for token in tokens]:
            leaves.append(values.requires_grad_())
        with torch.autograd.set_detect_anomaly(True):  # no NaN on the way either
            output = run(fusion, x, mask, tokens)
            (output.y * torch.randn_like(output.y)).sum().backward()
        assert output.y.isfinite().all()
        assert all(leaf.grad is None or leaf.grad.isfinite().all() for leaf in leaves)


@every_way
def test_weights_are_shares_of_the_present_modalities(name: str, way: dict) -> None:
    for m in COUNTS:
        fusion, mask = build(name, m, **way), masks(m)
        for tokens in inputs_of(fusion, mask):
            weights = run(fusion, torch.randn(16, m, DIM).double(), mask, tokens).weights
            if weights is not None:
                assert weights.shape == mask.shape
                assert (weights >= 0).all()
                assert not weights[~mask].any()
                torch.testing.assert_close(weights.sum(1), mask.any(1).double())


@every_way
def test_lower_precision_gives_nearly_the_same(name: str, way: dict) -> None:
    fusion, mask = build(name, 3, **way), masks(3)
    x = torch.randn(16, 3, DIM).bfloat16()
    for tokens in inputs_of(fusion, mask):
        low = tokens and [Tokens(values.bfloat16(), real) for values, real in tokens]
        exact = run(
            fusion.double(), x.double(), mask, low and [Tokens(v.double(), real) for v, real in low]
        )
        assert exact.y.dtype == torch.float64
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = run(
                fusion.float(),
                x.float(),
                mask,
                low and [Tokens(v.float(), real) for v, real in low],
            )
            of_low = run(fusion, x, mask, low)  # as after an encoder under autocast
        true = run(fusion.bfloat16(), x, mask, low)
        assert true.y.dtype == torch.bfloat16
        for output in (mixed, of_low, true):
            torch.testing.assert_close(output.y.double(), exact.y, atol=0.15, rtol=0.05)
            assert output.weights is None or output.weights.isfinite().all()
            assert torch.as_tensor(aux_loss(output)).isfinite()
