"""What a visitor gives is what the model reads."""

import pytest

from polymodal.batch import PAD, PairedBatch
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.demo.contents import content_of_example
from polymodal.demo.contributions import explain
from polymodal.demo.held_out import HeldOut
from polymodal.demo.inputs import unknown_words
from polymodal.errors import DataError

BYTES = Tokenizer.train(["a red cat on the mat in 43 houses", "the red dog"] * 5, 300)


@pytest.mark.parametrize(
    ("sentence", "unknown"),
    [
        ("The RED cat", []),
        ("a cat in 57 houses!", []),
        ("zqk on 日本", ["zqk", "日本"]),
        (" 🙂 ", ["🙂"]),
    ],
)
def test_words_that_are_read_byte_by_byte_are_unknown(sentence: str, unknown: list[str]) -> None:
    assert unknown_words(BYTES, sentence)[1] == unknown
    assert unknown_words(None, sentence) == ([], [])


@pytest.fixture(scope="module")
def of_words() -> Tokenizer:
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers

    backend = Backend(
        models.WordLevel({"[PAD]": 0, "[UNK]": 1, "red": 2, "cat": 3}, unk_token="[UNK]")
    )
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return Tokenizer(backend)


def test_a_sentence_of_unknown_words_is_refused(
    of_words: Tokenizer, surviving: HeldOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unknown_words(of_words, "red dog") == (["red", "dog"], ["dog"])
    monkeypatch.setattr(surviving.data, "tokenizer", of_words)
    assert surviving.batch({"text": "red dog"}).inputs["text"].tolist() == [[2, 1]]
    with pytest.raises(DataError, match="The model knows none of these words: 'a', 'dog'"):
        surviving.batch({"text": "a dog"})


def test_what_is_not_given_is_absent(surviving: HeldOut) -> None:
    batch = surviving.batch({"tabular": {"age": 40, "class": "3rd"}})
    assert batch.mask(["text", "tabular"]).tolist() == [[False, True]]


def test_a_sentence_is_shown_without_the_words_that_are_left_out(aligned: HeldOut) -> None:
    batch, shown = aligned.example(0)
    ids = batch.inputs["text"][0]
    kept = ids[ids != PAD][:-3]
    less = PairedBatch({**batch.inputs, "text": kept[None]}, batch.items, batch.group, batch.id)
    assert content_of_example(aligned.data, less, "text") == aligned.data.tokenizer.decode(
        kept.tolist()
    )
    assert content_of_example(aligned.data, batch, "text") == shown["text"]


def test_an_input_of_a_visitor_is_not_taken_for_an_item_of_the_data(
    surviving: HeldOut, monkeypatch
) -> None:
    """A frozen encoder keeps the vectors of the data by the numbers of their items."""
    monkeypatch.setitem(
        surviving.model.caches, "text", lambda *_: pytest.fail("the vector of another sentence")
    )
    surviving.vector("text", "passenger 3")
    explain(surviving.predictor, surviving.batch({"text": "passenger 3"}))
