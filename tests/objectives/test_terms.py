"""Lists of pairs: what they mean, and what is said where they cannot be."""

from typing import Any

import pytest

from polymodal.objectives.terms import Term, pair_terms

NAMES = ["image", "text", "audio"]


def test_pairs_and_anchors_are_terms() -> None:
    assert pair_terms(NAMES, "all", None) == [Term((0, 1)), Term((0, 2)), Term((1, 2))]
    assert pair_terms(NAMES, [["audio", "image"], ["image", "text", 2]], None) == [
        Term((2, 0)),
        Term((0, 1), 2.0),
    ]
    assert pair_terms(NAMES, "all", "text") == [Term((1, 0)), Term((1, 2))]


@pytest.mark.parametrize(
    ("pairs", "anchor", "message"),
    [
        ([["imag", "text"]], None, "pairs: there is no modality 'imag'. Did you mean image?"),
        ([["image", "image"]], None, r"\[image, image\] is a modality with itself"),
        ([["image", "text"], ["text", "image"]], None, r"\[text, image\] is there twice"),
        ([["image"]], None, r"\[image\] is no pair. Write \[first, second\]"),
        (["image", "text"], None, "image is no pair"),
        ([["image", "text", 0]], None, "has the weight 0. It must be a number above 0"),
        ([["image", "text", "audio"]], None, "has the weight 'audio'"),
        ([], None, "there is nothing to align"),
        ("some", None, "pairs=some: write all"),
        ("all", "txt", "anchor: there is no modality 'txt'. Did you mean text?"),
        ([["image", "text"]], "image", "anchor=image and pairs=.* contradict each other"),
    ],
)
def test_what_cannot_be_is_explained(pairs: Any, anchor: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pair_terms(NAMES, pairs, anchor)
