"""Data sets of the Hugging Face hub, or of local folders that the `datasets` library reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polymodal.data.loading.columns import FILE_KINDS
from polymodal.data.loading.splits import SPLITS, completed, split_parts
from polymodal.data.table.cells import bytes_and_paths
from polymodal.data.table.files import ManifestTable, check_columns, in_one_piece, joined
from polymodal.data.table.module import TableData
from polymodal.errors import ConfigError, DataError


class HuggingFace(TableData):
    """The rows of a data set, which stay in the library's mapped files; images and sounds in them
    are read by us.

        python src/train.py data=huggingface data.name=user/flowers data.columns.image=image
        data.columns.text=caption

    The data set's own train, validation and test are taken; where val or test is missing, it is
    made of train by a fixed hash. Labels that the data set names are known by their names. No code
    of a data set is ever run.

    Args:
        name: on the hub; or a folder: what `save_to_disk` wrote, or files such as images or
            Parquet; or a format, such as `parquet`, with `data_files`, or `imagefolder`, with
            `data_dir`.
        columns: modality -> column; see `TableData`, which takes all further arguments.
        config_name: of a data set that has several.
        revision: branch, tag or commit on the hub: a commit is the same for ever.
        split: the one that is divided by a hash; or {train: ..., val: ..., test: ...} in the
            library's own words, such as "train[:90%]"; None for what it has.
        data_dir: folder within the data set, or that the format reads.
        data_files: files within the data set, or that the format reads.

    Raises:
        ConfigError: settings that cannot be, or a column that is not there.
        DataError: there is no such data set, or a row that cannot be used, or an empty split.
    """

    def __init__(
        self,
        name: str,
        columns: Mapping[str, Any],
        config_name: str | None = None,
        revision: str | None = None,
        split: str | Mapping[str, str] | None = None,
        data_dir: str | None = None,
        data_files: str | Sequence[str] | Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(columns, **options)
        if isinstance(split, Mapping) and not {"train"} <= set(split) <= set(SPLITS):
            raise ConfigError(
                f"data.split has {', '.join(split)}: give train, and val and test where they are."
            )
        used = (
            [part.partition("[")[0] for part in split.values()]
            if isinstance(split, Mapping)
            else []
        )
        for part in split.values() if isinstance(split, Mapping) else ():
            if "[" not in part and used.count(part) > 1:
                raise ConfigError(
                    f"data.split: all of {part} and some of it too: give {part}[:90%] and "
                    f"{part}[90%:]."
                )
        self.origin, self.given = name, {"train": split} if isinstance(split, str) else split
        self.folder = Path(data_dir or name).absolute()
        self.source: dict[str, Any] = {
            "name": config_name,
            "revision": revision,
            "data_dir": data_dir,
            "data_files": data_files,
        }

    def read_table(self) -> ManifestTable:
        """The wanted columns of all splits, one after the other."""
        loaded = self._loaded()
        parts = self._parts(list(loaded))
        names = [f"{self.origin}, {part}" for part in parts.values()]
        wanted = self.columns.wanted()
        for name, part in zip(names, parts.values(), strict=True):
            check_columns(name, loaded[part].column_names, wanted)
        tables = [self._arrow(loaded[part], list(wanted)) for part in parts.values()]
        return joined(tables, names, [self.folder] * len(names), list(parts))

    def column_names(self) -> list[str]:
        """Columns that all splits have."""
        loaded = self._loaded()
        names = [loaded[part].column_names for part in self._parts(list(loaded)).values()]
        return [name for name in names[0] if all(name in others for others in names)]

    def whole_table(self) -> pa.Table:
        """See `TableData`; classes by their names."""
        loaded = self._loaded()
        parts = [loaded[part] for part in self._parts(list(loaded)).values()]
        tables = [self._arrow(part, list(part.column_names)) for part in parts]
        return pa.concat_tables(tables, promote_options="permissive")

    def _loaded(self) -> Mapping[str, Any]:
        """Name of a split -> its data set."""
        import datasets  # here, since it takes a second

        path = Path(self.origin)
        on_disk = (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()
        try:
            if on_disk:
                loaded = datasets.load_from_disk(self.origin)
            elif self.given is not None:  # slices too, which only the loader can cut
                names = list(self.given.values())
                return dict(
                    zip(
                        names,
                        datasets.load_dataset(self.origin, **self.source, split=names),
                        strict=True,
                    )
                )
            else:
                loaded = datasets.load_dataset(self.origin, **self.source)
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            cause = str(error.__cause__ or error).splitlines() or [type(error).__name__]
            raise DataError(f"data.name={self.origin}: {cause[0][:300]}") from error
        return loaded if isinstance(loaded, Mapping) else {"rows": loaded}

    def _parts(self, names: Sequence[str]) -> dict[int, str]:
        """Number of the split, or -1 where it is to be divided -> name in the data set."""
        if self.given is None:
            parts = split_parts(names) or ({-1: names[0]} if len(names) == 1 else {})
            if not parts:
                raise ConfigError(
                    f"data.split: say which of {', '.join(names)} is what: 'data.split={{train: "
                    "..., test: ...}'"
                )
            return parts
        if missing := set(self.given.values()) - set(names):
            raise ConfigError(
                f"data.split: {self.origin} has no split {min(missing)!r}. It has: "
                f"{', '.join(names)}."
            )
        return completed({SPLITS.index(split): name for split, name in self.given.items()})

    def _arrow(self, dataset: Any, wanted: list[str]) -> pa.Table:
        """Columns as they lie in the data set's files, with the names of classes, and paths below
        `folder`.
        """
        features = dataset.features
        table = dataset.select_columns(wanted).with_format("arrow")[:]
        files = {self.columns[name][0] for name in self.columns.of_kind(*FILE_KINDS)}
        for index, name in enumerate(table.column_names):
            column = _named(table[name], features[name])
            table = table.set_column(
                index, name, _relative(column, self.folder) if name in files else column
            )
        return table


def _named(column: pa.ChunkedArray, feature: Any) -> pa.Array | pa.ChunkedArray:
    """Numbers of classes, or lists of them, as their names; -1 is none."""
    names = getattr(feature, "names", None)
    if names is not None:
        number = in_one_piece(column).cast(pa.int32())
        known = pc.if_else(pc.greater_equal(number, 0), number, pa.scalar(None, pa.int32()))
        return pa.DictionaryArray.from_arrays(known, pa.array(names, pa.string()))
    inner = getattr(getattr(feature, "feature", None), "names", None)
    if inner is None:
        return column
    lists = in_one_piece(column)
    ends = np.cumsum([0, *pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)])
    words = pa.array(inner, pa.string()).take(lists.flatten())
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), words, mask=lists.is_null())


def _relative(column: pa.ChunkedArray, folder: Path) -> pa.ChunkedArray:
    """Paths alone, below the folder: what falls into which split must not depend on where that
    lies.
    """
    if column.type != pa.struct({"bytes": pa.binary(), "path": pa.string()}):
        return column
    content, paths = bytes_and_paths(column)
    return (
        column
        if content is not None
        else pc.replace_substring_regex(paths, f"^{re.escape(str(folder))}/", "")
    )
