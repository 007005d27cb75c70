"""By which columns a trained model reads a table that is not the one of its training."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from polymodal.config.environment import is_first_process
from polymodal.errors import ConfigError


def columns_as_trained(
    given: Mapping[str, Any],
    trained: Mapping[str, Any],
    names: Collection[str] | None,
    keys: Collection[str],
) -> dict[str, Any]:
    """Columns of the training that other data are read by too: modality or `label` -> column or
    columns.

    A modality of several columns is taken if one of them is present: the missing ones are an error
    later, since they may be a slip in a name.

    Args:
        given: columns that a person gave; null leaves one out.
        trained: those of the training.
        names: columns of the other data; None where they are unknown, and then all or none are
            taken.
        keys: modalities of the model, and `label` where it is read.
    """
    if names is None:
        left = [] if given else [key for key in keys if key in trained]
    else:
        left = [
            key for key in keys if key not in given and set(listed(trained.get(key))) & set(names)
        ]
    return {key: trained[key] for key in left}


def print_columns(
    given: Mapping[str, Any],
    taken: Mapping[str, Any],
    trained: Mapping[str, Any],
    names: Collection[str] | None,
    modalities: Collection[str],
) -> None:
    """Prints which columns of other data are read, where they were not all given.

    Args:
        given: columns that a person gave.
        taken: what `columns_as_trained` says.
        trained: columns of the training.
        names: columns of the other data; None where they are unknown.
        modalities: of the model.

    Raises:
        ConfigError: no modality has a column.
    """
    # without a single input there is nothing to read
    used = {**given, **taken}
    present = ", ".join(names or [])
    if not any(listed(used.get(name)) for name in modalities):
        wanted = ", ".join(column for name in modalities for column in listed(trained.get(name)))
        example = f"data.columns.{next(iter(modalities))}=<column>"
        raise ConfigError(
            f"The data have none of the columns of the training ({wanted}), but {present}. Say "
            f"which is what: {example}"
        )
    # what was not said on the command line
    if not is_first_process():
        return
    if taken:
        columns = [f"{key}={'+'.join(listed(value))}" for key, value in taken.items()]
        print(f"Columns as in the training: {', '.join(columns)}.")
    for name in modalities:
        now, before = listed(given.get(name)), listed(trained.get(name))
        if len(now) == len(before) > 1 and sorted(now) != sorted(before):
            print(
                f"data.columns.{name}: {', '.join(now)} are read as {', '.join(before)} of the "
                "training."
            )
        if name not in used and before and names is not None:
            print(
                f"{name} is missing in all rows: there is no column {before[0]}. Another: "
                f"data.columns.{name}="
            )


def listed(columns: Any) -> list[str]:
    """A column or several -> their names; none for null."""
    if columns is None:
        return []
    several = columns if isinstance(columns, list | tuple) else [columns]
    return [str(name) for name in several]
