"""Predictions of a split, written while the trainer goes through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
import torch.distributed as dist
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.data.datamodule import PairedDataModule
from polymodal.inference.predictions import prediction_columns, predictions_of
from polymodal.inference.table_writer import TableWriter, as_vectors
from polymodal.objectives.supervised import Supervised
from polymodal.outputs import ModelOutput

ROWS = 8192
"""Rows of a part: what is held in memory, and what is lost when the process is stopped."""

Content = Literal["vectors", "predictions", "outputs"]
"""The columns beside the id: X, the fused vector and the prediction; the prediction alone; Y."""


class RemainingSamples(LightningDataModule):
    """The samples of a split of which no row is written yet.

    Args:
        data: the whole data.
        split: train, val or test.
        modalities: names of the rows of X.
        table: the rows that are written already.
    """

    dataset: Any = None

    def __init__(
        self, data: PairedDataModule, split: str, modalities: list[str], table: TableWriter
    ) -> None:
        super().__init__()
        self.data, self.split, self.modalities, self.table = data, split, modalities, table

    def prepare_data(self) -> None:
        """Once on each machine."""
        self.data.prepare_data()

    def setup(self, stage: str) -> None:
        """Reads the data. They may have too few training samples to train on."""
        self.data.setup("test")

    def predict_dataloader(self) -> Any:
        """Batches of the remaining samples, sharded over the processes; [] where there is none."""
        assert self.trainer is not None
        self.data.trainer = self.trainer
        self.dataset = self.data.remaining(self.split, self.modalities, self.table.done(self.split))
        self.trainer.strategy.barrier()  # no process writes before all know what remains
        return [] if self.dataset is None else self.data._loader(self.split, self.dataset)

    def on_after_batch_transfer(self, batch: PairedBatch, dataloader_idx: int) -> PairedBatch:
        """The batch as the model takes it; a modality that the data lack is absent."""
        batch = self.data.on_after_batch_transfer(batch, dataloader_idx)
        for name in set(self.modalities) - batch.inputs.keys():
            batch.inputs[name] = torch.zeros(len(batch), 1, device=batch.id.device)
            batch.items[name] = batch.id
            batch.present[name] = torch.zeros_like(batch.id, dtype=torch.bool)
        return batch


class PredictionWriter(BasePredictionWriter):
    """Writes a row for each sample of `RemainingSamples`, unreadable samples included.

    Args:
        table: where the rows go.
        modalities: names of the rows of X.
        objective: reads Y; None where the model has no Y.
        label: the column of the training labels, or the columns of its values.
        names: class names.
        content: which columns are written.
    """

    samples: RemainingSamples

    def __init__(
        self,
        table: TableWriter,
        modalities: list[str],
        objective: Supervised | None,
        label: str | Sequence[str],
        names: Sequence[str] | None,
        content: Content,
    ) -> None:
        super().__init__("batch")
        self.table, self.modalities, self.content = table, modalities, content
        self.objective, self.label, self.names = objective, label, names
        self.buffer: list[dict[str, Tensor]] = []
        self.unreadable: dict[int, str] = {}

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the samples, which know where each of them is from."""
        self.samples = trainer.datamodule  # type: ignore[attr-defined]

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: ModelOutput,
        batch_indices: Sequence[int] | None,
        batch: PairedBatch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Buffers the rows of a batch, and writes a part when there are enough."""
        self.buffer.append(self._tensors(prediction, batch))
        self.unreadable |= batch.left_out
        rows = sum(len(tensors["id"]) for tensors in self.buffer) + len(self.unreadable)
        if rows >= ROWS:
            self.flush()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the last part."""
        self.flush()

    def flush(self) -> None:
        """Writes the buffer as one table: a small one takes about as long as a large one."""
        tables = []
        if self.unreadable:
            columns = self._origin(np.array(list(self.unreadable)))
            columns["error"] = pa.array(self.unreadable.values(), pa.string())
            tables.append(pa.table(columns))
        if self.buffer:
            keys = self.buffer[0]
            tables.append(
                self._rows({key: torch.cat([t[key] for t in self.buffer]) for key in keys})
            )
        if any(map(len, tables)):
            part = pa.concat_tables(tables, promote_options="permissive")
            rank = dist.get_rank() if dist.is_initialized() else 0
            self.table.add(part, self.samples.split, rank)
        self.buffer, self.unreadable = [], {}

    def _tensors(self, output: ModelOutput, batch: PairedBatch) -> dict[str, Tensor]:
        """What the rows need of a batch, on the CPU. A sample with the id -1 is padding."""
        tensors = {"id": batch.id, "mask": output.mask}
        tensors |= {f"{name}_item": batch.items[name] for name in self.modalities}
        if self.objective is not None and output.y is not None:
            tensors["y"] = output.y
        if self.content == "vectors":
            tensors["x"] = output.x.float()
            if output.fused is not None:
                tensors["fused"] = output.fused.float()
        real = batch.id >= 0
        return {key: values[real].cpu() for key, values in tensors.items()}

    def _rows(self, tensors: Mapping[str, Tensor]) -> pa.Table:
        """A table of samples that could be read."""
        ids = tensors["id"].numpy()
        columns = self._origin(ids)
        if self.content == "outputs":
            return pa.table(columns | {"y": _vectors(tensors["y"].float().numpy())})
        for index, name in enumerate(self.modalities):
            columns |= self._modality(name, index, tensors)
        if "fused" in tensors:
            columns["fused"] = _vectors(tensors["fused"].numpy())
        if "y" in tensors:
            columns |= self._predictions(tensors["y"])
        columns["error"] = pa.nulls(len(ids), pa.string())
        return pa.table(columns)

    def _origin(self, ids: np.ndarray) -> dict[str, Any]:
        """Columns that say which samples these are."""
        if self.content == "outputs":
            return {"id": ids}
        sources = pa.array(self.samples.dataset.places(ids), pa.string())
        return {"id": ids, "split": pa.repeat(self.samples.split, len(ids)), "source": sources}

    def _modality(self, name: str, index: int, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """Columns of one modality: its caption or file and, among vectors, its item and vector."""
        items, present = tensors[f"{name}_item"].numpy(), tensors["mask"][:, index].numpy()
        words = self.samples.data.words(name, items) if present.any() else [None] * len(items)
        caption = pa.array(words, pa.string(), mask=~present)
        if self.content == "vectors":
            return {
                f"{name}_item": pa.array(items, mask=~present),
                f"{name}_words": caption,
                name: as_vectors(tensors["x"][:, index].numpy(), present),
            }
        # a stream keeps no captions: the source says which sample it is
        return {name: caption} if caption.null_count < len(caption) else {}

    def _predictions(self, y: Tensor) -> dict[str, Any]:
        """Columns of the prediction; among vectors, all probabilities are one column."""
        assert self.objective is not None
        if self.content == "predictions":
            return prediction_columns(self.objective, y, self.label, self.names)
        predicted = predictions_of(self.objective, y, self.names)
        columns: dict[str, Any] = {"prediction": predicted.prediction}
        if predicted.probability is not None:
            columns["probability"] = _vectors(predicted.probability)
        return columns


def _vectors(values: np.ndarray) -> pa.Array:
    """(N, d) -> a column of N vectors, none of them null."""
    return as_vectors(values, np.ones(len(values), dtype=bool))
