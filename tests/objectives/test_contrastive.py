"""What every contrastive objective promises: masks are exact, precision is kept, evaluating does
not depend on batches."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polymodal.model import MultimodalModel
from polymodal.objectives.global_batch import GlobalBatch
from tests.objectives.cases import (
    CASES,
    IDS,
    MODALITIES,
    NAMES,
    batch_of,
    build,
    encoders,
    output,
    part,
    samples,
)

each = pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
Options = dict[str, Any]


@each
@given(data=st.data(), m=st.integers(2, 4), count=st.integers(1, 7), groups=st.integers(1, 7))
@settings(max_examples=8, deadline=None)
def test_samples_with_nothing_to_compare_are_as_if_not_there(
    name: str, options: Options, data: st.DataObject, m: int, count: int, groups: int
) -> None:
    m = 3 if options.keys() & {"pairs", "anchor"} else m
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 10**6)))
    x = torch.randn(count, m, 4, generator=generator, dtype=torch.float64)
    mask = torch.rand(count, m, generator=generator) > 0.4
    group = torch.randint(groups, (count,), generator=generator)
    names = list("abcd")[:m]
    loss_of = build(name, names, **options)

    def loss(rows: torch.Tensor) -> torch.Tensor:
        return loss_of(output(x[rows], mask[rows]), batch_of(group[rows], names))

    # one modality alone is nothing to a pair, a tuple or a rest; to SupCon it is a row like any
    # other
    useful = mask.sum(1) >= (1 if name == "supcon" else 2)
    torch.testing.assert_close(loss(useful), loss(torch.ones_like(useful)), rtol=1e-12, atol=1e-12)
    assert loss(useful).isfinite()


@each
def test_what_stands_where_nothing_is_does_not_matter(name: str, options: Options) -> None:
    torch.manual_seed(0)
    x, mask, batch = (
        torch.randn(9, 3, 4).double(),
        torch.rand(9, 3) > 0.3,
        batch_of(torch.arange(9) // 2),
    )
    loss_of, plain = build(name, **options), output(x, mask)
    other = plain._replace(x=torch.where(mask[:, :, None], x, 7.0))
    torch.testing.assert_close(loss_of(other, batch), loss_of(plain, batch), rtol=1e-12, atol=0)


@each
@pytest.mark.parametrize(
    "kept", [[False, False, False], [True, False, False]], ids=["nothing", "one-modality"]
)
def test_nothing_to_compare_is_zero_with_a_graph_to_everything(
    name: str, options: Options, kept: list[bool]
) -> None:
    x = torch.randn(6, 3, 4, dtype=torch.float64, requires_grad=True)
    loss_of = build(name, **options)
    loss = loss_of(output(x, torch.tensor([kept] * 6)), batch_of(torch.arange(6)))
    loss.backward()
    assert name == "supcon" or loss.item() == 0  # a class makes positives within one modality
    assert x.grad.isfinite().all()
    assert all(
        p.grad is not None and p.grad.isfinite().all()
        for p in loss_of.parameters()
        if p.requires_grad
    )


@each
def test_a_batch_of_one_and_a_batch_of_equals_have_finite_gradients(
    name: str, options: Options
) -> None:
    for count, group in ((1, torch.zeros(1)), (5, torch.zeros(5)), (5, torch.arange(5))):
        x = torch.ones(count, 3, 4, dtype=torch.float64, requires_grad=True)
        build(name, **options)(output(x), batch_of(group.long())).backward()
        assert x.grad.isfinite().all()


@each
def test_one_step_moves_every_parameter_that_learns(name: str, options: Options) -> None:
    batch, loss_of = samples(12, missing=True), build(name, **options)
    loss_of(MultimodalModel(encoders())(batch), batch).backward()
    still = [
        key for key, p in loss_of.named_parameters() if p.grad is None or not p.grad.abs().min() > 0
    ]
    learns = options.get("learn_scale", True)
    assert [key for key in still if not key.startswith("fusion.")] == (
        [] if learns else ["logit_scale"]
    )
    assert all(p.grad.any() for key, p in loss_of.named_parameters() if key.startswith("fusion."))


@each
def test_metrics_do_not_depend_on_how_the_split_is_cut(name: str, options: Options) -> None:
    batch, model = samples(23, missing=True, groups=9), MultimodalModel(encoders())
    loss_of = build(name, **options, evaluation_batch_size=8)

    def metrics(size: int) -> dict[str, torch.Tensor]:
        loss_of.reset()
        for rows in torch.arange(23).split(size):
            loss_of.update(model(part(batch, rows)), part(batch, rows))
        return loss_of.compute()

    whole = metrics(23)
    assert {f"{a}_to_{b}/recall@1" for a in MODALITIES for b in MODALITIES if a != b} <= set(whole)
    for size in (1, 7, 22):
        for key, value in metrics(size).items():
            torch.testing.assert_close(
                value, whole[key], rtol=1e-6, atol=0, msg=lambda m, k=key: f"{k}: {m}"
            )


@each
def test_validation_loss_is_the_objective_s_own(name: str, options: Options) -> None:
    batch, loss_of = (
        samples(16, missing=name != "symile"),
        build(name, **options, evaluation_batch_size=16),
    )
    # tuples are made by the order of the samples: here the same in both
    if options.get("negatives", "n") == "n":
        batch = part(
            batch, torch.randperm(16, generator=torch.Generator().manual_seed(0)).argsort()
        )
        batch.id = torch.arange(16)
    result = MultimodalModel(encoders())(batch)
    loss_of.update(result, batch)
    shuffled = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    expected = loss_of(
        result._replace(x=result.x[shuffled], mask=result.mask[shuffled]), part(batch, shuffled)
    )
    torch.testing.assert_close(
        loss_of.compute()["loss"].double(), expected.double(), rtol=1e-5, atol=0
    )


@each
def test_the_loss_is_in_fp32_under_autocast_and_in_bf16(name: str, options: Options) -> None:
    torch.manual_seed(0)
    loss_of, batch = build(name, **options).float(), batch_of(torch.arange(8) // 2)
    x = torch.randn(8, 3, 4).bfloat16()
    plain = loss_of(output(x.float()), batch)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(loss_of(output(x), batch), plain, rtol=1e-6, atol=0)
    assert loss_of.bfloat16()(output(x), batch).isfinite()


@pytest.mark.parametrize(
    ("name", "first"), [("clip", 1 / 0.07), ("siglip", 10), ("symile", 1 / 0.07)]
)
def test_scales_begin_where_the_papers_have_them(name: str, first: float) -> None:
    scales = build(name).logit_scale
    assert scales.tolist() == pytest.approx([math.log(first)] * len(scales))


@pytest.mark.parametrize("name", NAMES)
def test_scales_stay_in_their_range_and_a_loss_may_have_none(name: str) -> None:
    loss_of = build(name)
    if loss_of.logit_scale is None:
        before = {key: value.clone() for key, value in loss_of.state_dict().items()}
        loss_of.clamp()
        assert all(torch.equal(value, before[key]) for key, value in loss_of.state_dict().items())
        assert "logit_scale" not in before
        return
    for value, expected in ((9.0, math.log(100)), (-1.0, 0.0), (2.0, 2.0)):
        loss_of.logit_scale.data.fill_(value)
        loss_of.clamp()
        assert loss_of.logit_scale.tolist() == pytest.approx([expected] * len(loss_of.logit_scale))


def test_each_pair_has_a_scale_of_its_own() -> None:
    assert build("clip", ["image", "text"]).logit_scale.shape == (1,)
    assert build("clip").logit_scale.shape == (3,)
    assert build("siglip", anchor="b").logit_bias.tolist() == [-10, -10]
    loss_of, x, batch = build("clip"), torch.randn(6, 3, 4).double(), batch_of(torch.arange(6))
    mask = torch.tensor([[True, True, False]] * 6)  # only the first pair is there
    loss_of(output(x, mask), batch).backward()
    assert loss_of.logit_scale.grad[0] != 0
    assert loss_of.logit_scale.grad[1:].tolist() == [0, 0]


@pytest.mark.parametrize("name", NAMES)
def test_one_modality_is_refused(name: str) -> None:
    instead = r"data\.columns\.text=caption, or predict a label: objective=classification\."
    with pytest.raises(Exception, match=f"at least two modalities.*{instead}"):
        build(name, ["a"])


@each
def test_large_batches_in_tiles_have_the_same_loss_and_gradient(
    name: str, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, model, loss_of = (
        samples(14, missing=True),
        MultimodalModel(encoders()),
        build(name, **options),
    )
    parameters = [p for p in [*model.parameters(), *loss_of.parameters()] if p.requires_grad]

    def gradients() -> tuple[torch.Tensor, ...]:
        loss = loss_of(model(batch), batch)
        return loss.detach(), *torch.autograd.grad(
            loss, parameters, allow_unused=True, materialize_grads=True
        )

    plain = gradients()
    monkeypatch.setattr("polymodal.objectives.global_batch.MANY", 1)
    monkeypatch.setattr("polymodal.losses.tiles.BLOCK", 1)
    monkeypatch.setattr("polymodal.losses.tiles.FEWEST_ROWS", 3)
    for mine, expected in zip(gradients(), plain, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "options", "tiled"),
    [
        ("clip", {}, True),
        ("clip", {"label_smoothing": 0.1}, True),
        ("clip", {"decoupled": True}, False),
        ("clip", {"hard_beta": 0.5}, False),
        ("clip", {"cyclip_in": 0.5}, False),
        ("siglip", {}, True),
        ("fused", {}, True),
    ],
)
def test_a_large_batch_is_compared_in_tiles_by_itself(
    name: str, options: Options, tiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = []
    positives = GlobalBatch.positives
    monkeypatch.setattr(
        GlobalBatch, "positives", lambda self: whole.append(len(self.own)) or positives(self)
    )
    loss_of = build(name, ["a", "b"], **options)
    for count in (1023, 1024):
        loss_of(output(torch.randn(count, 2, 4).double()), batch_of(torch.arange(count)))
    assert set(whole) == ({1023} if tiled else {1023, 1024})
