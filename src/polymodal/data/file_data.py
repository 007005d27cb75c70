"""What sources of files and texts share: how a cell of each kind is read, and what a model gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from polymodal.batch import PairedBatch
from polymodal.data.datamodule import PairedDataModule
from polymodal.data.loading.columns import ColumnChoice
from polymodal.data.loading.transform import BatchTransform
from polymodal.data.media.formats import MediaFormat
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.types import (
    Finite,
    Fraction,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Probability,
    Scale,
    Seed,
    VocabularySize,
    Workers,
)


class FileData(PairedDataModule):
    """Base of the sources that name files and hold texts: tables (`TableData`) and streams
    (`StreamData`).

    Args:
        columns: modality -> column, or several, and further keys that the source knows.
        kinds: modality -> image, video, text, audio, vector or tabular, where that is not its name.
        image_size: S, side of the middle square of images and frames in pixels.
        channels: C, 3 for RGB or 1 for grey.
        image_max: the value that is white in images of more than 8 bits; None: by their type.
        mean: of the pixels in [0, 1], one or C numbers, which are subtracted.
        std: of the pixels, one or C numbers.
        shift: random shift in training, as a share of the side.
        scale: random zoom in training.
        flip: how often an image is mirrored in training.
        image_cache: folder where decoded images are kept; None for nowhere.
        image_cache_gb: so much of them at most.
        frames: T of a video, spread evenly over it.
        sample_rate: of waveforms, in Hz.
        max_seconds: longer sounds are cut.
        tokenizer: name or folder of a transformers model whose tokenizer is used; None to learn one
            from the training captions.
        vocab_size: tokens at most of the one that is learned.
        context_length: tokens a caption at most.
        token_dropout: how often a token is dropped in training.
        max_caption: characters; a longer caption is an error.
        on_error: `raise` at a sample that cannot be used, or `skip` it.
        max_bad_fraction: the largest share of samples that may be skipped.
        batch_size: samples of a training step, over all processes.
        num_workers: loading processes.
        seed: of the order of the samples.
        limit: keep only so many samples of each split.

    Raises:
        ConfigError: settings that cannot be.
    """

    media: MediaFormat

    def __init__(
        self,
        columns: Mapping[str, Any],
        kinds: Mapping[str, str] | None = None,
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
        self.modalities, self.kinds = list(self.columns.kinds), self.columns.kinds
        self.media = MediaFormat(
            (channels, image_size, image_size),
            image_cache,
            image_cache_gb,
            sample_rate,
            max_seconds,
            frames,
            image_max,
        )
        self.transform = BatchTransform(
            self.columns, channels, mean, std, shift, scale, flip, token_dropout
        )
        self.varying = self.transform.varying
        self.pretrained_tokenizer, self.vocab_size = tokenizer, vocab_size
        self.max_caption, self.on_error = max_caption, on_error
        self.max_bad_fraction = max_bad_fraction

    def new_tokenizer(self, captions: Iterable[str]) -> Tokenizer:
        """The tokenizer of a model if one is named, else one that is learned from captions.

        Raises:
            DataError: there is no such tokenizer.
        """
        if self.pretrained_tokenizer:
            return Tokenizer.pretrained(self.pretrained_tokenizer, self.context_length)
        return Tokenizer.train(captions, self.vocab_size, self.context_length)

    def format_of(self, kind: str) -> dict[str, Any]:
        """Of files what reading them needs, of images their normalisation too."""
        return super().format_of(kind) | self.media.described(kind) | self.transform.described(kind)

    def on_after_batch_transfer(self, batch: PairedBatch, dataloader_idx: int) -> PairedBatch:
        """Makes the batch what a model takes: see `BatchTransform`."""
        return self.transform(batch, self.training_salt(), self.tokenizer)
