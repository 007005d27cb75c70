"""Equal captions of different samples: which groups are one because of them, and which captions are
in several.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from polymodal.data.table.contents import Captions, Content


def joined_by_captions(group: np.ndarray, contents: Mapping[str, Content]) -> np.ndarray:
    """(N,) groups -> the same, where those with the very same captions are one, under the number of
    the first.

    Groups that have only some of their captions in common stay apart: else a sentence such as "a
    photo" would join what has nothing to do with each other. With two modalities or more beside the
    text they all stay apart: equal captions say nothing of whether an image goes with a sound.

    Args:
        group: (N,) int64.
        contents: modality -> what it holds of the N samples.
    """
    texts = [content for content in contents.values() if isinstance(content, Captions)]
    if not texts or len(contents) - len(texts) > 1:
        return group
    parts = [content.of_each() for content in texts]
    code = np.concatenate(
        [own.astype(np.int64) * len(texts) + number for number, (_, own) in enumerate(parts)]
    )
    of = np.concatenate([group[sample] for sample, _ in parts])
    of, code = np.unique(np.stack([of, code]), axis=1)
    # groups of equal sets have equal sums of 128 random bits a caption
    total = np.zeros((group.max() + 1, 2), dtype=np.uint64)
    np.add.at(total, of, np.stack([_mixed(code, salt) for salt in (1, 2)], 1))
    captioned = np.unique(of)
    _, first, same = np.unique(total[captioned], axis=0, return_index=True, return_inverse=True)
    one = np.arange(len(total))
    one[captioned] = captioned[first][same.ravel()]
    return one[group]


def in_several_groups(
    group: np.ndarray, content: Captions, chosen: np.ndarray | None = None
) -> int:
    """How many different captions are in several groups; `chosen` are some of the samples, (n,)."""
    sample, code = content.of_each()
    if chosen is not None:
        used = np.isin(sample, chosen)
        sample, code = sample[used], code[used]
    pairs = np.unique(np.stack([code.astype(np.int64), group[sample]]), axis=1)
    return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())


def _mixed(number: np.ndarray, salt: int) -> np.ndarray:
    """(K,) int64 -> uint64 that look random (splitmix64)."""
    value = (number.astype(np.uint64) + np.uint64(salt << 60)) * np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
