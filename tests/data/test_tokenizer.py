"""Captions to ids and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymodal.batch import PAD
from polymodal.data.tokenizer import Tokenizer
from polymodal.errors import DataError

CAPTIONS = ["latin small letter a", "braille pattern dots-126", "black chess knight", "latin capital letter b"] * 5


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(CAPTIONS, vocab_size=320, context_length=16)


def test_rows_are_padded_to_the_longest_and_no_further(tokenizer: Tokenizer) -> None:
    ids = tokenizer(["latin", "latin small letter a"])
    alone = tokenizer(["latin"])
    assert ids.shape[1] == tokenizer(["latin small letter a"]).shape[1]
    assert (ids[0, : alone.shape[1]] == alone[0]).all()
    assert (ids[0, alone.shape[1] :] == PAD).all()
    assert (ids[1] != PAD).all()


def test_long_captions_are_cut(tokenizer: Tokenizer) -> None:
    assert tokenizer(["x y z " * 50]).shape == (1, 16)


def test_every_digit_is_a_token_of_its_own(tokenizer: Tokenizer) -> None:
    one, two = tokenizer(["dots-1"]), tokenizer(["dots-12"])
    assert two.shape[1] == one.shape[1] + 1
    assert (two[0, :-1] == one[0]).all()


@given(st.text(min_size=1).filter(str.strip))
def test_any_text_has_ids_in_range(caption: str) -> None:
    tokenizer = Tokenizer.train(CAPTIONS, vocab_size=300)
    ids = tokenizer([caption])
    assert ids.min() > PAD
    assert ids.max() < tokenizer.vocab_size


def test_json_carries_all_of_it(tokenizer: Tokenizer) -> None:
    copy = Tokenizer.from_json(tokenizer.to_json(), 16)
    assert (copy(CAPTIONS) == tokenizer(CAPTIONS)).all()
    assert copy.decode(copy(["Black Chess"])[0]) == "black chess"


def test_fewer_merges_give_more_and_known_pieces(tokenizer: Tokenizer) -> None:
    coarser = tokenizer.coarser(5)
    assert coarser(CAPTIONS[:1]).shape[1] > tokenizer(CAPTIONS[:1]).shape[1]
    assert coarser.decode(coarser(CAPTIONS[:1])[0]) == CAPTIONS[0]
    assert coarser.backend.get_vocab() == tokenizer.backend.get_vocab()  # the same ids
    assert (tokenizer.coarser(10**6)(CAPTIONS) == tokenizer(CAPTIONS)).all()


def test_an_empty_caption_is_an_error(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="Caption 1 of 2 is empty"):
        tokenizer(["a", "  "])
