"""What a visitor gives, as the model takes it: sentences, files, rows, items of the held-out
data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from polymodal.batch import PairedBatch
from polymodal.data.datamodule import PairedDataModule
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.demo.fields import Value, fields_of, row_of
from polymodal.errors import DataError, named

Given = str | Mapping[str, Value] | int
"""Of a modality: a sentence, the path of a file, values by column, or the number of an example."""


def batch_of_given(
    data: PairedDataModule,
    given: Mapping[str, Given],
    modalities: Sequence[str],
    examples: Sequence[PairedBatch],
) -> PairedBatch:
    """One sample; modalities that are not given are absent.

    Args:
        data: set up.
        given: modality -> what it is; one at least.
        modalities: of the model.
        examples: of one held-out sample each, on the CPU.

    Raises:
        DataError: a file or a value cannot be read, or the model knows no word of a sentence.
    """
    new = {name: value for name, value in given.items() if not isinstance(value, int)}
    read = {name: _read(data, name, value) for name, value in new.items()}
    number = torch.zeros(1, dtype=torch.long)
    batch = PairedBatch(
        inputs={name: torch.from_numpy(array)[None] for name, array in read.items()},
        items=dict.fromkeys(modalities, number),
        group=number,
        id=number,
        present={name: torch.tensor([name in given]) for name in modalities},
    )
    batch = data.on_after_batch_transfer(batch, 0)
    for name, value in given.items():
        if isinstance(value, int):
            batch.inputs[name] = examples[value].inputs[name]
    for name in set(modalities) - set(given):
        batch.inputs[name] = torch.zeros(1, 1)
    return batch


def _read(data: PairedDataModule, modality: str, value: str | Mapping[str, Value]) -> np.ndarray:
    if not isinstance(value, str):
        return row_of(fields_of(data, modality), value)
    if data.kinds.get(modality, modality) == "text":
        words, unknown = unknown_words(data.tokenizer, value)
        if words and unknown == words and data.tokenizer and data.tokenizer.unknown_id is not None:
            raise DataError(f"The model knows none of these words: {named(words)}.")
    return data.read(modality, value)


def unknown_words(tokenizer: Tokenizer | None, sentence: str) -> tuple[list[str], list[str]]:
    """The words of a sentence, and those that the tokenizer does not know.

    A tokenizer of bytes knows every text; its unknown words are those that it reads byte by byte,
    since no two of their bytes were often enough side by side in training.
    """
    if tokenizer is None:
        return [], []
    encoding, [ids] = tokenizer.encodings([sentence])[0], tokenizer([sentence])
    sentence = tokenizer.clean(sentence) if tokenizer.clean else sentence  # what the offsets are of
    pieces: dict[int, list[int]] = {}
    for place, number in enumerate(encoding.word_ids):
        if number is not None and not encoding.special_tokens_mask[place]:
            pieces.setdefault(number, []).append(place)
    words: list[str] = []
    unknown: list[str] = []
    for places in pieces.values():
        start, end = encoding.offsets[places[0]][0], encoding.offsets[places[-1]][1]
        word = sentence[start:end].strip()
        if not word:
            continue
        words.append(word)
        # in a tokenizer of bytes, "Ġ" is the blank before a word
        tokens = [encoding.tokens[place].removeprefix("Ġ") for place in places]
        in_bytes = tokenizer.unknown_id is None and all(len(token) < 2 for token in tokens)
        in_bytes = in_bytes and len(word.encode()) > 1
        if in_bytes or any(ids[place] == tokenizer.unknown_id for place in places):
            unknown.append(word)
    return words, unknown
