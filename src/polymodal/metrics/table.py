"""What an evaluation collects, whatever it is: each sample once, in one order."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors


class SampleTable:
    """Columns of all samples of an evaluation, over all batches and processes; memory grows with N.

    Figures of whole columns in one order do not depend on how the split was cut, not even in the last digit.
    No metric of torchmetrics: these take the dimensions from a table of one sample.

    Args:
        columns: their names.
    """

    def __init__(self, *columns: str) -> None:
        self.columns = ("id", *columns)
        self.reset()

    def __len__(self) -> int:
        """Batches that this process has seen."""
        return len(self.batches["id"])

    def update(self, id: Tensor, **columns: Tensor) -> None:
        """Adds B samples: id (B,) int64, and (B, ...) of each column; B may be 0."""
        for name in self.columns:
            self.batches[name].append(id if name == "id" else columns[name].detach())

    def compute(self) -> dict[str, Tensor]:
        """Column -> (N, ...) on the CPU, sorted by `id`; a sample that was seen twice is in it once.

        Raises:
            ValueError: no batch was seen.
        """
        if len(self) == 0:
            raise ValueError("No sample was evaluated: the split is empty.")
        table = {name: _of_all_processes(torch.cat(batches)) for name, batches in self.batches.items()}
        order = table["id"].argsort(stable=True)
        ids = table["id"][order]
        is_first = torch.ones_like(ids, dtype=torch.bool)
        is_first[1:] = ids[1:] != ids[:-1]
        return {name: column[order[is_first]] for name, column in table.items()}

    def reset(self) -> None:
        """Forgets all samples."""
        self.batches: dict[str, list[Tensor]] = {name: [] for name in self.columns}


def _of_all_processes(rows: Tensor) -> Tensor:
    if dist.is_available() and dist.is_initialized():
        rows = torch.cat(gather_all_tensors(rows))
    return rows.cpu()
