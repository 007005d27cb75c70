"""Which modalities a loss brings together, and how much each of these terms counts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

from polymodal.errors import did_you_mean

Pairs = Literal["all"] | Sequence[Sequence[str | float]]


class Term(NamedTuple):
    """One part of a loss.

    Attributes:
        rows: the rows of X that it compares.
        weight: its share in the weighted mean over all terms.
    """

    rows: tuple[int, ...]
    weight: float = 1.0


def pair_terms(modalities: Sequence[str], pairs: Pairs, anchor: str | None) -> list[Term]:
    """A term a pair of modalities.

    Args:
        modalities: names of the rows of X.
        pairs: `all`, or a list of [first, second] or [first, second, weight].
        anchor: the modality that all others are paired with (ImageBind, Girdhar et al. 2023), or
            None.

    Raises:
        ValueError: a pair cannot be; says which, and what to write instead.
    """
    # one modality with each of the others
    if anchor is not None:
        if pairs != "all":
            raise ValueError(
                f"anchor={anchor} and pairs={pairs} contradict each other: give one of them."
            )
        first = row_of(anchor, modalities, "anchor")
        return [Term((first, other)) for other in range(len(modalities)) if other != first]

    # all pairs
    if isinstance(pairs, str):
        if pairs != "all":
            raise ValueError(
                f"pairs={pairs}: write all, or a list such as [[{', '.join(modalities[:2])}]]."
            )
        return [Term(pair) for pair in combinations(range(len(modalities)), 2)]

    # the pairs that are named, each once
    if not pairs:
        raise ValueError(
            "pairs=[]: there is nothing to align. Name a pair, or leave pairs out for all of them."
        )
    terms = [_term(pair, modalities) for pair in pairs]
    seen: set[frozenset[int]] = set()
    for pair, term in zip(pairs, terms, strict=True):
        if frozenset(term.rows) in seen:
            raise ValueError(
                f"pairs: {_shown(pair)} is there twice (the order does not matter). Leave one out."
            )
        seen.add(frozenset(term.rows))
    return terms


def row_of(name: str, modalities: Sequence[str], argument: str) -> int:
    """Which row of X a modality is.

    Raises:
        ValueError: there is no such modality; says the nearest.
    """
    if name not in modalities:
        raise ValueError(
            f"{argument}: there is no modality {name!r}.{did_you_mean(str(name), modalities)}"
        )
    return list(modalities).index(name)


def _term(pair: Sequence[str | float], modalities: Sequence[str]) -> Term:
    if isinstance(pair, str) or len(pair) not in (2, 3):
        raise ValueError(
            f"pairs: {_shown(pair)} is no pair. Write [first, second] or [first, second, weight]."
        )
    first, second = (row_of(name, modalities, "pairs") for name in pair[:2])  # type: ignore[arg-type]
    weight = pair[2] if len(pair) == 3 else 1.0
    if first == second:
        raise ValueError(
            f"pairs: {_shown(pair)} is a modality with itself. Name two different ones."
        )
    if isinstance(weight, str) or not 0 < weight < float("inf"):
        raise ValueError(
            f"pairs: {_shown(pair)} has the weight {weight!r}. It must be a number above 0."
        )
    return Term((first, second), float(weight))


def _shown(pair: Sequence[str | float]) -> str:
    return pair if isinstance(pair, str) else f"[{', '.join(map(str, pair))}]"
