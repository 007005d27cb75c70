"""What configs of older runs name, by its name of today."""

from __future__ import annotations

from typing import Any

MOVED: dict[str, str] = {
    "polymodal.strategy.ShardedStrategy": "polymodal.training.distributed.strategy.ShardedStrategy",
}
"""`_target_` of an older version -> the same class today."""

GONE = {"polymodal.encoders.text.bow.BagOfWords": {"dropout"}}
"""Class -> settings that it had and that mattered in training alone."""


def today(target: Any) -> Any:
    """A `_target_` by its name of today; anything else as it is."""
    return MOVED.get(target, target) if isinstance(target, str) else target


def as_today(node: Any) -> Any:
    """A copy of a stored config in which each `_target_` has its name of today, and no setting that
    is gone.

    Args:
        node: nested dicts and lists, after `check_trust`, which bounds their depth.
    """
    if isinstance(node, list):
        return [as_today(item) for item in node]
    if not isinstance(node, dict):
        return node
    gone = GONE.get(str(node.get("_target_")), ())
    kept = {key: value for key, value in node.items() if key not in gone}
    return {
        key: today(value) if key == "_target_" else as_today(value) for key, value in kept.items()
    }
