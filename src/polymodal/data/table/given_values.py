"""A row of a table from values that a person types, as they would stand in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from polymodal.data.loading.values import LARGEST, name_of, number_of
from polymodal.errors import ConfigError, named


def row_of(
    given: Mapping[str, str], columns: Sequence[str], numeric: int, learned: Mapping[str, Any]
) -> tuple[np.ndarray, str]:
    """Values of some columns -> (columns,) float32 as the encoder takes it; and what to say of
    unknown ones.

    Args:
        given: column -> value, such as age: 40 and sex: male; what is not given is missing.
        columns: of the table, those of numbers first.
        numeric: how many of them hold numbers.
        learned: `mean` and `std` of the numbers and `names` of the categories of the training.

    Raises:
        ConfigError: a value is no number.
    """
    numbers = [_number(name, given.get(name, "")) for name in columns[:numeric]]
    standardised = (np.array(numbers) - np.array(learned["mean"])) / np.array(learned["std"])
    codes, problems = [], []
    for name, names in zip(columns[numeric:], learned["names"], strict=True):
        text = name_of(given.get(name, ""))
        code = {name_of(each): number for number, each in enumerate(names)}.get(text, -1)
        codes.append(code)
        if text and code < 0:
            problems.append(
                f"{name}={text}: not in training, so it counts as missing. Known are "
                f"{named(names)}."
            )
    return np.array([*standardised, *codes], dtype=np.float32), "\n".join(problems)


def _number(name: str, text: str) -> float:
    """NaN where nothing is given.

    Raises:
        ConfigError: it is no number.
    """
    try:
        value = number_of(text)
    except ValueError as error:
        raise ConfigError(f"{name}={text}: this column holds numbers, such as 12.5.") from error
    return value if not abs(value) > LARGEST else float("nan")
