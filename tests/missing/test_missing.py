"""Every way in configs/missing to stand in for an absent modality: a new one is tested by being
there."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from polymodal.fusion.sum import Sum
from polymodal.missing.mean import Mean
from polymodal.model import MultimodalModel
from polymodal.outputs import Encoded

CONFIGS = Path(__file__).parents[2] / "configs" / "missing"
NAMES = [file.stem for file in sorted(CONFIGS.glob("*.yaml")) if file.stem != "mask"]


def build(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    config = OmegaConf.create(
        {"dim": 4, "encoder": {"a": {}, "b": {}}, "m": OmegaConf.load(CONFIGS / f"{name}.yaml")}
    )
    return instantiate(config.m, _convert_="all")


@pytest.mark.parametrize("name", NAMES)
def test_present_rows_stay_and_absent_ones_are_filled_whatever_they_held(name: str) -> None:
    way, x = build(name).eval(), torch.randn(3, 2, 4)
    mask = torch.tensor([[True, False], [True, True], [False, False]])
    filled, there = way(x, mask)
    assert there.all()
    assert torch.equal(filled[mask], x[mask])
    assert torch.equal(way(x.masked_fill(~mask[:, :, None], torch.nan), mask)[0], filled)
    assert torch.equal(filled[0, 1], filled[2, 1])


def test_a_learned_token_learns() -> None:
    way, mask = build("learned_token"), torch.tensor([[True, False]])
    way(torch.zeros(1, 2, 4), mask)[0].sum().backward()
    assert way.vectors.grad.tolist() == [[0] * 4, [1] * 4]


def test_the_mean_is_that_of_the_samples_that_have_the_modality() -> None:
    way, x = Mean(4, ["a", "b"], momentum=0.5), torch.randn(6, 2, 4)
    mask = torch.tensor([[True, True]] * 3 + [[True, False]] * 3)
    way.train()(x, mask)
    torch.testing.assert_close(way.mean, torch.stack([x[:, 0].mean(0), x[:3, 1].mean(0)]))
    way(torch.zeros(6, 2, 4), mask & torch.tensor([True, False]))  # b was nowhere: its mean stays
    torch.testing.assert_close(way.mean, torch.stack([x[:, 0].mean(0) / 2, x[:3, 1].mean(0)]))
    before = way.mean.clone()
    way.eval()(torch.ones(6, 2, 4), mask)
    assert torch.equal(way.mean, before)


def test_the_fusion_of_a_model_sees_what_was_filled_in_and_the_objective_the_true_mask() -> None:
    way = build("learned_token")
    model = MultimodalModel({}, Sum(4, ["a", "b"]), missing=way)
    x, mask = torch.randn(2, 2, 4), torch.tensor([[True, False], [True, True]])
    output = model.fuse(Encoded(x, mask))
    torch.testing.assert_close(output.y, torch.stack([x[0, 0] + way.vectors[1], x[1].sum(0)]))
    assert torch.equal(output.mask, mask)
