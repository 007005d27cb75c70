"""Rules by which settings follow the data."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymodal.data.auto import defaults
from polymodal.data.auto.preview import Preview
from polymodal.data.text.tokenizer import Tokenizer

IMAGES = {"image": "image"}


@given(st.integers(1, 10**7), st.booleans())
def test_batches_and_epochs_are_about_so_many_updates(training: int, learns_labels: bool) -> None:
    preview = Preview(training, IMAGES)
    batch = defaults.batch_size(preview).value
    epochs = defaults.max_epochs(preview, batch, learns_labels).value
    assert batch in (16, 32, 64, 128, 256)
    assert 3 <= epochs <= 100
    updates = epochs * -(-training // batch)
    about = 600 if learns_labels and training <= 5000 else 1500
    assert epochs in (3, 100) or 0.66 * about <= updates <= 1.5 * about
    assert defaults.max_epochs(preview, batch, learns_labels).why == f"{updates:,} updates"


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=64))
def test_nineteen_of_twenty_sounds_are_whole(seconds: list[float]) -> None:
    longest = defaults.max_seconds(Preview(9, {}, seconds=seconds)).value
    whole = np.mean([length <= longest for length in seconds])
    assert longest == 30.0 or whole >= 0.95
    assert longest <= max(0.5, np.ceil(2 * max(seconds)) / 2)


def test_a_vocabulary_is_as_large_as_its_pieces_are_trained() -> None:
    generator = np.random.default_rng(0)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "ai", "ou")]
    words = ["".join(generator.choice(syllables, 3)) for _ in range(3000)]

    def sizes(count: int) -> int:
        captions = [" ".join(generator.choice(words, 6)) for _ in range(count)]
        chosen = defaults.vocab_size(Preview(count, {"text": "text"}, captions=captions)).value
        tokenizer = Tokenizer.train(captions, chosen)
        seen = Counter(piece for ids in tokenizer(captions) for piece in ids.tolist() if piece)
        held_out = tokenizer([" ".join(generator.choice(words, 6)) for _ in range(200)])
        rare = [seen[piece] < 3 for ids in held_out for piece in ids.tolist() if piece]
        assert np.mean(rare) < 2 * defaults.UNTRAINED
        return chosen

    few, many = sizes(100), sizes(8000)
    assert few < many
    assert few in defaults.VOCABULARIES


def test_without_captions_or_counts_there_is_a_value_too() -> None:
    nothing = Preview(None, {})
    assert defaults.vocab_size(nothing).value == 8000
    assert defaults.batch_size(nothing).value == 128
    assert defaults.max_epochs(nothing, 128, True).value == 5
    assert defaults.text_encoder(nothing).value == "transformer"
    assert defaults.text_encoder(Preview(1000, {})).value == "bow"
    assert defaults.lr(nothing).value == 2e-3
    assert (
        defaults.token_dropout(nothing, True).value
        == defaults.label_smoothing(nothing).value
        == 0.0
    )


@pytest.mark.parametrize(
    ("rates", "rate"), [([8000, 8000, 44100], 8000), ([44100], 16000), ([], 16000)]
)
def test_sounds_keep_their_rate_up_to_16_khz(rates: list[int], rate: int) -> None:
    assert defaults.sample_rate(Preview(9, {}, rates=rates)).value == rate


@pytest.mark.parametrize(
    ("training", "smoothing", "dropout", "lr"), [(5000, 0.1, 0.5, 5e-4), (5001, 0.0, 0.0, 2e-3)]
)
def test_a_small_set_is_regularised(
    training: int, smoothing: float, dropout: float, lr: float
) -> None:
    assert defaults.label_smoothing(Preview(training, {})).value == smoothing
    assert defaults.token_dropout(Preview(training, {}), True).value == dropout
    assert defaults.token_dropout(Preview(training, {}), False).value == 0.0
    assert defaults.lr(Preview(training, {})).value == lr


@pytest.mark.parametrize(
    ("training", "seconds", "mels", "window", "hop"),
    [(5000, 5.0, 40, 0.03, 0.02), (5001, 5.0, 64, 0.025, 0.01), (5000, 5.1, 64, 0.025, 0.01)],
)
def test_few_short_sounds_are_looked_at_coarsely(
    training: int, seconds: float, mels: int, window: float, hop: float
) -> None:
    preview = Preview(training, {}, seconds=[seconds])
    assert (
        defaults.mels(preview).value,
        defaults.window(preview).value,
        defaults.hop(preview).value,
    ) == (
        mels,
        window,
        hop,
    )


@pytest.mark.parametrize(
    ("objective", "name", "mode"),
    [
        ("Classification", "accuracy", "max"),
        ("Regression", "mae", "min"),
        ("MultiLabel", "mean_average_precision", "max"),
        ("Mine", "loss", "min"),
    ],
)
def test_the_loss_chooses_the_checkpoint_of_a_small_set(
    objective: str, name: str, mode: str
) -> None:
    small, large, unknown = (
        defaults.monitor(Preview(training, {}), f"package.{objective}").value
        for training in (defaults.SMALL, defaults.SMALL + 1, None)
    )
    assert small == "val/loss"
    assert large == unknown == f"val/{name}"
    assert defaults.monitor_mode(small).value == "min"
    assert defaults.monitor_mode(large).value == mode
