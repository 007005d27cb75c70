"""Inputs as a command line gives them: by modality or column; files, patterns of names, folders."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polymodal.data.datamodule import PairedDataModule
from polymodal.data.loading.hidden import is_hidden
from polymodal.data.table.module import TableData
from polymodal.errors import ConfigError, did_you_mean

Input = str | Mapping[str, str]
"""A sentence, the path of a file, or of a table column -> value."""

KINDS = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"), "image"),
    ".svg": "image",
    **dict.fromkeys((".wav", ".flac", ".ogg", ".mp3"), "audio"),
    **dict.fromkeys((".mp4", ".webm", ".mkv", ".mov", ".avi"), "video"),
    ".npy": "vector",
}
"""Ending of a file -> what it is likely to hold."""


def are_several(given: str, kind: str) -> bool:
    """Whether that is a list, a pattern or a folder; a folder of frames is one video."""
    place = Path(given)
    if place.exists():
        return place.is_dir() and kind != "video"
    return given[:1] + given[-1:] == "[]" or glob.has_magic(given)


def files_of(name: str, given: str, kind: str) -> list[str]:
    """The files of a list, a pattern or a folder, in order.

    Args:
        name: of the modality, for messages.
        given: such as `[a.png,b.png]`, `photos/*.png` or `photos`.
        kind: of the modality.

    Raises:
        ConfigError: there is no such file.
    """
    place = Path(given)
    if place.is_dir():
        files = [file for file in sorted(place.iterdir()) if not is_hidden(file.name)]
        found = [str(file) for file in files if KINDS.get(file.suffix.lower()) == kind]
        if not found:
            raise ConfigError(f"{name}={given}: there is no {kind} in this folder.")
        return found
    if given[:1] + given[-1:] == "[]":
        return [part.strip().strip("\"'") for part in given[1:-1].split(",")]
    matching = sorted(glob.glob(given, recursive=True))  # noqa: PTH207  (it may start anywhere)
    if not matching:
        raise ConfigError(f"{name}={given}: there is no such file.")
    return matching


def inputs_by_name(
    given: Mapping[str, str], data: PairedDataModule, modalities: Sequence[str]
) -> dict[str, Input]:
    """The inputs of a command -> modality -> input: columns of the training table may stand for
    their modality.

    Args:
        given: modality or column -> value; `<modality>.<column>` where a column has the name of a
            setting.
        data: of the training.
        modalities: of the model.

    Raises:
        ConfigError: nothing is given, or there is no such modality or column; says the nearest.
    """
    columns: dict[str, list[str]] = {}
    if isinstance(data, TableData):
        columns = {name: data.columns[name] for name in modalities if name in data.columns}
    tables = [name for name in columns if data.kinds[name] == "tabular"]
    # a column stands for the modality that it belongs to
    modality_of = {column: name for name, names in columns.items() for column in names}
    modality_of |= {f"{name}.{column}": name for name in tables for column in columns[name]}
    if not given:
        choices = [name for name in modalities if name not in tables]
        choices += [column for name in tables for column in columns[name]]
        raise ConfigError(f"Give an input, one of {', '.join(f'{name}=' for name in choices)}.")
    result: dict[str, Any] = {}
    for key, value in given.items():
        name = key if key in modalities else modality_of.get(key)
        if name is None:
            wanted = [*modalities, *modality_of]
            raise ConfigError(f"{key}=: the model has no such input.{did_you_mean(key, wanted)}")
        if name in tables and key == name:
            example = " ".join(f"{column}=..." for column in columns[name])
            raise ConfigError(f"{key}={value}: give the values of the table one by one: {example}")
        # the values of a table come one by one; anything else comes once
        if name in tables:
            result.setdefault(name, {})[key.removeprefix(f"{name}.")] = value
        elif name in result:
            raise ConfigError(f"{key}=: {name} is there twice. Give it once.")
        else:
            result[name] = value
    return result
