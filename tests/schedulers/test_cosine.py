"""The learning rate, step by step."""

import math

import pytest
import torch

from polymodal.errors import ConfigError
from polymodal.schedulers.cosine import cosine


def rates(total: int, **arguments: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = cosine(optimizer, total, **arguments)
    seen = []
    for _ in range(total):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_rises_linearly_then_falls_along_half_a_cosine() -> None:
    seen = rates(20, warmup=4)
    expected = [0.5, 1.0, 1.5, 2.0] + [1 + math.cos(math.pi * k / 16) for k in range(16)]
    assert seen == pytest.approx(expected)


def test_a_share_of_the_run_is_a_number_of_steps() -> None:
    assert rates(20, warmup=0.2) == rates(20, warmup=4)


def test_final_one_is_constant_after_warm_up() -> None:
    assert rates(10, warmup=2, final=1.0) == pytest.approx([1.0] + [2.0] * 9)


def test_a_warm_up_longer_than_the_run_is_an_error() -> None:
    with pytest.raises(
        ConfigError, match=r"scheduler.warmup=21 is longer than the run, which has 20"
    ):
        rates(20, warmup=21)
