"""What a trained model says of any amount of data, written as it comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch
import torch.distributed as dist
from lightning.pytorch import LightningDataModule
from lightning.pytorch.callbacks import ProgressBar
from omegaconf import open_dict
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.callbacks.evaluated import of_all
from polymodal.callbacks.progress_bar import name_task
from polymodal.cli.programs import EmbedSettings
from polymodal.config.check import check_config
from polymodal.config.environment import is_first_process
from polymodal.config.secrets import mask
from polymodal.data.datamodule import PairedDataModule
from polymodal.data.loading.splits import SPLITS
from polymodal.data.table.module import TableData
from polymodal.errors import ConfigError
from polymodal.files import check_output
from polymodal.inference.predictions import NO_ANSWERS, answer_columns, answers
from polymodal.inference.table_writer import Parts, as_vectors
from polymodal.inference.trained import Trained, supervised
from polymodal.objectives.base import Objective
from polymodal.objectives.supervised import Supervised
from polymodal.outputs import ModelOutput
from polymodal.runs.resume import locked
from polymodal.training.checkpoints.files import fingerprint
from polymodal.training.distributed.failures import ending_together
from polymodal.training.process import own_processes, prepare_process

ROWS = 8192
"""Rows of a part: what is held in memory, and what is lost when the work is stopped."""

HOW = ("batch_size", "num_workers", "image_cache", "image_cache_gb")
"""Settings of the data that change nothing of what is written."""


def main(settings: EmbedSettings, changes: list[str]) -> None:
    """`python src/embed.py checkpoint=... output=...`."""
    check_output(Path(settings.output))
    splits = SPLITS if settings.split == "all" else (settings.split,)
    write_all(tolerant(Path(settings.checkpoint), changes), Path(settings.output), splits)


def tolerant(path: Path, changes: Sequence[str]) -> Trained:
    """A trained model whose data leave out what they cannot read, however much that is; all else is
    gone through.
    """
    trained = Trained(path, changes)
    with open_dict(trained.composed):
        if "on_error" in trained.composed.data:
            trained.composed.data.on_error, trained.composed.data.max_bad_fraction = "skip", 1.0
        trained.composed.trainer.update(
            limit_test_batches=1.0, fast_dev_run=False, overfit_batches=0.0
        )
    trained.config = check_config(trained.composed)
    return trained


class Output(Protocol):
    """Another output than a row for every sample, made of its id and its Y alone."""

    def begin(self, data: PairedDataModule, objective: Supervised | None) -> None:
        """Called before the data are read."""

    def end(self, parts: Parts) -> None:
        """Writes the output; on the first process."""


def write_all(
    trained: Trained,
    output: Path,
    splits: Sequence[str],
    vectors: bool = True,
    other: Output | None = None,
) -> None:
    """Writes a row for every sample of some splits, and says how many there are.

    Args:
        trained: the model, with the data.
        output: see `Parts`.
        splits: of train, val and test.
        vectors: whether not only the answers are written.
        other: what makes the output instead.

    Raises:
        ConfigError: the output is there already, or parts of it are left from other work, or are at
            work.
        DataError: there is no sample.
    """
    config = trained.config
    data_settings = {key: value for key, value in config["data"].items() if key not in HOW}
    about = {
        "model": fingerprint(trained.file),
        "data": mask(data_settings),
        "splits": list(splits),
    }
    with own_processes():
        prepare_process(config)
        data, module, trainer = trained.build(
            lambda callback: isinstance(callback, ProgressBar), partial=True
        )
        data.wanted = () if len(splits) > 1 else splits
        part = supervised(module)
        if isinstance(data, TableData):
            data.columns.leave_out(
                "label"
            )  # rows with other labels than those of the training are rows too
        if other is not None:
            other.begin(data, part)
        elif part is None and not vectors:
            raise ConfigError(NO_ANSWERS)
        names = None if part is None else part.output_names(trained.class_names.get(part.label))
        about |= {
            "classes": names,
            "vectors": vectors,
            "precision": config["trainer"].get("precision"),
        }
        parts = Parts(output, about)
        lock = locked(parts.folder) if is_first_process() else nullcontext()
        with lock, parts.kept_if_any(), ending_together(trainer):
            for split in splits:
                rows = Rows(parts, data, split, module.model.modalities, part, names, vectors)
                rows.label = trained.label_columns or rows.label
                rows.plain = other is not None
                module.objective = rows
                name_task(trainer, f"{'embed' if vectors else 'predict'} {split}")
                trainer.test(module, datamodule=RemainingSamples(data, rows), verbose=False)
                rows.flush()
            trainer.strategy.barrier()
            if trainer.is_global_zero and other is not None:
                other.end(parts)
            elif trainer.is_global_zero:
                rows.write_unread()
                counts = [data.counted(rows_of) for rows_of in map(parts.done, splits)]
                total = of_all(sum(count for count, _ in counts), counts[0][1])
                print(f"{parts.join()} rows in {output}, of {total}")


class RemainingSamples(LightningDataModule):
    """The samples of a split of which no row is written yet, for the trainer to go through.

    Args:
        data: where they come from.
        rows: of the split, what is written.
    """

    def __init__(self, data: PairedDataModule, rows: Rows) -> None:
        super().__init__()
        self.data, self.rows = data, rows

    def prepare_data(self) -> None:
        """Once on each machine."""
        self.data.prepare_data()

    def setup(self, stage: str) -> None:
        """Reads the data; only what is left matters."""
        self.data.setup(stage)

    def test_dataloader(self) -> Any:
        """Batches of what is left, shared out among processes; none where that is nothing."""
        assert self.trainer is not None
        self.data.trainer = self.trainer
        self.rows.dataset = self.data.remaining(
            self.rows.split, self.rows.modalities, self.rows.written.done(self.rows.split)
        )
        self.trainer.strategy.barrier()  # none writes before all know what is left
        return (
            []
            if self.rows.dataset is None
            else self.data._loader(self.rows.split, self.rows.dataset)
        )

    def on_after_batch_transfer(self, batch: PairedBatch, dataloader_idx: int) -> PairedBatch:
        """As the model takes it; what the data do not have is absent."""
        batch = self.data.on_after_batch_transfer(batch, dataloader_idx)
        for name in set(self.rows.modalities) - batch.inputs.keys():
            batch.inputs[name] = torch.zeros(len(batch), 1, device=batch.id.device)
            batch.items[name], batch.present[name] = (
                batch.id,
                torch.zeros_like(batch.id, dtype=torch.bool),
            )
        return batch


class Rows(Objective):
    """Stands where the trainer judges a model: each batch is written instead.

    Args:
        parts: where to.
        data: what the samples are called.
        split: which one.
        modalities: names of the rows of X.
        objective: says what Y is; None where there is none.
        names: of its classes.
        vectors: whether X and the fused vectors are written, and probabilities as one; else the
            answers alone, in the columns that `answer_columns` gives, beside what each modality
            holds in words.
    """

    dataset: Any = None
    plain = False
    """Whether only ids and Y are written."""
    label: str | Sequence[str]
    """The column of the training's labels, or the columns of its values."""

    def __init__(
        self,
        parts: Parts,
        data: PairedDataModule,
        split: str,
        modalities: list[str],
        objective: Supervised | None,
        names: Sequence[str] | None,
        vectors: bool,
    ) -> None:
        super().__init__()
        self.written, self.data, self.split, self.modalities = parts, data, split, modalities
        self.names, self.vectors = names, vectors
        self.objective = objective
        self.label = "" if objective is None else objective.label
        self.waiting: list[dict[str, Tensor]] = []
        self.left_out: dict[int, str] = {}

    def forward(self, output: ModelOutput, batch: PairedBatch) -> Tensor:
        """Nothing is trained here."""
        raise NotImplementedError

    def update(self, output: ModelOutput, batch: PairedBatch) -> None:
        """Takes the rows of a batch, and writes a part where they are enough."""
        self.waiting.append(self._taken(output, batch))
        self.left_out |= batch.left_out
        if sum(len(taken["id"]) for taken in self.waiting) + len(self.left_out) >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Writes what waits; many rows at once, since a small table takes about as long as a large
        one.
        """
        tables = []
        if self.left_out:
            named = self._named(np.array(list(self.left_out)))
            tables.append(
                pa.table(named | {"error": pa.array(self.left_out.values(), pa.string())})
            )
        if self.waiting:
            tables.append(
                self._rows(
                    {
                        key: torch.cat([part[key] for part in self.waiting])
                        for key in self.waiting[0]
                    }
                )
            )
        if any(map(len, tables)):
            table = pa.concat_tables(tables, promote_options="permissive")
            self.written.add(table, self.split, dist.get_rank() if dist.is_initialized() else 0)
        self.waiting, self.left_out = [], {}

    def compute(self) -> Mapping[str, Tensor]:
        """No metrics."""
        return {}

    def reset(self) -> None:
        """There is nothing to forget."""

    def write_unread(self) -> None:
        """A row for each sample that is in no split; once, at the end."""
        unread = self.data.unread()
        if unread and not len(self.written.done("unread")):
            ids = np.arange(-len(unread), 0)
            self.written.add(
                pa.table({"id": ids, "source": list(unread), "error": list(unread.values())}),
                "unread",
                0,
            )

    def _taken(self, output: ModelOutput, batch: PairedBatch) -> dict[str, Tensor]:
        """What a table needs of a batch, on the CPU; samples with the id -1 mean nothing."""
        taken = {"id": batch.id, "mask": output.mask, "y": output.y if self.objective else None}
        taken |= {f"{name}_item": batch.items[name] for name in self.modalities}
        if self.vectors:
            taken |= {
                "x": output.x.float(),
                "fused": None if output.fused is None else output.fused.float(),
            }
        kept = batch.id >= 0
        return {key: values[kept].cpu() for key, values in taken.items() if values is not None}

    def _rows(self, taken: Mapping[str, Tensor]) -> pa.Table:
        if self.plain:
            y = taken["y"].float().numpy()
            there = np.ones(len(y), dtype=bool)
            return pa.table({"id": taken["id"].numpy(), "y": as_vectors(y, there)})
        ids, mask = taken["id"].numpy(), taken["mask"].numpy()
        columns = self._named(ids)
        for index, name in enumerate(self.modalities):
            items, there = taken[f"{name}_item"].numpy(), mask[:, index]
            words = self.data.words(name, items) if there.any() else [None] * len(items)
            in_words = pa.array(words, pa.string(), mask=~there)
            if self.vectors:
                columns |= {f"{name}_item": pa.array(items, mask=~there), f"{name}_words": in_words}
                columns[name] = as_vectors(taken["x"][:, index].numpy(), there)
            elif in_words.null_count < len(
                in_words
            ):  # a stream keeps no words: its rows are told by their source
                columns[name] = in_words
        everywhere = np.ones(len(ids), dtype=bool)
        if "fused" in taken:
            columns["fused"] = as_vectors(taken["fused"].numpy(), everywhere)
        if self.objective is not None and self.vectors and "y" in taken:
            said = answers(self.objective, taken["y"], self.names)
            columns["prediction"] = said.prediction
            if said.probability is not None:
                columns["probability"] = as_vectors(said.probability, everywhere)
        elif self.objective is not None and "y" in taken:
            columns |= answer_columns(self.objective, taken["y"], self.label, self.names)
        return pa.table(columns | {"error": pa.nulls(len(ids), pa.string())})

    def _named(self, ids: np.ndarray) -> dict[str, Any]:
        if self.plain:
            return {"id": ids}
        places = pa.array(self.dataset.places(ids), pa.string())
        return {"id": ids, "split": pa.repeat(self.split, len(ids)), "source": places}
