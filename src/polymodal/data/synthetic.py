"""Small generated data of five kinds, to try out any encoder, fusion or objective."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.data.bundled.synthetic_kinds import (
    KINDS,
    TAGS,
    Signal,
    captions,
    spelled,
    tables,
    videos,
    waveforms,
)
from polymodal.data.bundled.synthetic_set import SyntheticSet
from polymodal.data.datamodule import PairedDataModule
from polymodal.data.loading.splits import check_shares
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.errors import ConfigError
from polymodal.types import (
    Fraction,
    PositiveFloat,
    PositiveInt,
    Probability,
    Seed,
    VocabularySize,
    Workers,
)

INK_MEAN, INK_STD = 0.15, 0.2
"""About the mean and standard deviation of the images."""


class Synthetic(PairedDataModule):
    """Generated samples that show one class, one value and three tags in every modality, with
    noise.

    This is for trying things out, in seconds, and beside real data. Metrics on it say that
    something learns, not how good it is. By kind of modality:

    - `image`: a bar, uint8 (1, S, S). Class: its angle; value: its brightness; tags: lights in the
      corners.
    - `text`: a caption. "look at the red tall seven at 43 percent".
    - `audio`: a waveform (samples,) of its own length. Class: pitch of a tone; value: how loud its
      fifth is; tags: whistles far above.
    - `video`: the bar moves across, uint8 (T, 1, S, S).
    - `tabular`: mixtures of all as numbers, a tenth of them missing (NaN); then codes of the class
      up to their number, a tenth of them unknown (-1).

    Labels are `class` (int64), `value` (float32), `values` (float32, (3,): the value, its square,
    and one minus it) and `tags` (int64, (3,)). Samples of equal class and tags are of one group.
    Everything comes from the seed; a modality is the same whichever others there are.

    Args:
        modalities: names, each its own kind, or name -> kind: `{left: image, right: image}`; None
            for all five.
        samples: N over all splits.
        classes: number of classes.
        missing: how often a modality is absent; one of each sample is always there.
        image_size: S, side of images and frames in pixels.
        frames: T of a video.
        sample_rate: of waveforms, in Hz.
        seconds: the longest waveform; the shortest is half of it.
        numeric: numeric columns of a table.
        cardinalities: number of codes of each further column.
        tokenizer: name or folder of a transformers model whose tokenizer is taken; None to learn
            one from the training captions.
        vocab_size: tokens at most of the one that learns.
        context_length: tokens a caption at most.
        splits: shares of train, validation and test.
        batch_size: samples of a training step, over all processes.
        num_workers: loading processes; none is needed, the data are in memory.
        seed: of the samples and of their order.
        limit: keep only so many samples of each split, spread evenly over it.

    Raises:
        ConfigError: an unknown kind, or shares that do not add up to 1.
    """

    def __init__(
        self,
        modalities: Sequence[str] | Mapping[str, str] | None = None,
        samples: PositiveInt = 2000,
        classes: PositiveInt = 10,
        missing: Probability = 0.0,
        image_size: PositiveInt = 32,
        frames: PositiveInt = 4,
        sample_rate: PositiveInt = 8000,
        seconds: PositiveFloat = 0.5,
        numeric: PositiveInt = 8,
        cardinalities: Sequence[PositiveInt] = (10, 4),
        tokenizer: str | None = None,
        vocab_size: VocabularySize = 400,
        context_length: PositiveInt = 32,
        splits: Sequence[Fraction] = (0.8, 0.1, 0.1),
        batch_size: PositiveInt = 128,
        num_workers: Workers = 0,
        seed: Seed = 0,
        limit: PositiveInt | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed, context_length, limit)
        modalities = KINDS if modalities is None else modalities
        self.kinds = (
            dict(modalities)
            if isinstance(modalities, Mapping)
            else {name: name for name in modalities}
        )
        self.modalities = list(self.kinds)
        if not self.kinds or (unknown := set(self.kinds.values()) - set(KINDS)):
            wrong = f": no kind {', '.join(sorted(unknown))}" if self.kinds else " is empty"
            raise ConfigError(
                f"data.modalities{wrong}. Give names of {', '.join(KINDS)}, or name -> one of "
                "these."
            )
        check_shares(splits)
        self.samples, self.missing, self.splits = samples, missing, splits
        self.image_size = image_size
        self.frames = frames
        self.sample_rate = sample_rate
        self.seconds = seconds
        self.numeric, self.cardinalities = numeric, cardinalities
        self.pretrained_tokenizer, self.vocab_size = tokenizer, vocab_size
        self.class_names = {
            "class": [spelled(index) for index in range(classes)],
            "tags": list(TAGS),
        }
        self.codes = {
            name: len(cardinalities) for name, kind in self.kinds.items() if kind == "tabular"
        }
        self.contents: dict[str, Any] = {}

    def setup(self, stage: str | None = None) -> None:
        """Makes all samples and splits them; the same on every process."""
        if hasattr(self, "test_set"):
            return

        # one hidden signal, which every modality shows in its own way
        random = np.random.default_rng(self.seed)
        count, names = self.samples, self.class_names["class"]
        label = random.integers(len(names), size=count)
        tags = random.integers(2, size=(count, len(TAGS)))
        signal = Signal(label, random.random(count, dtype=np.float32), tags, names)
        self.contents = {
            name: self._content(kind, signal, self._random(name))
            for name, kind in self.kinds.items()
        }

        # captions of the training split alone teach the tokenizer
        ends = np.rint(np.cumsum([0, *self.splits]) * count).astype(int).tolist()
        self._fit_tokenizer(ends[1])
        inputs = {
            name: self._tensor(kind, self.contents[name]) for name, kind in self.kinds.items()
        }
        present = self._present(random) if self.missing else {}
        for name, there in present.items():
            inputs[name][~there] = 0

        # samples of equal class and tags are positives of each other
        several = np.stack([signal.value, signal.value**2, 1 - signal.value], axis=1)
        labels = {"class": label, "value": signal.value, "values": several, "tags": tags}
        group = label * 2 ** len(TAGS) + tags @ 2 ** np.arange(len(TAGS))
        columns = (
            inputs,
            present,
            {k: torch.from_numpy(v) for k, v in labels.items()},
            torch.from_numpy(group),
        )
        padded = [name for name, kind in self.kinds.items() if kind in {"text", "audio"}]
        self.train_set, self.val_set, self.test_set = (
            SyntheticSet(torch.arange(start, end), *columns, padded)
            for start, end in zip(ends, ends[1:], strict=False)
        )

    def _random(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def _content(self, kind: str, signal: Signal, random: np.random.Generator) -> Any:
        """What a modality of this kind holds of all samples."""
        if kind == "text":
            return captions(signal, random)
        if kind == "audio":
            return waveforms(signal, random, self.sample_rate, self.seconds)
        if kind == "tabular":
            return tables(signal, random, self.numeric, self.cardinalities)
        return videos(signal, random, self.image_size, self.frames if kind == "video" else 1)

    def _fit_tokenizer(self, training: int) -> None:
        sentences = [
            s
            for name, kind in self.kinds.items()
            if kind == "text"
            for s in self.contents[name][:training]
        ]
        if self.tokenizer is not None or not sentences:
            return
        if self.pretrained_tokenizer:
            self.tokenizer = Tokenizer.pretrained(self.pretrained_tokenizer, self.context_length)
        else:
            self.tokenizer = Tokenizer.train(sentences, self.vocab_size, self.context_length)

    def _tensor(self, kind: str, content: Any) -> Tensor:
        if kind == "text":
            return self.tokenize(content)
        return torch.from_numpy(content[:, 0] if kind == "image" else content).clone()

    def _present(self, random: np.random.Generator) -> dict[str, Tensor]:
        there = random.random((self.samples, len(self.kinds))) >= self.missing
        there[
            np.arange(self.samples), random.integers(len(self.kinds), size=self.samples)
        ] |= ~there.any(1)
        return {
            name: torch.from_numpy(there[:, index].copy()) for index, name in enumerate(self.kinds)
        }

    def words(self, modality: str, items: np.ndarray) -> Sequence[str | None]:
        """Captions; nothing else has words."""
        if self.kinds[modality] != "text":
            return [None] * len(items)
        return [self.contents[modality][item] for item in items.tolist()]

    def describe(self, modality: str, item: int) -> Any:
        """An image (of a video its frames side by side), a caption, or what there is to say of a
        sound or a row.
        """
        kind, content = self.kinds[modality], self.contents[modality][item]
        if kind == "text":
            return content
        if kind == "tabular":
            return ", ".join(
                "missing" if np.isnan(number) else f"{number:.2g}" for number in content
            )
        if kind == "audio":
            loudest = np.abs(np.fft.rfft(content)).argmax() * self.sample_rate / len(content)
            return (
                f"{np.count_nonzero(content) / self.sample_rate:.2f} s, loudest at {loudest:.0f} Hz"
            )
        return 255 - np.hstack(content[:, 0])

    def content(self, modality: str, item: int) -> Any:
        """See `PairedDataModule`."""
        if self.kinds[modality] == "audio":
            return self.contents[modality][item]
        return self.describe(modality, item)

    def format_of(self, kind: str) -> dict[str, Any]:
        """Black ink on white, of which ink is what counts."""
        pictures = {
            "size": self.image_size,
            "channels": 1,
            "mean": [1 - INK_MEAN],
            "std": [-INK_STD],
        }
        known: dict[str, Any] = {
            "image": pictures,
            "video": pictures,
            "audio": {"sample_rate": self.sample_rate},
        }
        return super().format_of(kind) | known.get(kind, {})

    def on_after_batch_transfer(self, batch: PairedBatch, dataloader_idx: int) -> PairedBatch:
        """uint8 -> normalised floats, on the device."""
        for name, content in batch.inputs.items():
            if content.dtype == torch.uint8:
                batch.inputs[name] = (content.float() / 255 - INK_MEAN) / INK_STD
        return batch
