"""The bundled data: every named character of the DejaVu and STIX fonts, paired with its Unicode
name.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from polymodal.batch import PAD, PairedBatch
from polymodal.data.bundled.glyph_cache import GlyphTable, load_glyphs
from polymodal.data.bundled.glyph_kinds import KIND_NAMES, SCRIPT_NAMES, kind_of
from polymodal.data.bundled.glyph_set import GlyphSet
from polymodal.data.datamodule import PairedDataModule
from polymodal.data.loading.augment import shift_and_scale, uniform_of
from polymodal.data.loading.splits import check_shares
from polymodal.data.media.formats import MediaFormat
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.data.text.word_dropout import word_numbers
from polymodal.types import (
    Fraction,
    NonNegativeInt,
    PositiveInt,
    Probability,
    Seed,
    VocabularySize,
    Workers,
)


class Glyphs(PairedDataModule):
    """Images of characters and their official names, split by CHARACTER: names of the test split
    were never seen.

    Characters that look the same in every font that has both (Latin A, Greek Alpha) are of one
    group. The data are rendered once from the fonts in matplotlib's package; nothing is downloaded.

    Args:
        cache_dir: where the rendered images are kept.
        image_size: S, side of the images in pixels.
        families: starts of font file names.
        splits: shares of train, validation and test; a character falls by a fixed hash of its code
            point.
        vocab_size: tokens at most; the tokenizer learns from the training names alone.
        context_length: tokens a name at most.
        merge_levels: each training batch has its names in the tokenizer's largest pieces (a third
            of the batches, with four levels) or in those of one of these numbers of merges: pieces
            of rare words are known when unseen words are made of them.
        word_dropout: share of the words of a name that are lost, in training at random, else always
            the same ones; a name of which nothing is left is absent.
        tokenizer: name or folder of a transformers model whose tokenizer is taken; None to learn
            one.
        shift: random shift in training, as a share of the side.
        scale: random zoom in training.
        batch_size: samples of a training step, over all processes.
        num_workers: loading processes; none is needed, the data are in memory.
        seed: of the order of the samples.
        limit: keep only so many samples of each split, spread evenly over it: to debug, or to
            overfit.

    Raises:
        ConfigError: the shares do not add up to 1.
        DataError: no font of a family exists, or the cache cannot be written.
    """

    modalities = ("image", "text")

    def __init__(
        self,
        cache_dir: str,
        image_size: PositiveInt = 32,
        families: Sequence[str] = ("DejaVu", "STIX"),
        splits: Sequence[Fraction] = (0.8, 0.1, 0.1),
        vocab_size: VocabularySize = 4000,
        context_length: PositiveInt = 64,
        merge_levels: Sequence[NonNegativeInt] = (2000, 1000, 500, 250),
        word_dropout: Probability = 0.0,
        tokenizer: str | None = None,
        shift: Fraction = 0.04,
        scale: Probability = 0.05,
        batch_size: PositiveInt = 512,
        num_workers: Workers = 0,
        seed: Seed = 0,
        limit: PositiveInt | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed, context_length, limit)
        check_shares(splits)
        self.cache_dir = Path(cache_dir)
        self.image_size = image_size
        self.families = families
        self.splits = splits
        self.vocab_size, self.merge_levels = vocab_size, [] if tokenizer else merge_levels
        self.word_dropout, self.pretrained_tokenizer = word_dropout, tokenizer
        self.shift, self.scale = shift, scale
        changed = {"image": shift or scale, "text": self.merge_levels or word_dropout}
        self.varying = [name for name, value in changed.items() if value]
        self.class_names = {"kind": KIND_NAMES, "script": SCRIPT_NAMES}
        self.media = MediaFormat(
            (1, image_size, image_size), None, 0.0, sample_rate=1, max_seconds=1.0, frames=1
        )

    def prepare_data(self) -> None:
        """Renders the images where they are not cached yet; once on each machine."""
        load_glyphs(self.cache_dir, self.families, self.image_size)

    def setup(self, stage: str | None = None) -> None:
        """Splits, groups, labels and tokens; the same on every process."""
        if hasattr(self, "test_set"):
            return
        table = load_glyphs(self.cache_dir, self.families, self.image_size)

        # a character falls into a split by its code point, in all its fonts
        characters, character = np.unique(table.codepoints, return_inverse=True)
        self.names = [unicodedata.name(chr(code)).lower() for code in characters]
        place = np.array([_unit_hash(code) for code in characters.tolist()])
        split = np.digitize(place, np.cumsum(self.splits)[:2])  # 0 train, 1 val, 2 test

        # the tokenizer learns from training names alone
        if self.tokenizer is None and self.pretrained_tokenizer:
            self.tokenizer = Tokenizer.pretrained(self.pretrained_tokenizer, self.context_length)
        elif self.tokenizer is None:
            training_names = [
                name for name, part in zip(self.names, split, strict=True) if part == 0
            ]
            self.tokenizer = Tokenizer.train(training_names, self.vocab_size, self.context_length)

        # in training names are cut up in several ways, else in one
        kind = np.array([kind_of(chr(code)) for code in characters.tolist()])
        columns = (character, look_alikes(table, character), kind)
        whole = [self.tokenizer]
        ways = whole * max(1, len(self.merge_levels) // 2)
        ways += [self.tokenizer.coarser(level) for level in self.merge_levels]
        self.train_set, self.val_set, self.test_set = (
            GlyphSet(
                table,
                np.flatnonzero(split[character] == part),
                *columns,
                _stacked(
                    [torch.from_numpy(tokenizer(self.names)) for tokenizer in tokenizers], PAD
                ),
                _stacked([word_numbers(tokenizer, self.names) for tokenizer in tokenizers], -1),
                self.word_dropout,
                training=part == 0,
            )
            for part, tokenizers in enumerate((ways, whole, whole))
        )
        self.images = table.images

    def complete(self, split: str, modalities: Sequence[str]) -> GlyphSet:
        """See `PairedDataModule`; training names are cut up as those of the other splits are, and
        lose the same.
        """
        judged: GlyphSet = copy(self.test_set)  # type: ignore[assignment]
        judged.rows = getattr(self, f"{split}_set").rows
        return judged

    def words(self, modality: str, items: np.ndarray) -> Sequence[str | None]:
        """The names."""
        if modality == "image":
            return [None] * len(items)
        characters = self.test_set.character[items] if self.word_dropout else items  # type: ignore[attr-defined]
        return [self.names[character] for character in characters.tolist()]

    def read(self, modality: str, given: str) -> np.ndarray:
        """See `PairedDataModule`; of an image the ink counts, which is black on white."""
        content = super().read(modality, given)
        return 255 - content if modality == "image" else content

    def describe(self, modality: str, item: int) -> Any:
        """The (S, S) image with black ink on white, or the name, with the words that are lost."""
        return (
            255 - self.images[item]
            if modality == "image"
            else self.words(modality, np.array([item]))[0]
        )

    def format_of(self, kind: str) -> dict[str, Any]:
        """Images of black ink on white: here ink is what counts, hence the deviation below
        zero.
        """
        ink = {"size": self.image_size, "channels": 1, "mean": [1 - INK_MEAN], "std": [-INK_STD]}
        return super().format_of(kind) | (ink if kind == "image" else {})

    def on_after_batch_transfer(self, batch: PairedBatch, dataloader_idx: int) -> PairedBatch:
        """uint8 -> normalised floats, on the device; in training also shifted and scaled."""
        if "image" not in batch.inputs:  # a sentence that was given by hand
            return batch
        images = batch.inputs["image"].float().div_(255)
        salt = self.training_salt()
        if salt is not None:
            images = shift_and_scale(images, self.shift, self.scale, uniform_of(batch.id, 3, salt))
        batch.inputs["image"] = (images - INK_MEAN) / INK_STD
        return batch


INK_MEAN, INK_STD = 0.108, 0.288
"""Mean and standard deviation of the images, measured over the training split at 32 pixels."""


def _stacked(ways: Sequence[Tensor], padding: int) -> Tensor:
    """V tensors (C, T) -> (V, C, longest T)."""
    longest = max(way.shape[1] for way in ways)
    return torch.stack([F.pad(way, (0, longest - way.shape[1]), value=padding) for way in ways])


def _unit_hash(code: int) -> float:
    """A code point's fixed place in [0, 1)."""
    digest = hashlib.blake2b(code.to_bytes(4, "big"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def look_alikes(table: GlyphTable, character: np.ndarray) -> np.ndarray:
    """(C,) int64 group of each character: two are of one group if no font that has both draws them
    differently.
    """
    pictures: dict[int, dict[int, bytes]] = {}
    same: dict[tuple[int, bytes], list[int]] = {}
    for index, font, image in zip(
        character.tolist(), table.fonts.tolist(), np.asarray(table.images), strict=True
    ):
        key = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        pictures.setdefault(index, {})[font] = key
        same.setdefault((font, key), []).append(index)
    parent = list(range(len(pictures)))

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    for candidates in same.values():
        for position, a in enumerate(candidates):
            for b in candidates[:position]:
                shared = pictures[a].keys() & pictures[b].keys()
                if all(pictures[a][font] == pictures[b][font] for font in shared):
                    parent[root(a)] = root(b)
    return np.array([root(index) for index in range(len(parent))])
