"""Pairwise covering: few rows in which each two options of two factors stand together at least
once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations

Row = dict[str, str]
Choice = tuple[str, str]
Pair = tuple[Choice, Choice]
Fits = Callable[[Row], bool]


def pairs_of(row: Mapping[str, str], factors: Iterable[str]) -> set[Pair]:
    """The pairs of options in a row, in the order of the factors."""
    choices = [(factor, row[factor]) for factor in factors if factor in row]
    return set(combinations(choices, 2))


def all_pairs(factors: Mapping[str, Sequence[str]]) -> list[Pair]:
    """Every two options of two factors."""
    return [
        ((one, a), (other, b))
        for one, other in combinations(factors, 2)
        for a in factors[one]
        for b in factors[other]
    ]


def next_row(
    factors: Mapping[str, Sequence[str]], seed: Mapping[str, str], left: set[Pair], fits: Fits
) -> Row | None:
    """A whole row around some options, with as many pairs of `left` as a greedy choice finds.

    Factor by factor, the option with the most new pairs is taken; of equal ones, the first.

    Args:
        factors: factor -> its options, the default first.
        seed: options that the row must have.
        left: pairs that no row has had.
        fits: whether a part of a row, or a whole one, can be.

    Returns:
        the row in the order of the factors; None where nothing fits around the seed.
    """
    row = dict(seed)
    if not fits(row):
        return None
    order = list(factors)
    for factor in order:
        if factor in row:
            continue
        best, most = None, -1
        for option in factors[factor]:
            longer = {**row, factor: option}
            new = sum(_pair(order, (factor, option), other) in left for other in row.items())
            if new > most and fits(longer):
                best, most = option, new
        if best is None:
            return None
        row[factor] = best
    return {factor: row[factor] for factor in order}


def rows_for(factors: Mapping[str, Sequence[str]], fits: Fits) -> tuple[list[Row], list[Pair]]:
    """Rows that hold every pair that can be, and the pairs that cannot."""
    left = dict.fromkeys(all_pairs(factors))
    rows: list[Row] = []
    impossible: list[Pair] = []
    while left:
        seed = next(iter(left))
        # a greedy choice may leave nothing that fits: then the defaults are tried
        row = next_row(factors, dict(seed), set(left), fits) or next_row(
            factors, dict(seed), set(), fits
        )
        if row is None:
            impossible.append(seed)
            del left[seed]
            continue
        rows.append(row)
        for pair in pairs_of(row, factors):
            left.pop(pair, None)
    return rows, impossible


def _pair(order: Sequence[str], one: Choice, other: Choice) -> Pair:
    return (one, other) if order.index(one[0]) < order.index(other[0]) else (other, one)
