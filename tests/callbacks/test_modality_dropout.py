"""Modalities are dropped at the rates asked for, never all of a sample's, and the same ones for a
sample anywhere."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymodal.callbacks.modality_dropout import dropped, rates_of
from polymodal.errors import ConfigError


@given(m=st.integers(1, 5), seed=st.integers(0, 1000), rate=st.floats(0, 0.99))
def test_one_modality_is_left_at_least_and_nothing_absent_is_brought_back(
    m: int, seed: int, rate: float
) -> None:
    mask = torch.rand(40, m, generator=torch.Generator().manual_seed(seed)) < 0.6
    kept = mask & ~dropped(
        torch.arange(40), mask, torch.full((m,), rate, dtype=torch.float64), seed
    )
    assert torch.equal(kept.any(1), mask.any(1))
    assert not (kept & ~mask).any()


def test_rates_are_kept_modality_by_modality() -> None:
    mask = torch.ones(20_000, 3, dtype=torch.bool)
    taken = dropped(torch.arange(20_000), mask, torch.tensor([0.5, 0.1, 0.0]), 7).double().mean(0)
    torch.testing.assert_close(taken, torch.tensor([0.5, 0.1, 0.0]).double(), atol=0.015, rtol=0)


def test_the_choice_is_the_sample_s_own_and_changes_with_the_step() -> None:
    ids, mask, rates = (
        torch.arange(100),
        torch.ones(100, 3, dtype=torch.bool),
        torch.full((3,), 0.5),
    )
    whole = dropped(ids, mask, rates, 5)
    assert torch.equal(dropped(ids[40:60], mask[40:60], rates, 5), whole[40:60])
    assert not torch.equal(dropped(ids, mask, rates, 6), whole)


def test_more_is_missing_at_a_higher_rate_and_what_was_missing_still_is() -> None:
    ids, mask = torch.arange(500), torch.ones(500, 4, dtype=torch.bool)
    few, many = (dropped(ids, mask, torch.full((4,), rate), 0) for rate in (0.2, 0.4))
    assert few.sum() < many.sum()
    assert not (few & ~many).any()


def test_wrong_rates_are_refused() -> None:
    assert rates_of({"b": 0.5}, ["a", "b"]) == [0.0, 0.5]
    with pytest.raises(ConfigError, match="this run has a, b"):
        rates_of({"c": 0.5}, ["a", "b"])
    with pytest.raises(ConfigError, match=r"1.0 is not a share in \[0, 1\)"):
        rates_of({"a": 1.0}, ["a", "b"])
