"""SupCon against a float64 loop."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polymodal.losses.supcon import supcon


@given(st.integers(0, 10**6), st.integers(0, 9), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_shares_of_two_processes_sum_to_its_definition(seed: int, rows: int, groups: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.nn.functional.normalize(
        torch.randn(rows, 4, generator=generator, dtype=torch.float64)
    )
    group = torch.randint(groups, (rows,), generator=generator)
    own = torch.rand(rows, generator=generator) > 0.5
    losses = []
    for i in range(rows):
        others = {a: math.exp(5 * (x[i] @ x[a]).item()) for a in range(rows) if a != i}
        positives = [others[a] for a in others if group[a] == group[i]]
        if positives:
            losses.append(
                -sum(math.log(p / sum(others.values())) for p in positives) / len(positives)
            )
    expected = sum(losses) / len(losses) if losses else 0.0
    scale = torch.tensor(5.0, dtype=torch.float64)
    both = sum(supcon(x, group, part.nonzero().squeeze(1), scale) for part in (own, ~own))
    assert both.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
