"""Samples that come one after the other and are not counted: shards, and streams of a hub."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader

from polymodal.batch import PairedBatch
from polymodal.data.file_data import FileData
from polymodal.data.loading.columns import FILE_KINDS
from polymodal.data.loading.facts import SplitFacts
from polymodal.data.loading.splits import SPLITS, check_names, check_shares
from polymodal.data.loading.values import name_of
from polymodal.data.media.formats import read_vector
from polymodal.data.stream.batches import EvaluationStream, Stream, TrainingStream
from polymodal.data.stream.complete import CompleteStream
from polymodal.data.stream.loader import StreamLoader
from polymodal.data.stream.preview import ENOUGH, StreamPreview, previews_of
from polymodal.data.stream.reader import TURNS, RecordReader, as_class, as_value
from polymodal.data.stream.records import Record, Source, place_of
from polymodal.data.stream.skips import (
    ReadCounter,
    StreamSkips,
    counts_of,
    counts_to_go_on,
    over_processes,
)
from polymodal.data.stream.splits import splits_of
from polymodal.data.table.labels import learned_names, unique_names
from polymodal.errors import ConfigError
from polymodal.types import (
    Fraction,
    PositiveFloat,
    PositiveInt,
)


class StreamData(FileData):
    """Base of streamed sources. A subclass says where the shards are (`shards`).

    A field is named as it stands in the samples; `a;b` is the first of the two that is there, and
    `json.caption` a key within a field. By kind of modality it holds:

    - `image`, `video`, `audio`, `vector`: the bytes of a file, as those that a manifest names.
    - `text`: a caption, or a list of them (several fields too).

    A field that is not there, or an empty text, is a missing modality. In training each batch takes
    one of a sample's captions, in evaluation all are used.

    Args:
        path: of the shards; or {train: ..., val: ..., test: ...}.
        columns: modality -> field, or several; further keys: `label`; `group`, without which each
            sample is its own; and `split_by`.
        options: further arguments of what opens them, such as fsspec's for a kind of storage.
        label_kind: the label is a class or a value.
        class_names: of the label; None where it is the number of the class.
        splits: shares of train, validation and test where `path` does not name them; samples of one
            `split_by` fall into one of them by a fixed hash; else those of one group; else those of
            one key.
        tokenizer_samples: training samples whose captions a tokenizer is learned from, the first
            ones.
        timeout: seconds in which the first samples must come and have what `columns` names.
        shuffle_buffer: training samples that each loading process keeps and mixes.
        epoch_samples: training samples of an epoch; None until the shards end, which one process
            alone may do.
        further: further arguments of `FileData`; `limit` keeps the first samples.

    Raises:
        ConfigError: settings that cannot be.
        DataError: a shard or a sample that cannot be used, or a field that no sample has.
    """

    def __init__(
        self,
        path: str | Sequence[str] | Mapping[str, Any],
        columns: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        label_kind: Literal["class", "value"] = "class",
        class_names: Sequence[str] | None = None,
        splits: Sequence[Fraction] = (0.8, 0.1, 0.1),
        tokenizer_samples: PositiveInt = 10_000,
        timeout: PositiveFloat = 60.0,
        shuffle_buffer: PositiveInt = 2000,
        epoch_samples: PositiveInt | None = None,
        **further: Any,
    ) -> None:
        super().__init__(columns, image_cache=None, image_cache_gb=0.0, **further)
        if isinstance(path, Mapping):
            check_names(path)
        check_shares(splits)
        if epoch_samples is not None and epoch_samples < self.batch_size:
            raise ConfigError(
                f"data.epoch_samples={epoch_samples} is less than "
                f"data.batch_size={self.batch_size}."
            )
        roles = [role for role in ("split", "id") if role in self.columns]
        for key in (*self.columns.of_kind("tabular"), *roles):
            raise ConfigError(
                f"data.columns.{key}: a stream cannot have it. scripts/shards/make.py makes a "
                "manifest."
            )
        self.path, self.options, self.shares = path, dict(options or {}), list(splits)
        self.label_kind, self.timeout = label_kind, timeout
        self.tokenizer_samples = tokenizer_samples
        self.shuffle_buffer, self.epoch_samples = shuffle_buffer, epoch_samples
        self.skips = {name: StreamSkips(self.max_bad_fraction) for name in SPLITS}
        self.learned: dict[str, list[str]] = {}
        if "label" in self.columns and class_names:
            self.class_names = {"label": unique_names(class_names)}

    @abstractmethod
    def shards(self) -> tuple[Source, Mapping[int, Sequence[int]]]:
        """The source, and number of the split -> its shards; -1: those that a hash deals out to the
        splits without any.

        Raises:
            DataError: they are not there.
        """

    def fields(self) -> set[str]:
        """All that the columns name, with the fields around keys."""
        names = [
            name
            for key in self.columns.columns
            for field in self.columns[key]
            for name in field.split(";")
        ]
        return {part for name in names for part in (name, name.split(".")[0])}

    def setup(self, stage: str | None = None) -> None:
        """Looks at the first samples of each split that is needed, and learns the tokenizer; so on
        every process.
        """
        if hasattr(self, "test_set"):
            return
        self.source, shards = self.shards()
        self.reader = self._reader()
        chosen = splits_of(self.source, shards, self.shares, self.reader, self.wanted, self.limit)
        learns = bool(self.columns.of_kind("text")) and self.tokenizer is None
        captions = self.tokenizer_samples if learns and not self.pretrained_tokenizer else 0
        looked_at = max(captions, ENOUGH * (self.label_kind == "value"))
        self.previews = previews_of(chosen, self.reader, self.wanted, looked_at, self.timeout)
        self._learn(next(iter(self.previews.values())), learns)
        common = [
            (split, self.reader, ReadCounter(self.on_error), self.batch_size) for split in chosen
        ]
        training = TrainingStream(*common[0], self.seed, self.shuffle_buffer, self.epoch_samples)
        training.head, self.train_set = self.previews.get("train"), training  # type: ignore[assignment]
        self.val_set, self.test_set = (EvaluationStream(*own) for own in common[1:])  # type: ignore[assignment]

    def _reader(self) -> RecordReader:
        files = {
            name: self.media.reader(self.columns.kinds[name])
            for name in self.columns.of_kind(*FILE_KINDS)
        }
        readers, blanks = ({name: pair[index] for name, pair in files.items()} for index in (0, 1))
        names = [name_of(name) for name in self.class_names.get("label", [])]
        as_label = partial(as_class, names=names) if self.label_kind == "class" else as_value
        label = as_label if "label" in self.columns else None
        return RecordReader(self.columns, readers, blanks, label, self.max_caption)  # type: ignore[arg-type]

    def _learn(self, head: StreamPreview, learns: bool) -> None:
        """Widths of vectors from the first of them, and the tokenizer."""
        for name in self.columns.of_kind("vector"):
            self.reader.readers[name] = partial(read_vector, width=head.widths[name])
            self.reader.blanks[name] = np.zeros(head.widths[name], dtype=np.float32)
        if learns:
            self.tokenizer = self.new_tokenizer(head.captions)
        self.reader.tokenizer = self.tokenizer

    def _loader(self, split: str, dataset: Any, shuffle: bool = False) -> DataLoader[PairedBatch]:
        stream: Stream = dataset
        trainer = self.trainer
        stream.rank, stream.world_size = (
            (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        )
        # tokenizers would say on each fork that their threads do not survive it
        if self.num_workers:
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        if not isinstance(stream, TrainingStream):
            return StreamLoader(stream, self.num_workers)
        if stream.world_size > self.batch_size:
            raise ConfigError(
                f"data.batch_size={self.batch_size} cannot be shared by {stream.world_size} "
                "processes."
            )
        if stream.world_size > 1 and self.epoch_samples is None:
            raise ConfigError(
                f"{stream.world_size} processes need equally many steps, and how many samples "
                "there are is not known: give data.epoch_samples=<samples of an epoch>."
            )
        return StreamLoader(stream, self.num_workers, *self._start())

    def facts(self, split: str) -> SplitFacts | None:
        """Of the first samples of a split, where they were looked at."""
        return self.previews[split].facts if split in self.previews else None

    def counted(self, ids: np.ndarray) -> tuple[int, None]:
        """See `PairedDataModule`; how many there are in all is not known."""
        return len(np.unique(ids // TURNS)), None

    def remaining(self, split: str, modalities: Sequence[str], done: np.ndarray) -> CompleteStream:
        """See `PairedDataModule`."""
        stream: Stream = getattr(self, f"{split}_set")
        return CompleteStream(
            done,
            split=stream.split,
            reader=self.reader,
            reading=stream.reading,
            batch_size=self.batch_size,
        )

    def division(self) -> dict[str, int | None]:
        """Those of the order too, and how many processes share the samples."""
        return super().division() | {
            "data.num_workers": self.num_workers,
            "data.shuffle_buffer": self.shuffle_buffer,
            "data.epoch_samples": self.epoch_samples,
            "number of processes": self.trainer.world_size if self.trainer else 1,
        }

    def state_dict(self) -> dict[str, Any]:
        """The tokenizer, the names of the classes, and what was left out before the batch with
        which a run resumes.
        """
        read = {} if self.trainer is None else counts_to_go_on(self.skips, self.trainer)
        return super().state_dict() | {"learned": dict(self.class_names), "read": read}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them from a checkpoint; where these data name their classes, a name means what it
        did in training.
        """
        super().load_state_dict(state_dict)
        self.learned = state_dict.get("learned", {})
        if "label" in self.columns:
            self.class_names |= learned_names(self.class_names, self.learned)
        # a run resumes
        if self.position != (0, 0) and self.trainer is not None and self.trainer.is_global_zero:
            for name, counts in state_dict.get("read", {}).items():
                self.skips[name].total = counts

    def describe(self, modality: str, item: int) -> Any:
        """An image (S, S) or (S, S, 3), a caption, or None of another file; the sample is read
        again.
        """
        return (
            self.content(modality, item)
            if self.columns.kinds[modality] in ("image", "text")
            else None
        )

    def content(self, modality: str, item: int) -> Any:
        """As `describe`, and the waveform of a sound."""
        number, turn = divmod(item, TURNS)
        value = self.reader.read(self._found(number)).values[modality]
        kind = self.columns.kinds[modality]
        if kind == "text":
            return value[turn]
        if kind == "image":
            return value[0] if len(value) == 1 else value.transpose(1, 2, 0)
        return value if kind == "audio" else None

    @lru_cache(maxsize=256)  # noqa: B019  (a gallery asks for the parts of a sample one by one; the data live as long)
    def _found(self, number: int) -> Record:
        shard, position = place_of(number)
        entries = self.source.entries(shard)
        return next(islice(entries, position, None)).record

    def on_after_batch_transfer(self, batch: PairedBatch, dataloader_idx: int) -> PairedBatch:
        """See `FileData`; counts what was read."""
        if batch.read is not None:
            self.skips[batch.read.split].use(batch.read)
        return super().on_after_batch_transfer(batch, dataloader_idx)

    def skipped(self) -> Mapping[str, int]:
        """Reason -> how often a sample was left out, each time that it came; warns of new ones."""
        totals = {name: over_processes(skips.total) for name, skips in self.skips.items()}
        self._warn_of_skips(totals)
        return counts_of(sum(totals.values()).tolist())  # type: ignore[union-attr]

    def teardown(self, stage: str) -> None:
        """Tells what was left out, if that is new; of this process alone, since the others may be
        gone.
        """
        self._warn_of_skips({name: skips.total for name, skips in self.skips.items()})

    def _warn_of_skips(self, totals: Mapping[str, torch.Tensor]) -> None:
        if self.trainer is None or self.trainer.is_global_zero:
            for name, total in totals.items():
                self.skips[name].warn(name, total)
