"""What a split holds once it is read: how many samples have which modalities, labels, groups and
items.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LabelFacts:
    """One label of a split.

    Attributes:
        known: samples that have it; where no sample has any tag, their tags are of no use, and
            none.
        distinct: how many different ones there are.
        unseen: number of a class or tag that no training sample has -> samples that have it.
    """

    known: int
    distinct: int
    unseen: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SplitFacts:
    """A split, or the first samples of one that is not counted.

    Attributes:
        samples: how many were looked at.
        whole: whether these are all.
        present: modalities -> samples that have exactly these.
        groups: how many different groups there are.
        items: modality -> how many different items it has; of images different files, of text
            different captions.
        labels: name -> what is known of it.
        shared: modality -> how many of its captions are in several groups.
    """

    samples: int
    whole: bool
    present: Mapping[frozenset[str], int]
    groups: int
    items: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, LabelFacts] = field(default_factory=dict)
    shared: Mapping[str, int] = field(default_factory=dict)

    def having(self, *modalities: str) -> int:
        """Samples that have all of these modalities."""
        return sum(count for names, count in self.present.items() if names.issuperset(modalities))
