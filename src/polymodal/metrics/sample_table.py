"""What an evaluation collects, whatever it is: each sample once, in one order."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class SampleTable:
    """Columns of all samples of an evaluation, over all batches and processes; memory grows with N.

    Metrics of whole columns in one order do not depend on how the split was cut, not even in the
    last digit. No metric of torchmetrics: these take the dimensions from a table of one sample, and
    wait for ever where a process had no batch.

    Args:
        columns: their names.

    Attributes:
        is_shared: whether `compute` takes the samples of all processes; else one process can
            compute alone.
    """

    is_shared = True

    def __init__(self, *columns: str) -> None:
        self.columns = ("id", *columns)
        self.reset()

    def update(self, id: Tensor, **columns: Tensor) -> None:
        """Adds B samples: id (B,) int64, and (B, ...) of each column; B may be 0."""
        for name in self.columns:
            self.batches[name].append(id if name == "id" else columns[name].detach())

    def compute(self, device: str | None = "cpu") -> dict[str, Tensor]:
        """Column -> (N, ...), sorted by `id`; a sample that was seen twice is in it once.

        Args:
            device: where to; None leaves them where they are.

        Raises:
            ValueError: no process has seen a batch.
        """
        own = {name: torch.cat(batches) for name, batches in self.batches.items() if batches}
        # the parts are not needed beside the whole
        self.batches |= {name: [column] for name, column in own.items()}
        table = of_all_processes(own) if self.is_shared else own
        if device is not None:
            table = {name: column.to(device) for name, column in table.items()}
        return each_once(table)

    def reset(self) -> None:
        """Forgets all samples."""
        self.batches: dict[str, list[Tensor]] = {name: [] for name in self.columns}


def of_all_processes(own: dict[str, Tensor]) -> dict[str, Tensor]:
    """The rows of every process, rank after rank; one without any batch, and so without columns,
    takes part too.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return own
    layouts: list[dict[str, Any]] = [{} for _ in range(dist.get_world_size())]
    dist.all_gather_object(
        layouts, {name: (len(c), c.shape[1:], c.dtype, c.device.type) for name, c in own.items()}
    )
    table = {}
    for name, (_, shape, dtype, device) in next(filter(None, layouts), {}).items():
        counts = [layout[name][0] if layout else 0 for layout in layouts]
        # collectives want equal shapes
        padded = torch.zeros(max(counts), *shape, dtype=dtype, device=device)
        if own:
            padded[: len(own[name])] = own[name]
        parts = [torch.empty_like(padded) for _ in layouts]
        dist.all_gather(parts, padded)
        table[name] = torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
    return table


def each_once(table: dict[str, Tensor]) -> dict[str, Tensor]:
    """Columns of samples -> the same, sorted by `id`; a sample that was seen twice is in it once.

    Raises:
        ValueError: there is no sample.
    """
    if not table:
        raise ValueError("No sample was evaluated: the split is empty.")
    step = table["id"].diff()
    if (step > 0).all():  # on one process, as a rule: nothing to copy
        return table
    order = table["id"].argsort(stable=True)
    ids = table["id"][order]
    is_first = torch.ones_like(ids, dtype=torch.bool)
    is_first[1:] = ids[1:] != ids[:-1]
    return {name: column[order[is_first]] for name, column in table.items()}
