"""Lost words are lost whole, at the rate asked for, and the same ones for a sample in any batch."""

import torch

from polymodal.batch import PAD
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.data.text.word_dropout import drop_words, word_numbers

NAMES = [
    "latin small letter a with acute",
    "black chess knight",
    "braille pattern dots-126",
    "arrow",
] * 50


def test_words_are_lost_whole_and_the_others_stay_in_order() -> None:
    tokenizer = Tokenizer.train(NAMES, 300)  # few merges: words have several tokens
    tokens, words = torch.from_numpy(tokenizer(NAMES)), word_numbers(tokenizer, NAMES)
    assert words.shape == tokens.shape
    assert torch.equal(words < 0, tokens == PAD)
    left, any_left = drop_words(tokens, words, torch.arange(len(NAMES)), 0.5, salt=1)
    for name, row, full, there in zip(NAMES, left, tokens, any_left.tolist(), strict=True):
        kept = tokenizer.decode(row).split()
        assert there == bool(kept)
        parts = iter(tokenizer.decode(full).split())
        if "-" not in name:
            assert all(word in parts for word in kept)  # a subsequence of the whole words
    total, kept_tokens = (words >= 0).sum(), (left != PAD).sum()
    assert abs(kept_tokens / total - 0.5) < 0.05


def test_the_choice_is_the_sample_s_own() -> None:
    tokenizer = Tokenizer.train(NAMES, 300)
    tokens, words, ids = (
        torch.from_numpy(tokenizer(NAMES)),
        word_numbers(tokenizer, NAMES),
        torch.arange(len(NAMES)),
    )
    whole = drop_words(tokens, words, ids, 0.5, 3)[0]
    part = drop_words(tokens[20:30], words[20:30], ids[20:30], 0.5, 3)[0]
    assert torch.equal(part, whole[20:30, : part.shape[1]])
    assert not torch.equal(drop_words(tokens, words, ids, 0.5, 4)[0], whole)
