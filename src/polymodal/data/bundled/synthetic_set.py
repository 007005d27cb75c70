"""Generated samples in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from polymodal.batch import PairedBatch


class SyntheticSet:
    """Some of the samples: a batch is one gather. Captions and waveforms are cut at the longest of
    the batch.

    Args:
        rows: (n,) which samples; also their ids.
        inputs: modality -> (N, ...) of all samples, zeros where it is absent.
        present: modality -> (N,) bool; none where everything is present.
        labels: name -> (N, ...).
        group: (N,) int64.
        padded: the modalities that are cut.
    """

    def __init__(
        self,
        rows: Tensor,
        inputs: dict[str, Tensor],
        present: dict[str, Tensor],
        labels: dict[str, Tensor],
        group: Tensor,
        padded: Sequence[str],
    ) -> None:
        self.rows, self.inputs, self.present, self.labels = rows, inputs, present, labels
        self.group, self.padded = group, padded

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def ids(self) -> np.ndarray:
        """(n,) int64 ids, in order."""
        return self.rows.numpy()

    def labels_of(self, name: str) -> Tensor | None:
        """(n, ...) values of a label; None where there is no such label."""
        return self.labels[name][self.rows] if name in self.labels else None

    def __getitem__(self, indices: list[int]) -> PairedBatch:
        """A list of B indices -> a batch."""
        rows = self.rows[indices]
        inputs = {name: content[rows] for name, content in self.inputs.items()}
        for name in self.padded:
            used = (inputs[name] != 0).any(0).nonzero()
            inputs[name] = inputs[name][:, : int(used.max()) + 1 if len(used) else 1]
        return PairedBatch(
            inputs=inputs,
            items=dict.fromkeys(inputs, rows),
            group=self.group[rows],
            id=rows,
            present={name: there[rows] for name, there in self.present.items()},
            labels={name: label[rows] for name, label in self.labels.items()},
        )
