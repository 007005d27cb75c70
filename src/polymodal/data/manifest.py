"""Your own data: a table that names files, captions, numbers and labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from polymodal.batch import PairedBatch
from polymodal.data.augment import flip, shift_and_scale
from polymodal.data.columns import ColumnChoice
from polymodal.data.datamodule import PairedDataModule
from polymodal.data.manifest_reader import Learned, ManifestFormat, ManifestReader
from polymodal.data.media import MediaFormat
from polymodal.data.samples import SampleSet
from polymodal.data.splits import SPLITS
from polymodal.data.tokenizer import Tokenizer
from polymodal.errors import ConfigError
from polymodal.types import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Probability

log = logging.getLogger(__name__)


class Manifest(PairedDataModule):
    """The rows of a CSV, TSV, JSON-lines or Parquet file.

        python src/train.py data=manifest data.path=pairs.csv data.columns.image=filepath data.columns.text=caption \
            callbacks=[default]

    By kind of modality, a cell is:

    - `image`: the path of a picture -> uint8 (C, S, S) up to the device, there normalised and augmented.
    - `text`: a caption, or a list of them (several columns too) -> token ids (T,).
    - `audio`: the path of a WAV, FLAC, OGG or MP3 file -> a waveform (samples,).
    - `vector`: the path of an .npy file -> (D,) float32.
    - `tabular`: first `numeric` columns of numbers, standardised over the training split, then one column a category.

    Relative paths start from the manifest's folder. An empty cell means that the modality is absent. Rows of one id are
    one sample with several captions: in training each batch takes one of them, in evaluation all are used. Samples of
    one group are positives of each other and in one split; without a group column it is the id, else the path of the
    first file, else every row is its own.

    Args:
        path: of the manifest; or {train: ..., val: ..., test: ...}, a file a split.
        columns: modality -> column, or several; further keys: `label`, `group`, `split` (train, val, test) and `id`.
        kinds: modality -> image, text, audio, vector or tabular, where that is not its name.
        label_kind: the label is a class, a value (or several columns of them), or tags, in a list or separated by "|".
        splits: shares of train, validation and test; a group falls by a fixed hash of its name.
        image_size: S, side of the middle square of the pictures in pixels.
        channels: C, 3 for RGB or 1 for grey.
        mean: of the pixels in [0, 1], one or C numbers, which are taken off.
        std: of the pixels, one or C numbers.
        shift: random shift in training, as a share of the side.
        scale: random zoom in training.
        flip: how often a picture is mirrored in training.
        image_cache: folder where decoded pictures are kept; None for nowhere.
        image_cache_gb: so much of them at most.
        sample_rate: of waveforms, in Hz.
        max_seconds: longer sounds are cut.
        numeric: number of numeric columns of a table.
        cardinalities: number of categories of each further column.
        tokenizer: name or folder of a transformers model whose tokenizer is taken; None to learn one from the training
            captions.
        vocab_size: tokens at most of the one that learns.
        context_length: tokens a caption at most.
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
        path: str | Mapping[str, str],
        columns: Mapping[str, Any],
        kinds: Mapping[str, str] | None = None,
        label_kind: Literal["class", "value", "tags"] = "class",
        splits: Sequence[Fraction] = (0.8, 0.1, 0.1),
        image_size: PositiveInt = 224,
        channels: Literal[1, 3] = 3,
        mean: Sequence[float] = (0.5,),
        std: Sequence[PositiveFloat] = (0.25,),
        shift: Fraction = 0.0,
        scale: Probability = 0.0,
        flip: Fraction = 0.0,
        image_cache: str | None = None,
        image_cache_gb: NonNegativeFloat = 10.0,
        sample_rate: PositiveInt = 16000,
        max_seconds: PositiveFloat = 30.0,
        numeric: NonNegativeInt = 0,
        cardinalities: Sequence[PositiveInt] = (),
        tokenizer: str | None = None,
        vocab_size: PositiveInt = 8000,
        context_length: PositiveInt = 64,
        max_caption: PositiveInt = 20_000,
        on_error: Literal["raise", "skip"] = "raise",
        max_bad_fraction: Fraction = 0.01,
        batch_size: PositiveInt = 128,
        num_workers: NonNegativeInt = 0,
        seed: NonNegativeInt = 0,
        limit: PositiveInt | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed, context_length, limit)
        if not isinstance(path, str) and set(path) != set(SPLITS):
            raise ConfigError(
                f"data.path has {', '.join(path)}: give one file, or one for each of {', '.join(SPLITS)}."
            )
        for name, numbers in (("mean", mean), ("std", std)):
            if len(numbers) not in (1, channels):
                raise ConfigError(f"data.{name}={list(numbers)}: give 1 number, or {channels} as data.channels says.")
        self.columns = ColumnChoice(columns, kinds or {})
        if "split" in self.columns and not isinstance(path, str):
            raise ConfigError("data.columns.split and a file a split exclude each other: leave one out.")
        shape = (channels, image_size, image_size)
        media = MediaFormat(shape, image_cache, image_cache_gb, sample_rate, max_seconds)
        dirt = (max_caption, on_error, max_bad_fraction)
        self.format = ManifestFormat(self.columns, media, label_kind, splits, numeric, cardinalities, *dirt)
        self.path = path
        self.mean, self.std, self.shift, self.scale, self.flip = mean, std, shift, scale, flip
        self.pretrained_tokenizer, self.vocab_size = tokenizer, vocab_size
        self.modalities = list(self.columns.kinds)
        self.varying = self.columns.of_kind("image") if shift or scale or flip else []
        self.learned: Learned = {}
        self.told = 0

    def setup(self, stage: str | None = None) -> None:
        """Reads and checks the manifest, and cuts captions into tokens; the same on every process."""
        if hasattr(self, "test_set"):
            return
        reader = ManifestReader(self.path, self.format, self.learned)
        self.samples, self.learned, split = reader.samples, reader.learned, reader.split
        if "label" in self.learned:
            self.class_names = {"label": self.learned["label"]}
        if reader.captions and self.tokenizer is None:
            self.tokenizer = self._fitted([captions.of_samples(split == 0) for captions in reader.captions])
        for captions in reader.captions:
            assert self.tokenizer is not None
            captions.tokenize(self.tokenizer)
        self.train_set, self.val_set, self.test_set = (
            SampleSet(self.samples, np.flatnonzero(split == part), training=part == 0) for part in range(3)
        )
        del reader
        pa.default_memory_pool().release_unused()  # what was needed to read goes back before loading processes start

    def _fitted(self, training: Sequence[pa.Array]) -> Tokenizer:
        if self.pretrained_tokenizer:
            return Tokenizer.pretrained(self.pretrained_tokenizer, self.context_length)
        sentences = (text.as_py() for texts in training for text in texts)
        return Tokenizer.train(sentences, self.vocab_size, self.context_length)

    def describe(self, modality: str, item: int) -> Any:
        """A picture (S, S) or (S, S, 3), a caption, the numbers of a table, or the path of another file."""
        return self.samples.contents[modality].show(item)

    def on_after_batch_transfer(self, batch: PairedBatch, dataloader_idx: int) -> PairedBatch:
        """uint8 pictures -> normalised floats, on the device; in training also moved, zoomed and mirrored."""
        for name in self.columns.of_kind("image"):
            images = batch.inputs[name].float()
            if self.trainer is not None and self.trainer.training:
                images = flip(shift_and_scale(images, self.shift, self.scale), self.flip)
            mean, std = (images.new_tensor(list(numbers)).view(-1, 1, 1) for numbers in (self.mean, self.std))
            batch.inputs[name] = images.mul_(1 / (255 * std)).sub_(mean / std)  # in place: fresh memory costs more
        return batch

    def teardown(self, stage: str) -> None:
        """Tells which rows were left out, if there are new ones."""
        if hasattr(self, "samples") and (count := sum(self.samples.skips.counts().values())) > self.told:
            log.warning(self.samples.skips.summary())
            self.told = count

    def state_dict(self) -> dict[str, Any]:
        """The tokenizer, and what was learned from the training split: classes, categories, mean and deviation."""
        return super().state_dict() | {"learned": self.learned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them from a checkpoint, so that codes mean what they meant in training."""
        super().load_state_dict(state_dict)
        self.learned = state_dict.get("learned", {})
