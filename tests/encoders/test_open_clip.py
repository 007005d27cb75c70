"""Encoders and tokenizers of open_clip against open_clip itself."""

import json
import sys
from pathlib import Path
from unicodedata import category

import open_clip
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import basic_clean
from tests.encoders.open_clip_models import CONFIGS, DIM, make

from polymodal.batch import PAD
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.data.text.word_dropout import word_numbers
from polymodal.encoders.image.open_clip import OpenCLIP as Image
from polymodal.encoders.text.open_clip import OpenCLIP as Text
from polymodal.errors import ConfigError, DataError

CAPTIONS = [
    "a black  arrow",
    "Cat!",
    "white cat &amp; letter, a a a a a a a a a a a a a a a a a a a a a a a a",
]


@pytest.mark.parametrize("kind", CONFIGS)
def test_features_are_those_of_open_clip(kind: str, tmp_path: Path) -> None:
    name, theirs = make(kind, tmp_path)
    length = open_clip.get_tokenizer(name).context_length
    images = torch.randn(3, 3, 32, 32)
    image = Image(DIM, name, image_size=32).eval()
    text = Text(DIM, name, length, tokenizer=name).eval()
    tokenizer = Tokenizer.pretrained(name, length)
    with torch.no_grad():
        options = {"normalize": False}
        torch.testing.assert_close(
            image(images), theirs.encode_image(images, **options), rtol=1e-6, atol=1e-6
        )
        own_ids = open_clip.get_tokenizer(name)(CAPTIONS)
        expected = theirs.encode_text(own_ids, **options)
        for captions in (CAPTIONS, CAPTIONS[:2]):  # the second batch is short
            ids = torch.from_numpy(tokenizer(captions))
            torch.testing.assert_close(text(ids), expected[: len(captions)], rtol=1e-6, atol=1e-6)
        assert ids.shape[1] < length
        grey = images[:, :1]
        torch.testing.assert_close(image(grey), image(grey.repeat(1, 3, 1, 1)))


def test_a_built_in_model_with_a_file_of_weights_is_that_model(tmp_path: Path) -> None:
    model, file = open_clip.create_model("ViT-S-32-alt"), tmp_path / "weights.pt"
    torch.save(model.state_dict(), file)
    image = Image(256, "ViT-S-32-alt", pretrained=str(file))
    text = Text(256, "ViT-S-32-alt", tokenizer="ViT-S-32-alt", pretrained=str(file))
    ids, images = open_clip.get_tokenizer("ViT-S-32-alt")(CAPTIONS), torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(
            image.eval()(images), model.eval().encode_image(images), rtol=1e-6, atol=1e-6
        )
        torch.testing.assert_close(text.eval()(ids), model.encode_text(ids), rtol=1e-6, atol=1e-6)
    # its positions are interpolated
    smaller = Image(256, "ViT-S-32-alt", image_size=64, pretrained=str(file))
    assert smaller(torch.randn(1, 3, 64, 64)).shape == (1, 256)


def test_an_evil_file_of_weights_runs_nothing(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "mark",))

    torch.save({"state_dict": {"visual": Evil()}}, tmp_path / "weights.pt")
    with pytest.raises(Exception, match="Weights only load failed"):
        Image(256, "ViT-S-32-alt", pretrained=str(tmp_path / "weights.pt"))
    assert not (tmp_path / "mark").exists()


def test_a_tokenizer_that_is_code_is_never_run(tmp_path: Path) -> None:
    name, _ = make("siglip", tmp_path)
    file, mark = tmp_path / "open_clip_config.json", tmp_path / "mark"
    config = json.loads(file.read_text())
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"trust_remote_code": True}
    file.write_text(json.dumps(config))
    about = json.loads((tmp_path / "tokenizer_config.json").read_text())
    about |= {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(about))
    (tmp_path / "evil.py").write_text(
        f"open({str(mark)!r}, 'w')\nclass Evil: from_pretrained = print\n"
    )
    with pytest.raises(DataError, match="code that comes with the model, which is never run"):
        Tokenizer.pretrained(name)
    for tower in (
        lambda: Image(DIM, name, image_size=32),
        lambda: Text(DIM, name, 20, tokenizer=name),
    ):
        with pytest.raises(ValueError, match="code that comes with it, which is never run"):
            tower()
    assert not mark.exists()


OWN = {
    "ViT-B-32": open_clip.get_tokenizer("ViT-B-32"),
    "ViT-H-14-378": open_clip.get_tokenizer("ViT-H-14-378"),
    "ViT-B-32-256": open_clip.get_tokenizer("ViT-B-32-256"),
}
OURS = {name: Tokenizer.pretrained(name, context_length=77) for name in OWN}
ASSIGNED = st.characters(exclude_categories=["Cn", "Cs"])
"""Newer letters are none to the older of the two libraries that tell letters from other signs."""
TEXTS = st.one_of(st.text(ASSIGNED), st.text("aAb'sx1!?,. &;é\u0130中\n", min_size=1, max_size=120))


@settings(max_examples=300, deadline=None)
@given(text=TEXTS.filter(str.strip), name=st.sampled_from(sorted(OWN)))
def test_ids_are_those_of_open_clip(text: str, name: str) -> None:
    # of "Ö\x8b" it makes a newer letter
    assume(all(category(sign) != "Cn" for sign in basic_clean(text)))
    expected = OWN[name]([text, "a"])
    ids = torch.from_numpy(OURS[name]([text, "a"]))
    assert torch.equal(torch.nn.functional.pad(ids, (0, 77 - ids.shape[1])), expected)


def test_a_checkpoint_keeps_the_whole_tokenizer() -> None:
    kept = Tokenizer.from_json(OURS["ViT-B-32"].to_json(), 77)
    assert (kept(CAPTIONS) == OURS["ViT-B-32"](CAPTIONS)).all()
    assert kept.decode(kept(["Black  arrow &lt;"])[0]) == "black arrow <"


def test_words_are_told_apart_for_word_dropout() -> None:
    words = word_numbers(OURS["ViT-B-32"], ["black chessboards"])[0]
    assert words[0] == words[-1] == -1
    assert len(set(words[1:-1].tolist())) == 2


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Image(8, "ViT-B-33"), "name=ViT-B-33, a model of open_clip: there is none"),
        (
            lambda: Image(8, "ViT-S-32-alt", pretrained="nowhere"),
            "its vectors have 256 numbers, not 8: give dim=256",
        ),
        (lambda: Image(256, "ViT-S-32-alt", pretrained="nowhere"), "nowhere"),
        (lambda: Text(8, "ViT-S-32-alt", tokenizer=None), "data.tokenizer=ViT-S-32-alt"),
        (
            lambda: Text(8, "ViT-S-32-alt", 99, "ViT-S-32-alt"),
            "context_length=99: ViT-S-32-alt reads 77 tokens",
        ),
        (lambda: Image(8, "local-dir:/nowhere"), "name=local-dir:/nowhere"),
    ],
)
def test_what_cannot_be_is_explained(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_a_tokenizer_that_changes_ids_afterwards_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = open_clip.SimpleTokenizer(reduction_mask="random")
    monkeypatch.setattr(open_clip, "get_tokenizer", lambda _: own)
    with pytest.raises(DataError, match="changes ids afterwards"):
        Tokenizer.pretrained("ViT-B-32")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ConfigError, match=r"pip install 'polymodal\[open_clip\]'"):
        Image(8, "ViT-B-32")


def test_padding_is_never_an_end() -> None:
    """A caption whose last real token is id 0 of open_clip's own vocabulary, an exclamation mark,
    is not cut."""
    ids = OURS["ViT-B-32"](["a !x"])[0]
    assert ids[-1] != PAD
