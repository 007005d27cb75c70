"""What all sources share whose samples are the rows of a table: of a manifest, of the hub, of class
folders.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from torch import Tensor

from polymodal.data.auto.preview import Preview, preview_of_table
from polymodal.data.file_data import FileData
from polymodal.data.loading.facts import SplitFacts
from polymodal.data.loading.splits import check_filled
from polymodal.data.table.contents import Captions, as_typed, unknown_words
from polymodal.data.table.files import ManifestTable
from polymodal.data.table.format import ManifestFormat
from polymodal.data.table.given_values import row_of
from polymodal.data.table.reader import Learned, ManifestReader
from polymodal.data.table.samples import CompleteSampleSet, SampleSet
from polymodal.types import (
    Fraction,
    NonNegativeInt,
    PositiveInt,
)

log = logging.getLogger(__name__)


class TableData(FileData):
    """The rows of a table. A source says where that comes from (`read_table`).

    By kind of modality, a cell is:

    - `image`: an image -> uint8 (C, S, S) up to the device, there normalised and augmented.
    - `text`: a caption, or a list of them (several columns too) -> token ids (T,).
    - `video`: a file, or a folder of frames in the order of their names -> uint8 (T, C, S, S),
      treated as images are.
    - `audio`: a WAV, FLAC, OGG or MP3 file -> a waveform (samples,).
    - `vector`: an .npy file -> (D,) float32.
    - `tabular`: first `numeric` columns of numbers, standardised over the training split, then one
      column a category.

    A file is a path, its bytes (a binary cell), or a record of `bytes` and `path`. An empty cell
    means that the modality is absent. Rows of one id are one sample with several captions: in
    training each batch takes one of them, in evaluation all are used. Samples of one group are
    positives of each other; without a group column it is the id, else the first file, else every
    row is its own, and those of pairs whose captions are all the same are one. What a column, the
    id or the file makes a group is in one split, unless `split_by` names a column: then rows whose
    cells in it are equal are. Paths that lead to one file are equal, however they are written.

    Args:
        columns: modality -> column, or several; further keys: `label`, `group`, `split` (train,
            val, test), `split_by` and `id`.
        label_kind: the label is a class, a value (or several columns of them), or tags, in a list
            or separated by "|".
        splits: shares of train, validation and test; a group falls by a fixed hash of its name.
        templates: such as "a picture of a {}.": each caption is put into each of them.
        eval_captions: so many captions of a sample at most are used in evaluation; None for all.
        numeric: number of numeric columns of a table.
        cardinalities: number of categories of each further column.
        options: further arguments of `FileData`.

    Raises:
        ConfigError: settings that cannot be, or a column that is not there.
        DataError: a file or a row that cannot be used, or an empty split.
    """

    def __init__(
        self,
        columns: Mapping[str, Any],
        label_kind: Literal["class", "value", "tags"] = "class",
        splits: Sequence[Fraction] = (0.8, 0.1, 0.1),
        templates: Sequence[str] = (),
        eval_captions: PositiveInt | None = None,
        numeric: NonNegativeInt = 0,
        cardinalities: Sequence[PositiveInt] = (),
        **options: Any,
    ) -> None:
        super().__init__(columns, **options)
        self.format = ManifestFormat(
            self.columns,
            self.media,
            label_kind,
            splits,
            templates,
            eval_captions,
            numeric,
            cardinalities,
            self.max_caption,
            self.on_error,
            self.max_bad_fraction,
        )
        self.templates = templates
        self.codes = dict.fromkeys(self.columns.of_kind("tabular"), len(cardinalities))
        self.learned: Learned = {}
        self.left_out: dict[str, Tensor] = {}
        self.reported = 0

    @abstractmethod
    def read_table(self) -> ManifestTable:
        """The columns `self.columns.wanted()`.

        Raises:
            ConfigError: a column is not there.
            DataError: the source cannot be read.
        """

    @abstractmethod
    def column_names(self) -> list[str]:
        """All columns that the source has, before anything else is read of it; a DataError where it
        cannot be read.
        """

    @abstractmethod
    def whole_table(self) -> pa.Table:
        """All columns of all rows of `read_table`, as they are in the source."""

    def preview(self) -> Preview:
        """What settings can follow that are `auto`: read from the rows, before anything is made of
        them.
        """
        columns = {key: self.columns[key] for key in self.columns.columns}
        return preview_of_table(
            self.read_table(), columns, self.kinds, self.format.label_kind, self.format.splits[0]
        )

    def setup(self, stage: str | None = None) -> None:
        """Reads and checks the table, and cuts captions into tokens; the same on every process."""
        if hasattr(self, "test_set"):
            return
        reader = ManifestReader(self.read_table(), self.format, self.learned)
        self.samples = reader.samples
        self.learned = reader.learned
        split = reader.split
        captions = reader.captions
        if self.trainer is None or self.trainer.is_global_zero:
            for note in reader.notes:
                log.warning(note)
        del reader
        pa.default_memory_pool().release_unused()  # the table itself is as large as all that stays
        if self.position != (0, 0):  # a resumed run does not come to the same rows again
            self.samples.skips.load_state_dict(self.left_out)
        if "label" in self.learned:
            self.class_names = {"label": self.learned["label"]}
        if captions and self.tokenizer is None:
            training = [texts.of_samples(split == 0) for texts in captions]
            self.tokenizer = self.new_tokenizer(
                text.as_py() for texts in training for text in texts
            )
        for texts in captions:
            assert self.tokenizer is not None
            texts.tokenize(self.tokenizer)
        self._warn_of_unknown_words(captions)
        self.train_set, self.val_set, self.test_set = (
            SampleSet(self.samples, np.flatnonzero(split == part), training=part == 0)
            for part in range(3)
        )
        wanted = [name for name in self.wanted if stage != "test" or name == "test"]
        check_filled(
            split, wanted, self.samples.skips.summary() if self.samples.skips.counts() else ""
        )
        # what was needed for it goes back before loading processes start
        pa.default_memory_pool().release_unused()

    def _warn_of_unknown_words(self, captions: Sequence[Captions]) -> None:
        warning = (
            None if self.tokenizer is None else unknown_words(captions, self.tokenizer.unknown_id)
        )
        if warning and (self.trainer is None or self.trainer.is_global_zero):
            log.warning(warning)

    def read(self, modality: str, given: str | Mapping[str, str]) -> np.ndarray:
        """See `PairedDataModule`; of a table the values of its columns, as they stand in a row."""
        if isinstance(given, str):
            return super().read(modality, given)
        row, problem = row_of(
            given, self.columns[modality], self.format.numeric, self.learned[modality]
        )
        if problem:
            log.warning(problem)
        return row

    def describe(self, modality: str, item: int) -> Any:
        """An image (S, S) or (S, S, 3), a caption, the numbers of a table, or the path of another
        file.
        """
        return self.samples.contents[modality].show(item)

    def content(self, modality: str, item: int) -> Any:
        """See `PairedDataModule`; values are in the units of the table, None where they are
        missing.
        """
        kind, content = self.kinds[modality], self.samples.contents[modality]
        if kind == "audio":
            return content.read(item)
        if kind != "tabular":
            return content.show(item)
        values = as_typed(content.read(item), self.format.numeric, self.learned[modality])
        return dict(zip(self.columns[modality], values, strict=True))

    def complete(self, split: str, modalities: Sequence[str]) -> CompleteSampleSet:
        """See `PairedDataModule`."""
        chosen: SampleSet = getattr(self, f"{split}_set")
        return chosen.complete(modalities)

    def facts(self, split: str) -> SplitFacts:
        """Of all samples of a split, before files are read."""
        chosen, trained = (getattr(self, f"{name}_set").chosen for name in (split, "train"))
        return self.samples.facts(np.unique(chosen), trained)

    def counted(self, ids: np.ndarray) -> tuple[int, int]:
        """See `PairedDataModule`; a sample with several captions is one, and those that cannot be
        read count too.
        """
        sample = np.searchsorted(self.samples.first_id, ids, "right")
        return len(np.unique(sample)), len(self.samples.row) + len(self.unread())

    def unread(self) -> Mapping[str, str]:
        """Rows whose cells cannot be used."""
        skips, rows = self.samples.skips, set(self.samples.row.tolist())
        return {
            skips.place(row): problem for row, problem in skips.problems.items() if row not in rows
        }

    def words(self, modality: str, items: np.ndarray) -> Sequence[str | None]:
        """Captions, or paths."""
        return self.samples.contents[modality].words(items)

    def skipped(self) -> Mapping[str, int]:
        """Reason -> number of rows; warns of new ones."""
        self.samples.skips.sum_over_processes()
        self._warn_of_skips()
        return self.samples.skips.counts()

    def teardown(self, stage: str) -> None:
        """Tells which rows were left out, if there are new ones."""
        if hasattr(self, "samples"):
            self._warn_of_skips()

    def _warn_of_skips(self) -> None:
        count = sum(self.samples.skips.counts().values())
        if count > self.reported and (self.trainer is None or self.trainer.is_global_zero):
            log.warning(self.samples.skips.summary())
            self.reported = count

    def state_dict(self) -> dict[str, Any]:
        """The tokenizer, what was learned from the training split (classes, means ...), and the
        rows left out.
        """
        return super().state_dict() | {
            "learned": self.learned,
            "skips": self.samples.skips.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them from a checkpoint, so that codes mean what they meant in training."""
        super().load_state_dict(state_dict)
        self.learned = state_dict.get("learned", {})
        if "label" in self.learned:
            self.class_names = {"label": self.learned["label"]}
        self.left_out = state_dict.get("skips", {})
