"""Data sets of the Hugging Face hub, or local ones in its formats, read as they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import fsspec

from polymodal.addresses import is_plain, shown
from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.loading.splits import split_parts
from polymodal.data.stream.module import StreamData
from polymodal.data.stream.records import Entry, Record, Source, number_of
from polymodal.errors import ConfigError, DataError

MOST_SHARDS = 64
"""Pieces that a data set on disk is cut into."""


class HubShards:
    """Rows of streamed data sets, a shard of theirs at a time. Images and sounds stay the bytes
    of their files.

    Args:
        parts: name -> data set.
        fields: columns that are looked at.
    """

    def __init__(self, parts: Mapping[str, datasets.IterableDataset], fields: set[str]) -> None:
        self.fields = fields
        self.classes = {
            column: feature.names
            for part in parts.values()
            for column, feature in (part.features or {}).items()
            if isinstance(feature, datasets.ClassLabel)
        }
        self.shards = [
            (name, part, index) for name, part in parts.items() for index in range(part.num_shards)
        ]

    def name(self, shard: int) -> str:
        """The name of the split, and which shard of it."""
        name, _, index = self.shards[shard]
        return f"{name}, shard {index}"

    def entries(self, shard: int) -> Iterator[Entry]:
        """The rows of a shard.

        Raises:
            BadSampleError: it cannot be read on.
        """
        _, part, index = self.shards[shard]
        # not by plain iteration, which would shard the rows among loading processes once more
        rows = enumerate(part.shard(num_shards=part.num_shards, index=index).iter(batch_size=1))
        while True:
            try:
                position, columns = next(rows)
            except StopIteration:
                return
            except Exception as error:  # each format and each kind of storage has its own
                raise BadSampleError(
                    "damaged shard", f"it cannot be read on: {shown(str(error))}"
                ) from error
            name = f"{self.name(shard)}, row {position}"
            row = {column: values[0] for column, values in columns.items()}
            yield Entry(name, name, partial(self._record, row, number_of(shard, position), name))

    def _record(self, row: Mapping[str, Any], number: int, name: str) -> Record:
        return Record(
            number,
            name,
            name,
            {column: self._value(column, value) for column, value in row.items()},
        )

    def _value(self, column: str, value: Any) -> Any:
        if column in self.classes and isinstance(value, int):
            return self.classes[column][value] if value >= 0 else None
        if isinstance(value, Mapping) and {"bytes", "path"} == set(value):
            content, path = value["bytes"], value["path"]
            if content is not None or not path or column not in self.fields:
                return content
            return _content(path) if "://" in path else Path(path)
        return value


def _content(url: str) -> bytes:
    """The bytes of a file that is not on this machine.

    Raises:
        BadSampleError: it cannot be had.
    """
    name = shown(url)[:300]
    if not is_plain(url):  # a row is no command
        raise BadSampleError(
            "bad value", f"{name} is no plain URL, such as https://... or hf://..."
        )
    try:
        with fsspec.open(url, "rb") as stream:
            return stream.read()
    except FileNotFoundError as error:
        raise BadSampleError("missing file", f"there is no file {name}.") from error
    except (OSError, ValueError) as error:
        raise BadSampleError(
            "damaged file", f"{name} cannot be read: {shown(str(error))}"
        ) from error


class HuggingFaceStream(StreamData):
    """A data set that is streamed: of the hub, a folder that `save_to_disk` made, or files of a
    known format.

        python src/train.py data=huggingface_stream data.path=<owner/name> data.columns.image=image
        \
            data.columns.text=caption data.epoch_samples=100000

    `path` is its name or folder, or a format such as `parquet` or `imagefolder`; `options` are
    further arguments of `datasets.load_dataset`: `name`, `revision`, `data_files`, `data_dir`. No
    code of a data set is run. Its own splits are taken, and no others; where validation or test is
    missing, it is made of the training split by a hash.
    """

    def shards(self) -> tuple[Source, Mapping[int, Sequence[int]]]:
        """The shards of its training, validation and test split, or of the only one that it has."""
        loaded = self._loaded()
        chosen = split_parts(list(loaded)) or ({-1: next(iter(loaded))} if len(loaded) == 1 else {})
        if not chosen:
            raise ConfigError(
                f"data.path={self.path} has the splits {', '.join(loaded)}, none of them for "
                "training: choose one with data.options.split=<name> or, of a folder that "
                "save_to_disk made, data.path=<folder>/<name>."
            )
        source = HubShards(
            {name: _undecoded(loaded[name]) for name in chosen.values()}, self.fields()
        )
        label = self.columns["label"][0] if "label" in self.columns else None
        if label in source.classes:
            self.class_names = {"label": self.learned.get("label") or source.classes[label]}
        names = [name for name, _, _ in source.shards]
        return source, {
            part: [n for n, of in enumerate(names) if of == name] for part, name in chosen.items()
        }

    def _loaded(self) -> Mapping[str, datasets.IterableDataset]:
        if not isinstance(self.path, str) or "trust_remote_code" in self.options:
            raise ConfigError(
                "data.path is a name or a folder here, and no code of a data set is trusted."
            )
        try:
            if (Path(self.path) / "state.json").is_file() or (
                Path(self.path) / "dataset_dict.json"
            ).is_file():
                whole = datasets.load_from_disk(self.path)
                whole = whole if isinstance(whole, Mapping) else {"train": whole}
                return {
                    n: part.to_iterable_dataset(min(MOST_SHARDS, max(1, len(part))))
                    for n, part in whole.items()
                }
            loaded = datasets.load_dataset(self.path, streaming=True, **self.options)
        except (OSError, ValueError, TypeError, datasets.exceptions.DatasetsError) as error:
            raise DataError(f"data.path={self.path}: {str(error).splitlines()[0]}") from error
        return loaded if isinstance(loaded, Mapping) else {"train": loaded}


def _undecoded(part: datasets.IterableDataset) -> datasets.IterableDataset:
    for column, feature in (part.features or {}).items():
        if isinstance(feature, datasets.Image | datasets.Audio):
            part = part.cast_column(column, type(feature)(decode=False))
    return part
