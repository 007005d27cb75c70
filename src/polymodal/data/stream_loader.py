"""A loader of a training stream that can go on where another one was stopped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torchdata.stateful_dataloader import StatefulDataLoader

from polymodal.batch import PairedBatch
from polymodal.data.stream import TrainingStream


class StreamLoader(StatefulDataLoader[PairedBatch]):
    """Batches of a stream. Its state says which epoch it is, and how far each loading process is in it.

    A stream without a length is read one batch ahead by Lightning, which must know which batch is the last. The state
    is then that before this batch.

    Args:
        stream: gives whole batches.
        num_workers: loading processes.
    """

    def __init__(self, stream: TrainingStream, num_workers: int) -> None:
        pin = torch.cuda.is_available()
        super().__init__(stream, batch_size=None, collate_fn=_unchanged, num_workers=num_workers, pin_memory=pin)
        self.stream = stream
        self.sampler.set_epoch = stream.set_epoch  # type: ignore[attr-defined]  # Lightning tells samplers alone
        self.is_counted = stream.epoch_samples is not None
        self.given = 0
        self.behind: dict[str, Any] | None = None
        self.at_end = False

    def __iter__(self) -> Iterator[PairedBatch]:  # type: ignore[override]
        """The batches of an epoch, or what is left of it."""
        self.given, self.at_end = (0 if self.next_iter_state is None else self.given), False
        return self._noted(super().__iter__())

    def _noted(self, batches: Iterator[PairedBatch]) -> Iterator[PairedBatch]:
        while True:
            self.behind = None if self.is_counted else super().state_dict()
            batch = next(batches, None)
            if batch is None:
                self.at_end = True
                return
            self.given += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """As plain data; at the end of an epoch it is the beginning of the next."""
        if self.at_end or (self.is_counted and self.given == len(self)):
            return {"epoch": self.stream.epoch + 1, "given": 0, "loader": {}}
        return {"epoch": self.stream.epoch, "given": self.given, "loader": self.behind or super().state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The next iteration goes on there."""
        self.stream.set_epoch(state_dict["epoch"])
        self.given, self.at_end = state_dict["given"], False
        super().load_state_dict(state_dict["loader"])


def _unchanged(batch: Any) -> Any:
    return batch
