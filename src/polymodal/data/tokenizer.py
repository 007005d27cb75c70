"""A byte-pair tokenizer trained on the training captions alone, held as plain JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from polymodal.batch import PAD
from polymodal.errors import DataError


class Tokenizer:
    """Captions -> (N, T) token ids, padded with `PAD` to the longest of the N and cut at `context_length`.

    Text is lower-cased; every digit and every punctuation mark is a token of its own, so that
    "dots-126" is made of parts that were seen in training. Algorithm: Sennrich et al. 2016.
    """

    def __init__(self, backend: Backend, context_length: int = 64) -> None:
        self.backend = backend
        self.context_length = context_length

    @classmethod
    def train(cls, captions: Iterable[str], vocab_size: int, context_length: int = 64) -> Tokenizer:
        """Learns at most `vocab_size` tokens; bytes are the alphabet, so no caption is out of vocabulary."""
        backend = Backend(models.BPE())
        backend.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.Punctuation(),
                pre_tokenizers.ByteLevel(add_prefix_space=True),
            ]
        )
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=["[PAD]"],  # the first special token is id 0, that is PAD
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        backend.train_from_iterator(captions, trainer)
        return cls(backend, context_length)

    @classmethod
    def from_json(cls, text: str, context_length: int = 64) -> Tokenizer:
        """The tokenizer that `to_json` wrote."""
        return cls(Backend.from_str(text), context_length)

    def to_json(self) -> str:
        """The whole tokenizer as text: what a checkpoint keeps."""
        return self.backend.to_str()

    def coarser(self, merges: int) -> Tokenizer:
        """The same ids for smaller pieces: only the first `merges` merges, the most frequent ones, are made.

        A rare word of the training captions is then cut up as an unseen word will be (after BPE dropout,
        Provilkov et al. 2020, but the same in every run).
        """
        content = json.loads(self.to_json())
        content["model"]["merges"] = content["model"]["merges"][:merges]
        return Tokenizer.from_json(json.dumps(content), self.context_length)

    @property
    def vocab_size(self) -> int:
        """Number of tokens that were learned; ids are below it."""
        return self.backend.get_vocab_size()

    def __call__(self, captions: Sequence[str]) -> np.ndarray:
        """(N,) captions -> (N, T) int64 ids.

        Raises:
            DataError: a caption is empty.
        """
        for index, caption in enumerate(captions):
            if not caption.strip():
                raise DataError(f"Caption {index} of {len(captions)} is empty.")
        sequences = [encoding.ids[: self.context_length] for encoding in self.backend.encode_batch(list(captions))]
        ids = np.full((len(sequences), max(map(len, sequences), default=0)), PAD, dtype=np.int64)
        for row, sequence in zip(ids, sequences, strict=True):
            row[: len(sequence)] = sequence
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The caption that a row of ids stands for."""
        return self.backend.decode([int(i) for i in ids if i != PAD]).strip()
