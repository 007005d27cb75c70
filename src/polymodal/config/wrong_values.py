"""What is wrong with a value, in the words of a person who typed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def nearest_member(details: Sequence[Any]) -> Any:
    """Of what the members of a union say of a value, that of the one which came nearest to it: a
    range, an element.
    """
    ranges = (
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
        "predicate_failed",
    )
    return max(details, key=lambda detail: (detail["type"] in ranges, len(detail["loc"])))


IN_OUR_WORDS = {
    "predicate_failed": "input should be a finite number",
    "sequence_str": "input should be a list",
    "tuple_type": "input should be a list",
    "list_type": "input should be a list",
    "dict_type": "input should be {key: value}",
    "is_instance_of": "input should be a list",
    "missing": "there should be more values",
    "too_long": "there should be fewer values",
}
"""Type of an error of pydantic -> what a person is told."""


def wrong_value(
    path: str, value: Any, detail: Mapping[str, Any], reference: str | None = None
) -> str:
    """One sentence: the setting, its value, and what pydantic misses in it.

    Args:
        path: dotted name of the setting.
        value: its value.
        detail: an error of pydantic.
        reference: how the value was given, where it refers to another setting.
    """
    message = IN_OUR_WORDS.get(detail["type"], detail["msg"])
    given = (
        f"{path}={shown(value)}"
        if reference is None
        else f"{path}={reference}, which is {shown(value)}"
    )
    hint = ""
    if isinstance(value, str) and "," in value:
        hint = " Several values are a sweep: add -m."
    elif detail["type"] == "string_type" and isinstance(value, int | float):
        hint = f" As text it is in quotes: '{path}=\"{shown(value)}\"'"
    return f"{given}: {message[0].lower() + message[1:]}.{hint}"


def shown(value: Any) -> str:
    """A value as it is typed, at most some 100 signs of it."""
    words = {None: "null", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
