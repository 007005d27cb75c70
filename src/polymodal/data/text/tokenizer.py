"""A tokenizer that is trained on the training captions or comes with a model, held as plain JSON
text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from tokenizers import Encoding, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from polymodal.batch import PAD
from polymodal.data.text.open_clip_tokenizer import (
    Cleaning,
    cleaner,
    is_of_open_clip,
    open_clip_tokenizer,
)
from polymodal.errors import DataError


class Tokenizer:
    """Captions -> (N, T) token ids, padded with `PAD` to the longest of the N and cut at
    `context_length`.

    A tokenizer that came with a model may pad with another id than `PAD`: then the two ids change
    places here, and the encoder that is such a model changes them back.

    Args:
        backend: the tokenizer itself; it carries its padding id, which its JSON keeps.
        context_length: tokens a caption at most, special ones such as [CLS] included.
        cleaning: what open_clip does to a caption first, for one of its tokenizers.
    """

    def __init__(
        self, backend: Backend, context_length: int = 64, cleaning: Cleaning | None = None
    ) -> None:
        backend.enable_truncation(context_length)
        self.pad_id = PAD if backend.padding is None else int(backend.padding["pad_id"])
        backend.enable_padding(pad_id=self.pad_id)
        backend.encode_special_tokens = True  # a caption that holds "[PAD]" is text like any other
        self.backend = backend
        self.context_length = context_length
        self.cleaning = cleaning
        self.clean = None if cleaning is None else cleaner(cleaning)

    @classmethod
    def train(cls, captions: Iterable[str], vocab_size: int, context_length: int = 64) -> Tokenizer:
        """Learns at most `vocab_size` tokens (byte-pair encoding, Sennrich et al. 2016).

        Bytes are the alphabet, so no caption is out of vocabulary. Text is lower-cased; every digit
        and every punctuation mark is a token of its own, so that "dots-126" is made of parts that
        were seen in training.
        """
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
    def pretrained(cls, name: str, context_length: int = 64) -> Tokenizer:
        """The tokenizer of a model, with its special tokens.

        Args:
            name: of a model of open_clip, a folder, or a name on the Hugging Face hub (downloaded
                once).
            context_length: tokens a caption at most.

        Raises:
            DataError: there is none, or it cannot pad.
        """
        if is_of_open_clip(name):
            own, cleaning = open_clip_tokenizer(name)
            return cls(own, context_length, cleaning)
        from transformers import AutoTokenizer  # here, since it takes seconds

        try:
            loaded = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise DataError(f"No tokenizer {name!r}: {str(error).splitlines()[0]}") from error
        backend = getattr(loaded, "backend_tokenizer", None)
        if backend is None or loaded.pad_token_id is None:
            raise DataError(
                f"The tokenizer {name!r} has no padding token, or cannot be kept as JSON."
            )
        backend.enable_padding(pad_id=loaded.pad_token_id)
        return cls(backend, context_length)

    @classmethod
    def from_json(cls, text: str, context_length: int = 64) -> Tokenizer:
        """The tokenizer that `to_json` wrote."""
        content = json.loads(text)
        cleaning = content.pop("cleaning", None)
        return cls(Backend.from_str(json.dumps(content)), context_length, cleaning)

    def to_json(self) -> str:
        """The whole tokenizer as text: what a checkpoint keeps."""
        text = self.backend.to_str()
        return (
            text
            if self.cleaning is None
            else json.dumps({**json.loads(text), "cleaning": self.cleaning})
        )

    def coarser(self, merges: int) -> Tokenizer:
        """The same ids for smaller pieces: only the first `merges` merges, the most frequent ones,
        are made.

        A rare word of the training captions is then cut up as an unseen word will be (after BPE
        dropout, Provilkov et al. 2020, but the same in every run).
        """
        content = json.loads(self.to_json())
        content["model"]["merges"] = content["model"]["merges"][:merges]
        return Tokenizer.from_json(json.dumps(content), self.context_length)

    @property
    def merges(self) -> int:
        """Number of merges that were learned; every token but the bytes is made by one."""
        return len(json.loads(self.backend.to_str())["model"]["merges"])

    @property
    def vocab_size(self) -> int:
        """Number of tokens that were learned; ids are below it."""
        return self.backend.get_vocab_size()

    @property
    def unknown_id(self) -> int | None:
        """The id of what the tokenizer does not know; None where it knows every text, as one of
        bytes does.
        """
        model = json.loads(self.backend.to_str())["model"]
        # by name, or by number in a model of pieces
        token, number = (model.get("unk_token"), model.get("unk_id"))
        if model.get("type") != "BPE" and token is not None:
            number = self.backend.token_to_id(token)
        return None if number is None else int(self._swapped(np.array(number)))

    @cached_property
    def special_ids(self) -> list[int]:
        """Ids of the tokens that are no text: where a caption begins and ends, padding and the
        like.
        """
        added = self.backend.get_added_tokens_decoder()
        numbers = [number for number, token in added.items() if token.special]
        return self._swapped(np.array(numbers, dtype=np.int64)).tolist()  # type: ignore[no-any-return]

    def __call__(self, captions: Sequence[str]) -> np.ndarray:
        """(N,) captions -> (N, T) int64 ids.

        Raises:
            DataError: a caption is empty.
        """
        for index, caption in enumerate(captions):
            if not caption.strip():
                raise DataError(f"Caption {index} of {len(captions)} is empty.")
        ids = np.array([encoding.ids for encoding in self.encodings(captions)], dtype=np.int64)
        return self._swapped(ids).reshape(len(captions), -1 if len(captions) else 0)

    def encodings(self, captions: Sequence[str]) -> list[Encoding]:
        """All that the backend knows of captions: their pieces, the words that these are of."""
        return self.backend.encode_batch(
            list(captions if self.clean is None else map(self.clean, captions))
        )

    def decode(self, ids: Sequence[int]) -> str:
        """The caption that a row of ids stands for, without special tokens."""
        row = np.asarray([int(i) for i in ids if i != PAD], dtype=np.int64)
        return self.backend.decode(self._swapped(row).tolist()).strip()

    def _swapped(self, ids: np.ndarray) -> np.ndarray:
        """The backend's ids -> ours, and back: `PAD` and its padding id change places."""
        return np.where(ids == self.pad_id, PAD, np.where(ids == PAD, self.pad_id, ids))
