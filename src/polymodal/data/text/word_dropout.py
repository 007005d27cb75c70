"""Captions with words missing: tokens of lost words are taken out, the others close ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from polymodal.batch import PAD, closed_up
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.hashing import hashed_uniform


def word_numbers(tokenizer: Tokenizer, captions: Sequence[str]) -> Tensor:
    """(N,) captions -> (N, T) int64: which word each token belongs to; -1 for padding and special
    tokens.

    A digit and a punctuation mark are words of their own, where the tokenizer has them so.
    """
    rows = [
        [-1 if word is None else word for word in e.word_ids] for e in tokenizer.encodings(captions)
    ]
    return torch.from_numpy(np.array(rows, dtype=np.int64))


def drop_words(
    tokens: Tensor, words: Tensor, id: Tensor, rate: float, salt: int
) -> tuple[Tensor, Tensor]:
    """Loses each word with probability `rate`.

    Args:
        tokens: (B, T) int64, padded with `PAD`.
        words: (B, T) int64, see `word_numbers`.
        id: (B,) int64; what a sample loses depends on it and on the salt alone.
        rate: in [0, 1).
        salt: another number, another choice.

    Returns:
        (B, T') int64 tokens, padded with `PAD`, and (B,) bool, whether any word is left.
    """
    lost = (hashed_uniform(id[:, None], salt, words) < rate) & (words >= 0)
    left = ((words >= 0) & ~lost).any(1)
    tokens = closed_up(tokens.masked_fill(lost, PAD))
    return tokens[:, : max(1, int((tokens != PAD).sum(1).max()))], left
