"""The numbers at the head of a page: each with the validation of the same checkpoint, chance, and
how many samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

MOST = 8
"""Cards of a page."""

METRICS = [
    "recall@1",
    "accuracy",
    "recall",
    "f1",
    "mae",
    "rmse",
    "r2",
    "auroc",
    "mean_average_precision",
    "pearson",
]
METRICS += ["spearman", "recall@5", "recall@10", "accuracy@5"]
"""Last parts of the keys that have a card, the most important first."""

UPPER = {"mae": "MAE", "rmse": "RMSE", "r2": "R²", "auroc": "AUROC"}
LOWER_IS_BETTER = ("mae", "rmse")


class Card(NamedTuple):
    """A metric.

    Attributes:
        title: the metric.
        what: of which part, direction or value; "" for the whole.
        value: of the test split, or of the validation where there was no test.
        split: which of them.
        validation: of the same checkpoint; None where it is not known.
        chance: what stands in the place of a model, and
        linear: what a linear model reaches; None where there is none.
        evaluated: samples, or queries and items to find.
        is_beaten: whether the linear model is better.
    """

    title: str
    what: str
    value: float
    split: str
    validation: float | None
    chance: float | None
    linear: float | None
    evaluated: str
    is_beaten: bool


def cards_of(metrics: Mapping[str, float], about: Mapping[str, Any]) -> list[Card]:
    """The most important metrics: of the whole first, then of its parts.

    Args:
        metrics: of metrics.json.
        about: what the report knows beside them: `validation`, `counts`, `samples`, `chance`.
    """
    tested = _of(metrics, "test/")
    tested = {name: value for name, value in tested.items() if not name.startswith("control/")}
    # without a checkpoint the weights at the end are tested, and the last validation is theirs
    validated = _of(about.get("validation", metrics), "val/")
    split, shown = ("test", tested) if tested else ("validation", validated)
    named = [name for name in shown if _last(name) in METRICS]
    named.sort(key=lambda name: (name.count("/"), METRICS.index(_last(name))))
    return [_card(name, shown[name], split, validated, metrics, about) for name in named[:MOST]]


def _card(
    name: str,
    value: float,
    split: str,
    validated: Mapping[str, float],
    metrics: Mapping[str, float],
    about: Mapping[str, Any],
) -> Card:
    """One metric; of a test with chance and the linear model beside it."""
    is_test = split == "test"
    linear = metrics.get(f"test/control/linear/{name}") if is_test else None
    chance = (
        metrics.get(f"test/control/chance/{name}", about.get("chance", {}).get(name))
        if is_test
        else None
    )
    is_beaten = False
    if linear is not None:
        is_beaten = linear < value if _last(name) in LOWER_IS_BETTER else linear > value
    return Card(
        title=UPPER.get(_last(name), _last(name)),
        what=" · ".join([*name.replace("_", " ").split("/")[:-1], *_value(name, about)]),
        value=value,
        split=split,
        validation=validated.get(name) if is_test else None,
        chance=chance,
        linear=linear,
        evaluated=_count(name, about, split),
        is_beaten=is_beaten,
    )


def _of(metrics: Mapping[str, float], start: str) -> dict[str, float]:
    return {
        key.removeprefix(start): value for key, value in metrics.items() if key.startswith(start)
    }


def _value(name: str, about: Mapping[str, Any]) -> list[str]:
    """The name of the value that a metric of a regression is of, where it is one."""
    values = about.get("counts", {}).get(name.rpartition("/")[0], {}).get("values", [])
    return values if len(values) == 1 else []


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _count(name: str, about: Mapping[str, Any], split: str) -> str:
    """How many samples, or queries and items, a metric is of; "" where that is not known."""
    counts, part = about.get("counts", {}), name.rpartition("/")[0]
    counted = counts.get(part, {}) if split == "test" else {}
    if "queries" in counted:
        return f"{counted['queries']:,} queries, {counted['gallery']:,} items to find"
    if "samples" in counted:
        values = counted.get("values", [])
        several = f", mean over {', '.join(values)}" if len(values) > 1 else ""
        return f"{_samples(counted['samples'])}{several}"
    start = f"{part}/" if part else ""
    directions = [key for key, one in counts.items() if key.startswith(start) and "queries" in one]
    samples = _samples(about.get("samples", {}).get("test" if split == "test" else "val", 0))
    if directions and split == "test" and _last(name).startswith("recall@"):
        return f"mean of {len(directions)} directions, {samples}"
    return samples


def _samples(count: int) -> str:
    return f"{count:,} samples" if count else ""
