"""Captions to ids and back."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from polymodal.batch import PAD
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.errors import DataError

CAPTIONS = [
    "latin small letter a",
    "braille pattern dots-126",
    "black chess knight",
    "latin capital letter b",
] * 5


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


def test_a_caption_that_holds_a_special_token_is_text_like_any_other(tokenizer: Tokenizer) -> None:
    ids = tokenizer(["[PAD] a", "b [PAD]"])
    assert tokenizer.decode(ids[0]) == "[ pad ] a"
    assert ((ids != PAD).cumprod(1) == (ids != PAD)).all()  # padding at the end only


def test_no_captions_have_no_rows(tokenizer: Tokenizer) -> None:
    assert tokenizer([]).shape == (0, 0)


VOCABULARIES = {
    "bert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]"],  # pads with 0, as we do
    "roberta": ["[CLS]", "[PAD]", "[SEP]", "[UNK]"],  # pads with 1; 0 is a token of every caption
    "last": ["[UNK]", "[CLS]", "[SEP]", "chess", "[PAD]"],  # 0 is a token of some captions
}


@pytest.fixture(params=VOCABULARIES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The tokenizer of a model, as transformers saves it."""
    words = ["black", "chess", "knight", "##s", "face", "a", "b"]
    tokens = list(dict.fromkeys([*VOCABULARIES[request.param], *words]))
    vocabulary = {token: index for index, token in enumerate(tokens)}
    backend = Backend(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = (
        normalizers.Lowercase(),
        pre_tokenizers.BertPreTokenizer(),
    )
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=ends
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=backend, **names).save_pretrained(tmp_path)
    return tmp_path


TEXTS = ["Black chess knights", "face", "chess unheard a b"]


def test_a_model_s_tokenizer_gives_its_ids_with_padding_swapped_to_ours(folder: Path) -> None:
    own = AutoTokenizer.from_pretrained(str(folder))
    asked = own(TEXTS, padding=True, return_tensors="np")
    ids = Tokenizer.pretrained(str(folder), 16)(TEXTS)
    pad = own.pad_token_id
    back = np.where(ids == PAD, pad, np.where(ids == pad, PAD, ids))  # a swap undoes itself
    assert (back == asked["input_ids"]).all()
    assert ((ids != PAD) == asked["attention_mask"]).all()


def test_special_tokens_stay_when_a_caption_is_cut(folder: Path) -> None:
    own = AutoTokenizer.from_pretrained(str(folder))
    tokenizer = Tokenizer.pretrained(str(folder), 4)
    ids = tokenizer(["black chess knight a b", "face"])
    assert ids.shape == (2, 4)
    back = np.where(ids == PAD, own.pad_token_id, np.where(ids == own.pad_token_id, PAD, ids))
    assert own.convert_ids_to_tokens(back[0].tolist()) == ["[CLS]", "black", "chess", "[SEP]"]
    assert own.convert_ids_to_tokens(back[1].tolist()) == ["[CLS]", "face", "[SEP]", "[PAD]"]


def test_the_swap_survives_the_checkpoint(folder: Path) -> None:
    tokenizer = Tokenizer.pretrained(str(folder), 5)
    copy = Tokenizer.from_json(tokenizer.to_json(), 5)
    assert (copy(TEXTS) == tokenizer(TEXTS)).all()
    assert copy.to_json() == tokenizer.to_json()
    assert copy.decode(copy(["Face chess"])[0]) == "face chess"


def test_a_tokenizer_that_is_not_there_or_cannot_pad_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="No tokenizer .*empty"):
        Tokenizer.pretrained(str(tmp_path / "empty"))
    backend = Backend(models.WordLevel({"a": 0}, unk_token="a"))
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path / "unpadded")
    with pytest.raises(DataError, match="no padding token"):
        Tokenizer.pretrained(str(tmp_path / "unpadded"))
