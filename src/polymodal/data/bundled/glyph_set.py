"""Images of characters and their names in memory."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from polymodal.batch import PAD, PairedBatch
from polymodal.data.bundled.glyph_cache import GlyphTable
from polymodal.data.bundled.glyph_kinds import script_of
from polymodal.data.loading.dataset import BatchIndices
from polymodal.data.text.word_dropout import drop_words


class GlyphSet:
    """Some of the images with their names: a batch is one gather.

    Args:
        table: all images.
        rows: (N,) which images of the table are in this split; also their sample ids.
        character: image -> index of its character.
        group: character -> group; characters that look the same share one.
        kind: character -> class, or -1.
        tokens: (V, characters, T) token ids of the names, cut up in V ways of which each batch
            takes one at random.
        words: (V, characters, T) the word that each token belongs to.
        word_dropout: share of the words that are lost.
        training: lose other words in each batch; else the same ones in every evaluation.
    """

    def __init__(
        self,
        table: GlyphTable,
        rows: np.ndarray,
        character: np.ndarray,
        group: np.ndarray,
        kind: np.ndarray,
        tokens: Tensor,
        words: Tensor,
        word_dropout: float = 0.0,
        training: bool = False,
    ) -> None:
        self.images, self.rows, self.tokens, self.words = table.images, rows, tokens, words
        self.character, self.group, self.kind = (
            torch.from_numpy(a) for a in (character, group, kind)
        )
        self.script = torch.tensor([script_of(k) for k in kind.tolist()])
        self.lengths = (tokens != PAD).sum(2)
        self.word_dropout, self.training = word_dropout, training

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def ids(self) -> np.ndarray:
        """(N,) int64 ids, in order."""
        return self.rows

    def __getitem__(self, indices: list[int]) -> PairedBatch:
        """A list of B indices -> a batch with uint8 images (B, 1, S, S) and names (B, longest of
        the batch).
        """
        rows = self.rows[indices]
        images = torch.from_numpy(self.images[rows])[:, None]
        id = torch.from_numpy(rows)
        character = self.character[id]
        salt = BatchIndices.of(indices).salt if self.training else 0
        way = salt % len(self.tokens)
        longest = int(self.lengths[way, character].max())
        tokens = self.tokens[way, character, :longest]
        present = {}
        if self.word_dropout:
            words = self.words[way, character, :longest]
            tokens, present["text"] = drop_words(tokens, words, id, self.word_dropout, salt)
        return PairedBatch(
            inputs={"image": images, "text": tokens},
            items={"image": id, "text": id if self.word_dropout else character},
            group=self.group[character],
            id=id,
            present=present,
            labels={"kind": self.kind[character], "script": self.script[character]},
        )
