"""Shapley values against their definition: the mean over all orders."""

from itertools import chain, combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymodal.metrics.shapley import shapley_values


@given(m=st.integers(1, 4), data=st.data())
def test_values_are_mean_gains_over_all_orders_and_sum_to_full_minus_empty(
    m: int, data: st.DataObject
) -> None:
    players = [f"p{i}" for i in range(m)]
    subsets = [
        frozenset(s) for s in chain.from_iterable(combinations(players, k) for k in range(m + 1))
    ]
    worth = {subset: data.draw(st.floats(-1, 1)) for subset in subsets}
    values = shapley_values(players, worth)
    orders = list(permutations(players))
    for player in players:
        gains = [
            worth[frozenset(order[: order.index(player) + 1])]
            - worth[frozenset(order[: order.index(player)])]
            for order in orders
        ]
        assert values[player] == pytest.approx(sum(gains) / len(orders), abs=1e-12)
    assert sum(values.values()) == pytest.approx(
        worth[frozenset(players)] - worth[frozenset()], abs=1e-12
    )
