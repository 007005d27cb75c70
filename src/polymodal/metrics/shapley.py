"""Shapley values: what each modality contributes to a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb


def shapley_values(
    players: Sequence[str], worth: Mapping[frozenset[str], float]
) -> dict[str, float]:
    """A player's mean gain over all orders in which the players could come together (Shapley 1953).

    The values sum to the worth of all players minus the worth of none.

    Args:
        players: m names.
        worth: each of the 2^m subsets -> its metric.
    """
    count = len(players)
    values = {}
    for player in players:
        others = [other for other in players if other != player]
        values[player] = sum(
            (worth[frozenset(rest) | {player}] - worth[frozenset(rest)])
            / (count * comb(count - 1, size))
            for size in range(count)
            for rest in combinations(others, size)
        )
    return values
