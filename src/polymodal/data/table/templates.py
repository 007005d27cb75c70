"""Captions made of few words: each is put into each of some sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polymodal.data.table.contents import Captions, alike
from polymodal.data.table.files import codes_of


class Templated(Captions):
    """Captions in templates. Equal captions are one: their sentences are kept once, and are the
    same items.

    Args:
        captions: K of them, of N samples.
        templates: T sentences with one {} each.
    """

    def __init__(self, captions: Captions, templates: Sequence[str]) -> None:
        self.code, words = codes_of(captions.texts)
        sentences = [_filled(template, words) for template in templates]
        # those of a word together
        order = np.arange(len(words) * len(templates)).reshape(len(templates), -1).T.ravel()
        super().__init__(
            pa.concat_arrays(sentences).take(pa.array(order)), captions.count * len(templates)
        )
        self.alike = alike(self.code, self.code, words)
        self.first, self.ways = captions.first, len(templates)

    def of_samples(self, chosen: np.ndarray) -> pa.Array:
        """The different sentences of some samples; `chosen` is (N,) bool."""
        words = np.unique(self.code[np.repeat(chosen, self.count // self.ways)])
        return self.texts.take(
            pa.array((words[:, None] * self.ways + np.arange(self.ways)).ravel())
        )

    def of_each(self) -> tuple[np.ndarray, np.ndarray]:
        """(K,) the sample of each caption, and (K,) a number that captions share which say the
        same.
        """
        count = self.count // self.ways
        return np.repeat(np.arange(len(count)), count), self.alike

    def item(self, sample: int, turn: int) -> int:
        """The number of a sentence."""
        caption, way = divmod(turn % max(1, int(self.count[sample])), self.ways)
        return int(self.code[self.first[sample] + caption]) * self.ways + way


def _filled(template: str, words: pa.Array) -> pa.Array:
    before, after = (pa.scalar(part, words.type) for part in template.split("{}"))
    return pc.binary_join_element_wise(before, words, after, pa.scalar("", words.type))
