"""The modality that an argument names."""

from __future__ import annotations

from collections.abc import Sequence

from polymodal.errors import did_you_mean


def index_of(name: str | None, modalities: Sequence[str], argument: str) -> int:
    """The row of X that `name` stands for; None stands for the first.

    Raises:
        ValueError: there is no such modality; says the nearest, or all.
    """
    if name is None:
        return 0
    if name not in modalities:
        hint = did_you_mean(name, modalities, most=1)
        raise ValueError(f"{argument}={name} is not a modality of this model.{hint}")
    return list(modalities).index(name)
