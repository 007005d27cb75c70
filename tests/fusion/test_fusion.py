"""Every fusion in configs/fusion: a new one is tested by being there."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

CONFIGS = Path(__file__).parents[2] / "configs" / "fusion"
NAMES = [file.stem for file in sorted(CONFIGS.glob("*.yaml")) if file.stem != "none"]
ANY_ORDER = {"sum", "gated"}
DIM = 8


def build(name: str, m: int) -> torch.nn.Module:
    torch.manual_seed(0)
    config = {
        "dim": DIM,
        "encoder": {f"m{i}": {} for i in range(m)},
        "fusion": OmegaConf.load(CONFIGS / f"{name}.yaml"),
    }
    return instantiate(OmegaConf.create(config).fusion, _convert_="all")


@pytest.mark.parametrize("m", [1, 2, 3, 6])
@pytest.mark.parametrize("name", NAMES)
def test_one_step_changes_every_parameter(name: str, m: int) -> None:
    fusion = build(name, m)
    mask = torch.ones(16, m, dtype=torch.bool)
    mask[m:, 0] = False  # an absent slot has a parameter too
    y = fusion(torch.randn(16, m, DIM, requires_grad=True), mask).y
    assert y.shape == (16, DIM)
    (y * torch.randn_like(y)).sum().backward()
    silent = [key for key, parameter in fusion.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    # with one modality a softmax over modalities is 1 whatever its scores
    assert not silent or (name == "gated" and m == 1) or (name == "gated" and silent == ["gate.bias"])


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), m=st.integers(1, 4), count=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_a_value_under_a_false_mask_never_matters(name: str, data: st.DataObject, m: int, count: int) -> None:
    mask = torch.tensor(
        data.draw(st.lists(st.lists(st.booleans(), min_size=m, max_size=m), min_size=count, max_size=count))
    )
    fusion, x = build(name, m), torch.randn(count, m, DIM)
    other = torch.where(mask[:, :, None], x, torch.full_like(x, 1e6))
    assert torch.equal(fusion(x, mask).y, fusion(other, mask).y)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_present_is_finite_forward_and_backward(name: str) -> None:
    fusion = build(name, 3)
    x = torch.randn(4, 3, DIM, requires_grad=True)
    output = fusion(x, torch.zeros(4, 3, dtype=torch.bool))
    output.y.sum().backward()
    assert output.y.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    if output.weights is not None:
        assert (output.weights == 0).all()


@pytest.mark.parametrize("name", sorted(ANY_ORDER))
def test_order_of_modalities_does_not_matter(name: str) -> None:
    fusion, x, mask = build(name, 4), torch.randn(6, 4, DIM), torch.rand(6, 4) > 0.3
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(fusion(x[:, order], mask[:, order]).y, fusion(x, mask).y)


@pytest.mark.parametrize("name", NAMES)
def test_works_in_bf16(name: str) -> None:
    fusion = build(name, 2).bfloat16()
    y = fusion(torch.randn(3, 2, DIM, dtype=torch.bfloat16), torch.tensor([[True, False]] * 3)).y
    assert y.dtype == torch.bfloat16
    assert y.isfinite().all()


def test_parameter_counts_are_those_of_the_docstrings() -> None:
    m, d, h = 3, DIM, 256
    count = {name: sum(p.numel() for p in build(name, m).parameters()) for name in NAMES}
    assert count == {"sum": 0, "concat": m * d + (m * d + 1) * h + (h + 1) * d, "gated": d + 1}
