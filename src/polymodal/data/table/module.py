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

from polymodal.batch import PairedBatch
from polymodal.data.auto.preview import Preview, preview_of_table
from polymodal.data.datamodule import PairedDataModule
from polymodal.data.loading.columns import ColumnChoice
from polymodal.data.loading.facts import SplitFacts
from polymodal.data.loading.splits import check_filled
from polymodal.data.loading.transform import BatchTransform
from polymodal.data.media.formats import MediaFormat
from polymodal.data.table.contents import Captions, as_typed, unknown_words
from polymodal.data.table.files import ManifestTable
from polymodal.data.table.given_values import row_of
from polymodal.data.table.reader import Learned, ManifestFormat, ManifestReader
from polymodal.data.table.samples import CompleteSampleSet, SampleSet
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.types import (
    Finite,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Probability,
    Scale,
    Seed,
    VocabularySize,
    Workers,
)

log = logging.getLogger(__name__)


class TableData(PairedDataModule):
    """The rows of a table. A source says where that comes from (`read_table`).

    By kind of modality, a cell is:

    - `image`: a picture -> uint8 (C, S, S) up to the device, there normalised and augmented.
    - `text`: a caption, or a list of them (several columns too) -> token ids (T,).
    - `video`: a file, or a folder of frames in the order of their names -> uint8 (T, C, S, S),
      treated as pictures are.
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
        kinds: modality -> image, text, audio, video, vector or tabular, where that is not its name.
        label_kind: the label is a class, a value (or several columns of them), or tags, in a list
            or separated by "|".
        splits: shares of train, validation and test; a group falls by a fixed hash of its name.
        templates: such as "a picture of a {}.": each caption is put into each of them.
        eval_captions: so many captions of a sample at most are used in evaluation; None for all.
        image_size: S, side of the middle square of pictures and frames in pixels.
        channels: C, 3 for RGB or 1 for grey.
        image_max: the value that is white in images of more than 8 bits; None where their type
            tells.
        mean: of the pixels in [0, 1], one or C numbers, which are taken off.
        std: of the pixels, one or C numbers.
        shift: random shift in training, as a share of the side.
        scale: random zoom in training.
        flip: how often a picture is mirrored in training.
        image_cache: folder where decoded pictures are kept; None for nowhere.
        image_cache_gb: so much of them at most.
        frames: T of a video, spread evenly over it.
        sample_rate: of waveforms, in Hz.
        max_seconds: longer sounds are cut.
        numeric: number of numeric columns of a table.
        cardinalities: number of categories of each further column.
        tokenizer: name or folder of a transformers model whose tokenizer is taken; None to learn
            one from the training captions.
        vocab_size: tokens at most of the one that learns.
        context_length: tokens a caption at most.
        token_dropout: how often a token is lost in training.
        max_caption: characters; a longer caption is an error.
        on_error: `raise` at a row that cannot be used, or `skip` it.
        max_bad_fraction: the largest share of rows that may be skipped.
        batch_size: samples of a training step, over all processes.
        num_workers: loading processes.
        seed: of the order of the samples.
        limit: keep only so many samples of each split, spread evenly over it.

    Raises:
        ConfigError: settings that cannot be, or a column that is not there.
        DataError: a file or a row that cannot be used, or an empty split.
    """

    def __init__(
        self,
        columns: Mapping[str, Any],
        kinds: Mapping[str, str] | None = None,
        label_kind: Literal["class", "value", "tags"] = "class",
        splits: Sequence[Fraction] = (0.8, 0.1, 0.1),
        templates: Sequence[str] = (),
        eval_captions: PositiveInt | None = None,
        image_size: PositiveInt = 224,
        channels: Literal[1, 3] = 3,
        image_max: PositiveFloat | None = None,
        mean: Sequence[Finite] = (0.5,),
        std: Sequence[Scale] = (0.25,),
        shift: Fraction = 0.0,
        scale: Probability = 0.0,
        flip: Fraction = 0.0,
        image_cache: str | None = None,
        image_cache_gb: NonNegativeFloat = 10.0,
        frames: PositiveInt = 8,
        sample_rate: PositiveInt = 16000,
        max_seconds: PositiveFloat = 30.0,
        numeric: NonNegativeInt = 0,
        cardinalities: Sequence[PositiveInt] = (),
        tokenizer: str | None = None,
        vocab_size: VocabularySize = 8000,
        context_length: PositiveInt = 64,
        token_dropout: Probability = 0.0,
        max_caption: PositiveInt = 20_000,
        on_error: Literal["raise", "skip"] = "raise",
        max_bad_fraction: Fraction = 0.01,
        batch_size: PositiveInt = 128,
        num_workers: Workers = 0,
        seed: Seed = 0,
        limit: PositiveInt | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed, context_length, limit)
        self.columns = ColumnChoice(columns, kinds or {})
        shape = (channels, image_size, image_size)
        sounds = (sample_rate, max_seconds)
        self.media = media = MediaFormat(
            shape, image_cache, image_cache_gb, *sounds, frames, image_max
        )
        table = (numeric, cardinalities, max_caption, on_error, max_bad_fraction)
        self.format = ManifestFormat(
            self.columns, media, label_kind, splits, templates, eval_captions, *table
        )
        self.transform = BatchTransform(
            self.columns, channels, mean, std, shift, scale, flip, token_dropout
        )
        self.pretrained_tokenizer, self.vocab_size = tokenizer, vocab_size
        self.templates = templates
        self.modalities, self.kinds = list(self.columns.kinds), self.columns.kinds
        self.codes = dict.fromkeys(self.columns.of_kind("tabular"), len(cardinalities))
        self.varying = self.transform.varying
        self.learned: Learned = {}
        self.left_out: dict[str, Tensor] = {}
        self.told = 0

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
        self.samples, self.learned, split, captions = (
            reader.samples,
            reader.learned,
            reader.split,
            reader.captions,
        )
        if self.trainer is None or self.trainer.is_global_zero:
            for note in reader.notes:
                log.warning(note)
        del reader
        pa.default_memory_pool().release_unused()  # the table itself is as large as all that stays
        if self.position != (0, 0):  # a run that goes on: it does not come to the same rows again
            self.samples.skips.load_state_dict(self.left_out)
        if "label" in self.learned:
            self.class_names = {"label": self.learned["label"]}
        if captions and self.tokenizer is None:
            self.tokenizer = self._fitted([texts.of_samples(split == 0) for texts in captions])
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

    def _fitted(self, training: Sequence[pa.Array]) -> Tokenizer:
        if self.pretrained_tokenizer:
            return Tokenizer.pretrained(self.pretrained_tokenizer, self.context_length)
        sentences = (text.as_py() for texts in training for text in texts)
        return Tokenizer.train(sentences, self.vocab_size, self.context_length)

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
        """A picture (S, S) or (S, S, 3), a caption, the numbers of a table, or the path of another
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

    def format_of(self, kind: str) -> dict[str, Any]:
        """Of files what reading them needs, of pictures their normalisation too."""
        return (
            super().format_of(kind)
            | self.format.media.described(kind)
            | self.transform.described(kind)
        )

    def on_after_batch_transfer(self, batch: PairedBatch, dataloader_idx: int) -> PairedBatch:
        """What a model takes, see `BatchTransform`."""
        return self.transform(batch, self.training_salt(), self.tokenizer)

    def every(self, split: str, modalities: Sequence[str]) -> CompleteSampleSet:
        """See `PairedDataModule`."""
        chosen: SampleSet = getattr(self, f"{split}_set")
        return chosen.every(modalities)

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
        """Reason -> number of rows; tells of new ones."""
        self.samples.skips.share()
        self._tell()
        return self.samples.skips.counts()

    def teardown(self, stage: str) -> None:
        """Tells which rows were left out, if there are new ones."""
        if hasattr(self, "samples"):
            self._tell()

    def _tell(self) -> None:
        count = sum(self.samples.skips.counts().values())
        if count > self.told and (self.trainer is None or self.trainer.is_global_zero):
            log.warning(self.samples.skips.summary())
            self.told = count

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
