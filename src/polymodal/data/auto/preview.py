"""What data look like before they are read as a whole: counts, captions, sizes of files, columns of
a table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import soundfile  # type: ignore[import-untyped]
from PIL import Image

from polymodal.data.loading.arrow import as_numbers
from polymodal.data.loading.bad_samples import BadSampleError, Skips
from polymodal.data.loading.splits import SPLITS
from polymodal.data.media.source import opened
from polymodal.data.table.files import ManifestTable
from polymodal.data.table.rows import Rows
from polymodal.errors import DataError, PolymodalError

FILES = 64
"""Files that are looked at, spread evenly over the rows."""

CAPTIONS = 20_000
"""Captions that are looked at."""


@dataclass(frozen=True)
class Preview:
    """What settings can follow.

    Attributes:
        training: number of training samples, about; None where that is not known.
        kinds: modality -> its kind.
        captions: some of them, spread evenly over the rows.
        sides: the shorter side of some images, in pixels.
        grey: whether these images have no colour.
        seconds: lengths of some sounds.
        rates: their sample rates, in Hz.
        classes: number of classes, tags or values that the label has; None without a label.
        numeric: modality -> its columns that hold numbers.
        categories: modality -> its other columns, and how many values each has.
        of_label: modalities that are read from the column of the label, as captions that are names
            of classes.
    """

    training: int | None
    kinds: Mapping[str, str]
    captions: Sequence[str] = ()
    sides: Sequence[int] = ()
    grey: bool = False
    seconds: Sequence[float] = ()
    rates: Sequence[int] = ()
    classes: int | None = None
    numeric: Mapping[str, Sequence[str]] = field(default_factory=dict)
    categories: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    of_label: Sequence[str] = ()


def preview_of_table(
    table: ManifestTable,
    columns: Mapping[str, Sequence[str]],
    kinds: Mapping[str, str],
    label_kind: str,
    training_share: float,
) -> Preview:
    """Preview of the rows of a table. What cannot be read is passed over: reading them all will say
    it.

    Args:
        table: its rows.
        columns: modality or role -> names of columns.
        kinds: modality -> its kind.
        label_kind: class, value or tags.
        training_share: of the samples, where neither the source nor a column gives the split.

    Raises:
        DataError: a column names files, and none of them is there.
    """
    rows = Rows(table, Skips(len(table), table.places, "skip", 1.0))

    # what is read is of all modalities of a kind, as they share the settings
    images: list[tuple[int, str]] = []  # of all modalities of this kind, as they share the settings
    sounds: list[tuple[float, int]] = []
    captions: list[str] = []
    numeric: dict[str, list[str]] = {}
    categories: dict[str, dict[str, int]] = {}
    for name, kind in kinds.items():
        names = columns[name]
        if kind == "text":
            captions += _captions(rows, names)
        elif kind == "image":
            images += _read(table, rows, names[0], _size_and_mode)
        elif kind == "audio":
            sounds += _read(table, rows, names[0], _seconds_and_rate)
        elif kind == "tabular":
            numeric[name], categories[name] = _columns(table, rows, names)
    return Preview(
        training=_training(table, rows, columns, training_share),
        kinds=kinds,
        captions=captions,
        sides=[side for side, _ in images],
        grey=bool(images) and all(mode in GREY for _, mode in images),
        seconds=[seconds for seconds, _ in sounds],
        rates=[rate for _, rate in sounds],
        classes=_classes(rows, columns.get("label"), label_kind),
        numeric=numeric,
        categories=categories,
        of_label=[name for name in kinds if columns[name] == columns.get("label")],
    )


GREY = {"1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L"}
"""Pillow's modes of images without colour."""


def _training(
    table: ManifestTable, rows: Rows, columns: Mapping[str, Sequence[str]], share: float
) -> int:
    """Samples: rows of one id are one. Those of the training split where that is given, else its
    share of all.
    """
    ids = rows.names(columns["id"][0]) if "id" in columns else pa.array(np.arange(len(table)))
    if "split" in columns:
        names = pc.utf8_lower(rows.names(columns["split"][0]))
        ids = ids.filter(pc.starts_with(names, SPLITS[0]).fill_null(False))
        return len(pc.unique(ids))
    if (table.split >= 0).all():
        return len(pc.unique(ids.filter(pa.array(table.split == 0))))
    return round(share * len(pc.unique(ids)))


def _spread(count: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(int))


def _captions(rows: Rows, names: Sequence[str]) -> list[str]:
    texts = pc.drop_null(rows.captions(names, 10**9)[0])
    return texts.take(pa.array(_spread(len(texts), CAPTIONS))).to_pylist() if len(texts) else []


def _read(
    table: ManifestTable, rows: Rows, name: str, look: Callable[[Path | bytes], Any]
) -> list[Any]:
    """What `look` says of some files of a column.

    Raises:
        DataError: none of them is there, as where two columns were mistaken for each other.
    """
    cells = rows.files(name)
    there = np.flatnonzero(cells.there())
    chosen = there[_spread(len(there), FILES)].tolist() if len(there) else []
    result = []
    absent: list[Path] = []
    for row in chosen:
        source, _ = cells.source(row)
        if not isinstance(source, bytes):
            source = table.places.folders[int(table.places.part_of(np.array(row)))] / source
            if not os.path.exists(source):  # noqa: PTH110  (that of Path fails at a caption, too long for a name)
                absent.append(source)
                continue
        try:
            result.append(look(source))
        except (OSError, ValueError, RuntimeError, SyntaxError, PolymodalError, BadSampleError):
            continue
    if chosen and len(absent) == len(chosen):
        raise DataError(
            f"Column {name}: none of the {len(absent)} files looked at is there. The first: "
            f"{absent[0]}."
        )
    return result


def _size_and_mode(source: Path | bytes) -> tuple[int, str]:
    with Image.open(opened(source)) as image:
        return min(image.size), image.mode


def _seconds_and_rate(source: Path | bytes) -> tuple[float, int]:
    about = soundfile.info(opened(source))
    return about.frames / about.samplerate, about.samplerate


def _columns(
    table: ManifestTable, rows: Rows, names: Sequence[str]
) -> tuple[list[str], dict[str, int]]:
    """Names of the columns that hold numbers; and the others, each with how many values it has."""
    numeric: list[str] = []
    categories: dict[str, int] = {}
    for name in names:
        try:
            bad = as_numbers(table.column(name))[1]
        except DataError:
            bad = np.arange(len(table))
        if len(bad) <= len(table) // 100:  # a number that was mistyped is no category
            numeric.append(name)
        else:
            categories[name] = max(1, len(pc.unique(pc.drop_null(rows.names(name)))))
    return numeric, categories


def _classes(rows: Rows, names: Sequence[str] | None, label_kind: str) -> int | None:
    if not names:
        return None
    if label_kind == "value":
        return len(names)
    if label_kind == "tags":
        return len(pc.unique(pc.drop_null(rows.tags(names[0])[0])))
    return len(pc.unique(pc.drop_null(rows.names(names[0]))))


def is_small(preview: Preview, limit: int) -> bool:
    """Whether there are few training samples."""
    return preview.training is not None and preview.training <= limit
