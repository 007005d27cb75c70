"""Samples of a manifest: a batch is read item by item, and what cannot be read is rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from polymodal.batch import PairedBatch
from polymodal.data.loading.bad_samples import BadSampleError, Skips
from polymodal.data.loading.dataset import BatchIndices
from polymodal.data.loading.facts import LabelFacts, SplitFacts
from polymodal.data.table.contents import Captions, Content, padded
from polymodal.data.table.file_column import FileColumn
from polymodal.data.table.groups import in_several_groups
from polymodal.errors import DataError
from polymodal.hashing import hashed_uniform


@dataclass
class Samples:
    """All N samples, of all splits.

    Attributes:
        contents: modality -> its items.
        labels: name -> (N, ...).
        group: (N,) int64.
        row: (N,) int64, the row of the manifest, for messages.
        skips: where unreadable samples are noted.
        eval_captions: so many captions of a sample are used in evaluation; None for all.
    """

    contents: Mapping[str, Content]
    labels: Mapping[str, np.ndarray]
    group: np.ndarray
    row: np.ndarray
    skips: Skips
    eval_captions: int | None = None

    def __post_init__(self) -> None:
        counts = [content.count for content in self.contents.values()]
        self.turns = np.max([*counts, np.ones_like(self.row)], axis=0)
        self.first_id = np.cumsum(self.turns) - self.turns
        self.sometimes = {
            name for name, content in self.contents.items() if (content.count == 0).any()
        }

    def rows_of(self, ids: np.ndarray) -> np.ndarray:
        """(B,) ids of samples -> (B,) their rows in the table."""
        return self.row[np.searchsorted(self.first_id, ids, "right") - 1]

    def facts(self, chosen: np.ndarray, trained: np.ndarray) -> SplitFacts:
        """What some samples hold; `chosen` is (n,), and `trained` are the training samples."""
        there = {name: content.count[chosen] > 0 for name, content in self.contents.items()}

        # a bit a modality: samples with the same modalities have the same number
        code = sum(mask.astype(np.int64) << bit for bit, mask in enumerate(there.values()))
        numbers, counts = np.unique(np.broadcast_to(code, len(chosen)), return_counts=True)
        present = {
            frozenset(name for bit, name in enumerate(there) if number >> bit & 1): int(count)
            for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)
        }

        # of numbers nobody asks how many different ones there are
        counted = {
            name: content
            for name, content in self.contents.items()
            if isinstance(content, Captions | FileColumn)
        }
        return SplitFacts(
            samples=len(chosen),
            whole=True,
            present=present,
            groups=len(np.unique(self.group[chosen])),
            items={name: content.distinct(chosen) for name, content in counted.items()},
            shared={
                name: in_several_groups(self.group, content, chosen)
                for name, content in self.contents.items()
                if isinstance(content, Captions)
            },
            labels={
                name: label_facts(values[chosen], values[trained])
                for name, values in self.labels.items()
            },
        )


def label_facts(values: np.ndarray, trained: np.ndarray) -> LabelFacts:
    """(n,) classes, (n, C) tags or (n,) or (n, p) values, and those of training -> what is known of
    them.
    """
    rows = values[:, None] if values.ndim == 1 else values
    known = rows[(np.isfinite(rows) & (rows >= 0 if rows.dtype.kind == "i" else True)).any(1)]
    if rows.dtype.kind == "i" and values.ndim == 2 and not (known == 1).any():
        known = known[:0]
    unseen: dict[int, int] = {}
    if rows.dtype.kind == "i" and len(trained):
        own, before = (_counts(part, int(values.max(initial=0))) for part in (values, trained))
        unseen = {
            int(number): int(own[number]) for number in np.flatnonzero((own > 0) & (before == 0))
        }
    return LabelFacts(len(known), len(np.unique(known, axis=0)), unseen)


def _counts(values: np.ndarray, highest: int) -> np.ndarray:
    """(n,) classes or (n, C) tags -> how many samples have each."""
    if values.ndim == 2:
        return (values == 1).sum(0)
    return np.bincount(values[(values >= 0) & (values <= highest)], minlength=highest + 1)


class SampleSet:
    """A split. In training a sample is in it once, with one of its captions at random; else once
    with each of them.

    Args:
        samples: of all splits.
        chosen: (n,) the samples of this split.
        training: whether it is for training.
    """

    def __init__(self, samples: Samples, chosen: np.ndarray, training: bool) -> None:
        self.samples, self.training = samples, training
        turns = np.minimum(samples.turns[chosen], samples.eval_captions or samples.turns.max())
        self.chosen = chosen if training else np.repeat(chosen, turns)
        self.turn = (
            np.arange(len(self.chosen)) - np.repeat(np.cumsum(turns) - turns, turns)
            if not training
            else None
        )

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, indices: list[int]) -> PairedBatch:
        """A list of B indices -> a batch; smaller where a sample is left out.

        Where all of them are, it is the next sample alone: a step needs one, and evaluations count
        a sample once.

        Raises:
            DataError: a sample cannot be read and is not to be skipped, or none of the split can.
        """
        last, epoch = indices[-1], BatchIndices.of(indices).epoch
        for following in range(last, last + len(self)):
            if batch := self._batch(
                indices if following == last else [following % len(self)], epoch
            ):
                return batch
        raise DataError(f"No sample of a split can be read. {self.samples.skips.summary()}")

    def labels_of(self, name: str) -> torch.Tensor | None:
        """(n, ...) values of a label; None where there is no such label."""
        labels = self.samples.labels
        return _label(labels[name][self.chosen]) if name in labels else None

    @property
    def ids(self) -> np.ndarray:
        """(n,) int64 ids of what is asked for in evaluation, in order."""
        return self.samples.first_id[self.chosen] + (0 if self.turn is None else self.turn)

    def places(self, ids: np.ndarray) -> list[str]:
        """The row of the manifest that each id is of, in words."""
        sample = np.searchsorted(self.samples.first_id, ids, "right") - 1
        return [self.samples.skips.place(row) for row in self.samples.row[sample].tolist()]

    def _batch(
        self, indices: list[int], epoch: int, left_out: dict[int, str] | None = None
    ) -> PairedBatch | None:
        """Some samples; with `left_out` those that cannot be used are noted there, each time that
        they come.
        """
        samples, sample = self.samples, self.chosen[indices]
        if self.turn is None:
            share = hashed_uniform(
                torch.from_numpy(sample), epoch
            ).numpy()  # a sample's own, in whichever batch it is
            turn = (share * samples.turns[sample]).astype(np.int64)
        else:
            turn = self.turn[indices]

        # a sample that cannot be read is left out, and noted
        kept: list[int] = []
        arrays: list[list[np.ndarray]] = []
        for position, (number, way) in enumerate(zip(sample.tolist(), turn.tolist(), strict=True)):
            if samples.skips.reasons[samples.row[number]] and left_out is None:
                continue
            try:
                arrays.append(self._arrays(number, way))
            except BadSampleError as error:
                samples.skips.reject(int(samples.row[number]), error)
                if left_out is not None:
                    left_out[int(samples.first_id[number]) + way] = str(error)
            else:
                kept.append(position)
        if not kept:
            return None
        sample, turn = sample[kept], turn[kept]

        # what is left is the batch
        items = {
            name: [content.item(*pair) for pair in zip(sample.tolist(), turn.tolist(), strict=True)]
            for name, content in samples.contents.items()
        }
        return PairedBatch(
            inputs={
                name: padded(parts)
                for name, parts in zip(items, zip(*arrays, strict=True), strict=True)
            },
            items={name: torch.tensor(numbers) for name, numbers in items.items()},
            group=torch.from_numpy(samples.group[sample]),
            id=torch.from_numpy(samples.first_id[sample] + turn),
            present={
                name: torch.from_numpy(samples.contents[name].count[sample] > 0)
                for name in samples.sometimes
            },
            labels={name: _label(values[sample]) for name, values in samples.labels.items()},
        )

    def complete(self, modalities: Sequence[str]) -> CompleteSampleSet:
        """The same split for a model of these modalities, with all that cannot be read."""
        contents = {
            name: content for name, content in self.samples.contents.items() if name in modalities
        }
        samples = replace(self.samples, contents=contents, labels={})
        return CompleteSampleSet(samples, np.unique(self.chosen), training=False)

    def _arrays(self, sample: int, turn: int) -> list[np.ndarray]:
        """What each modality holds.

        Raises:
            BadSampleError: one cannot be read.
        """
        return [self._read(content, sample, turn) for content in self.samples.contents.values()]

    @staticmethod
    def _read(content: Content, sample: int, turn: int) -> np.ndarray:
        return content.read(content.item(sample, turn)) if content.count[sample] else content.blank


class CompleteSampleSet(SampleSet):
    """A split as it is evaluated, of which every sample is in a batch or in its `left_out`."""

    def __getitem__(self, indices: list[int]) -> PairedBatch:
        """A batch; where none of its samples can be read it is one that means nothing, with the id
        -1.
        """
        left_out: dict[int, str] = {}
        batch = self._batch(indices, 0, left_out) or self._empty_batch()
        batch.left_out = left_out
        return batch

    def _empty_batch(self) -> PairedBatch:
        none, contents = torch.full((1,), -1), self.samples.contents
        ones = {
            name: torch.ones_like(torch.from_numpy(content.blank))[None]
            for name, content in contents.items()
        }
        return PairedBatch(ones, dict.fromkeys(contents, none), none, none)

    def _arrays(self, sample: int, turn: int) -> list[np.ndarray]:
        contents = self.samples.contents
        if not any(content.count[sample] for content in contents.values()):
            raise BadSampleError("missing field", f"none of {', '.join(contents)} is there.")
        return super()._arrays(sample, turn)


def _label(values: np.ndarray) -> torch.Tensor:
    tensor = torch.from_numpy(values)
    return tensor if tensor.is_floating_point() else tensor.long()
