"""Settings that follow the data where a config says `auto`: each a rule, and why its value was
chosen.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from typing import Any, NamedTuple

from polymodal.data.auto.preview import Preview, is_small
from polymodal.data.text.tokenizer import Tokenizer

SMALL = 5_000
"""Up to so many training samples a set is small: word order and fine detail are learned by
heart."""

UPDATES = 1_500
"""Optimizer steps of a run, where the epochs follow the data."""

UPDATES_OF_LABELS = 600
"""The same where labels of a small set are learned: soon they are known by heart."""

FEW_UPDATES = 500
"""A run of less is warned of."""

OF_LABELS = {
    "Classification": "accuracy",
    "MultiLabel": "mean_average_precision",
    "Regression": "mae",
}
"""Objective -> the metric that chooses a checkpoint of a large set."""

VOCABULARIES = (300, 500, 1000, 2000, 4000, 8000, 16_000)
"""Sizes that a vocabulary may have."""

UNTRAINED = 0.08
"""Of the pieces of captions that were held out, so many at most may be such that training shows
less than 3 times."""


class Setting(NamedTuple):
    """A value that was chosen.

    Attributes:
        value: it.
        why: a few words for the user.
    """

    value: Any
    why: str


def vocab_size(preview: Preview) -> Setting:
    """The largest vocabulary whose pieces training shows often enough, by a look at captions that
    are held out.
    """
    captions = sorted(set(preview.captions))
    if not captions:
        return Setting(VOCABULARIES[-2], "no captions were seen")
    held_out = captions[::10] if len(captions) >= 50 else captions
    training = [
        caption for number, caption in enumerate(captions) if number % 10 or len(captions) < 50
    ]
    largest = Tokenizer.train(training, VOCABULARIES[-1], context_length=512)
    pieces = largest.vocab_size
    first = pieces - largest.merges
    chosen = VOCABULARIES[0]
    for size in VOCABULARIES:
        coarser = largest.coarser(max(0, size - first))
        seen = Counter(piece for ids in coarser(training) for piece in ids.tolist() if piece)
        asked = [piece for ids in coarser(held_out) for piece in ids.tolist() if piece]
        share = sum(seen[piece] < 3 for piece in asked) / max(1, len(asked))
        if share > UNTRAINED:
            break
        chosen = size
        if size >= pieces:
            break
    return Setting(
        min(chosen, max(pieces, VOCABULARIES[0])), f"{len(captions):,} different captions"
    )


def batch_size(preview: Preview) -> Setting:
    """The power of two that is nearest to a tenth of the training samples, from 16 to 256."""
    if preview.training is None:
        return Setting(128, "samples are not counted before the run")
    power = round(math.log2(max(1, preview.training) / 10))
    return Setting(2 ** min(8, max(4, power)), f"{preview.training:,} training samples")


def max_epochs(preview: Preview, batch: int, learns_labels: bool) -> Setting:
    """Epochs of about 1,500 updates together, or 600 for labels of a small set: 3 at least, 100 at
    most.
    """
    if preview.training is None:
        return Setting(5, "samples are not counted before the run")
    updates = UPDATES_OF_LABELS if learns_labels and is_small(preview, SMALL) else UPDATES
    each = max(1, math.ceil(preview.training / batch))
    epochs = min(100, max(3, round(updates / each)))
    return Setting(epochs, f"{epochs * each:,} updates")


def image_size(preview: Preview) -> Setting:
    """32 pixels for small images and small sets, else 64."""
    if not preview.sides:
        return Setting(64, "no image was seen")
    side = round(statistics.median(preview.sides))
    small = side <= 48 or (is_small(preview, SMALL) and side <= 128)
    return Setting(32 if small else 64, f"images of about {side} pixels")


def channels(preview: Preview) -> Setting:
    """1 where no image has a colour, else 3."""
    return Setting(1, "grey images") if preview.grey else Setting(3, "images with colours")


def max_seconds(preview: Preview) -> Setting:
    """So long that 19 of 20 sounds are whole, in half seconds; 30 at most."""
    if not preview.seconds:
        return Setting(30.0, "no sound was seen")
    ordered = sorted(preview.seconds)
    longest = ordered[min(len(ordered) - 1, math.ceil(0.95 * len(ordered)))]
    chosen = min(30.0, max(0.5, math.ceil(2 * longest) / 2))
    return Setting(chosen, f"19 of 20 sounds are shorter than {longest:.1f} s")


def sample_rate(preview: Preview) -> Setting:
    """That of most sounds, 16 kHz at most."""
    if not preview.rates:
        return Setting(16_000, "no sound was seen")
    rate = Counter(preview.rates).most_common(1)[0][0]
    return Setting(max(4_000, min(16_000, rate)), f"sounds of {rate:,} Hz")


def mels(preview: Preview) -> Setting:
    """40 bands for short sounds of a small set, else 64."""
    return _coarse(preview, 40, 64)


def window(preview: Preview) -> Setting:
    """Windows of 30 ms for short sounds of a small set, else 25."""
    return _coarse(preview, 0.03, 0.025)


def hop(preview: Preview) -> Setting:
    """A frame in 20 ms for short sounds of a small set, at half the cost, else in 10."""
    return _coarse(preview, 0.02, 0.01)


def _coarse(preview: Preview, coarse: float, fine: float) -> Setting:
    """Of how fine the spectrogram is."""
    is_short = bool(preview.seconds) and statistics.median(preview.seconds) <= 5
    if is_short and is_small(preview, SMALL):
        return Setting(coarse, "short sounds, and few")
    return Setting(fine, "long sounds, or many")


def outputs(preview: Preview) -> Setting:
    """The classes, tags or values of the label."""
    if preview.classes is None:
        return Setting(1, "no label")
    return Setting(preview.classes, "what the label has")


def shift(preview: Preview) -> Setting:
    """Images of a small set are moved a little in training."""
    return Setting(0.1, "a small set") if is_small(preview, SMALL) else Setting(0.0, "a large set")


def scale(preview: Preview) -> Setting:
    """Images of a small set are zoomed a little in training."""
    return Setting(0.2, "a small set") if is_small(preview, SMALL) else Setting(0.0, "a large set")


def token_dropout(preview: Preview, is_bag: bool) -> Setting:
    """A bag of words learns the captions of a small set by heart, unless half of the tokens are
    lost in training.
    """
    if not is_bag:
        return Setting(0.0, "the order of the words counts")
    return Setting(0.5, "a small set") if is_small(preview, SMALL) else Setting(0.0, "a large set")


def label_smoothing(preview: Preview) -> Setting:
    """Of a small set the model is not to be sure of what it has learned by heart."""
    return Setting(0.1, "a small set") if is_small(preview, SMALL) else Setting(0.0, "a large set")


def monitor(preview: Preview, objective: str) -> Setting:
    """What chooses the checkpoint where labels are learned. Of a small set that is the loss: its
    other metrics change by a percent with one sample.

    Args:
        preview: of the data.
        objective: its class.
    """
    if is_small(preview, SMALL):
        return Setting("val/loss", "a small set")
    name = OF_LABELS.get(objective.rpartition(".")[2], "loss")
    return Setting(f"val/{name}", "a large set")


def monitor_mode(name: str) -> Setting:
    """Whether less of a metric is better, or more."""
    less = name.endswith(("loss", "mae", "rmse", "ece", "_rank"))
    return Setting("min" if less else "max", f"of {name}")


def lr(preview: Preview) -> Setting:
    """Small steps for a small set: large ones learn it by heart before the metric of validation has
    settled.
    """
    return (
        Setting(5e-4, "a small set") if is_small(preview, SMALL) else Setting(2e-3, "a large set")
    )


def text_encoder(preview: Preview) -> Setting:
    """Words without their order for a small set, else a transformer."""
    if preview.training is None:
        return Setting("transformer", "the data have text")
    return (
        Setting("bow", "a small set")
        if is_small(preview, SMALL)
        else Setting("transformer", "a large set")
    )
