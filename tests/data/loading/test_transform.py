"""A batch is changed at random in training alone, and each sample alike on one process and on
several."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from polymodal.batch import PAD, PairedBatch
from polymodal.data.loading.columns import ColumnChoice
from polymodal.data.loading.transform import BatchTransform

END = 9
COLUMNS = ColumnChoice({"image": "file", "text": "caption"}, {})


def transform(**given: float) -> BatchTransform:
    settings = {"shift": 0.0, "scale": 0.0, "flip": 0.0, "token_dropout": 0.0} | given
    return BatchTransform(COLUMNS, 1, [0.5], [0.25], **settings)


def batch(rows: slice = slice(None)) -> PairedBatch:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (64, 1, 8, 8), dtype=torch.uint8)
    ids = torch.cat(
        [torch.randint(1, 9, (64, 20)), torch.full((64, 1), END), torch.full((64, 3), PAD)], dim=1
    )
    number = torch.arange(64)
    items = {"image": number, "text": number}
    return PairedBatch({"image": images, "text": ids}, items, group=number, id=number).rows(rows)


def test_two_halves_of_a_batch_are_changed_as_the_whole_is() -> None:
    change = transform(shift=0.1, scale=0.1, flip=0.5, token_dropout=0.5)
    assert change.varying == ["image", "text"]
    whole = change(batch(), salt=3)
    for rows in (slice(0, 32), slice(32, 64)):
        half = change(batch(rows), salt=3)
        for name in ("image", "text"):
            torch.testing.assert_close(
                half.inputs[name], whole.inputs[name][rows], rtol=0, atol=1e-6
            )
    other = change(batch(), salt=4)
    changed = [
        (whole.inputs[name] != other.inputs[name]).flatten(1).any(1) for name in ("image", "text")
    ]
    assert all(part.all() for part in changed)


def test_outside_of_training_nothing_is_random() -> None:
    change = transform(shift=0.1, scale=0.1, flip=0.5, token_dropout=0.5)
    found = change(batch(), salt=None)
    torch.testing.assert_close(found.inputs["image"], (batch().inputs["image"] / 255 - 0.5) / 0.25)
    assert torch.equal(found.inputs["text"], batch().inputs["text"])


def test_tokens_that_are_no_text_stay() -> None:
    found = transform(token_dropout=0.5)(
        batch(), 3, SimpleNamespace(special_ids=[PAD, END])
    ).inputs["text"]
    assert ((found == END).sum(1) == 1).all()
    lost = 1 - (found != PAD).sum() / (batch().inputs["text"] != PAD).sum()
    assert 0.4 < lost < 0.55
    assert transform(token_dropout=0.5).varying == ["text"]
