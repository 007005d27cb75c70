"""Vectors and predictions of any amount of data, written as they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ProgressBar
from omegaconf import open_dict

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
from polymodal.inference.prediction_writer import Content, PredictionWriter, RemainingSamples
from polymodal.inference.predictions import NO_PREDICTIONS
from polymodal.inference.table_writer import TableWriter
from polymodal.inference.trained import Trained, supervised
from polymodal.objectives.supervised import Supervised
from polymodal.runs.resume import locked
from polymodal.training.checkpoints.files import fingerprint
from polymodal.training.distributed.failures import ending_together
from polymodal.training.process import own_processes, prepare_process

HOW = ("batch_size", "num_workers", "image_cache", "image_cache_gb")
"""Settings of the data that do not change what is written."""


def main(settings: EmbedSettings, changes: list[str]) -> None:
    """`python src/embed.py checkpoint=... output=...`."""
    check_output(Path(settings.output))
    splits = SPLITS if settings.split == "all" else (settings.split,)
    write_all(tolerant(Path(settings.checkpoint), changes), Path(settings.output), splits)


def tolerant(path: Path, changes: Sequence[str]) -> Trained:
    """A trained model that goes through all of its data and leaves out unreadable samples, however
    many.
    """
    trained = Trained(path, changes)
    with open_dict(trained.composed):
        if "on_error" in trained.composed.data:
            trained.composed.data.on_error, trained.composed.data.max_bad_fraction = "skip", 1.0
        trained.composed.trainer.update(limit_predict_batches=1.0, fast_dev_run=False)
    trained.config = check_config(trained.composed)
    return trained


class Output(Protocol):
    """Another output than a row for every sample, made of its id and its Y alone."""

    def begin(self, data: PairedDataModule, objective: Supervised | None) -> None:
        """Called before the data are read."""

    def end(self, table: TableWriter) -> None:
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
        output: see `TableWriter`.
        splits: of train, val and test.
        vectors: whether vectors are written too, and not only the predictions.
        other: makes the output instead.

    Raises:
        ConfigError: the output exists, parts of it are left from other work, or another process
            writes it.
        DataError: there is no sample.
    """
    with own_processes():
        prepare_process(trained.config)
        data, module, trainer = trained.build(_is_progress_bar, partial=True)
        data.wanted = () if len(splits) > 1 else splits
        objective = supervised(module)
        # rows with other labels than those of the training are rows too
        if isinstance(data, TableData):
            data.columns.leave_out("label")
        # before anything is written, the output may refuse the data
        if other is not None:
            other.begin(data, objective)
        elif objective is None and not vectors:
            raise ConfigError(NO_PREDICTIONS)
        names = None if objective is None else _names(trained, objective)
        table = TableWriter(output, _about(trained, splits, names, vectors))
        writer = PredictionWriter(
            table,
            module.model.modalities,
            objective,
            trained.label_columns or ("" if objective is None else objective.label),
            names,
            _content(vectors, other),
        )
        trainer.callbacks.append(writer)  # type: ignore[attr-defined]
        lock = locked(table.folder) if is_first_process() else nullcontext()
        with lock, table.kept_if_any(), ending_together(trainer):
            for split in splits:
                name_task(trainer, f"{'embed' if vectors else 'predict'} {split}")
                samples = RemainingSamples(data, split, module.model.modalities, table)
                trainer.predict(module, datamodule=samples, return_predictions=False)
            # all processes have written their parts after this
            trainer.strategy.barrier()
            if trainer.is_global_zero and other is not None:
                other.end(table)
            elif trainer.is_global_zero:
                _write_unread(data, table)
                counts = [data.counted(table.done(split)) for split in splits]
                total = of_all(sum(count for count, _ in counts), counts[0][1])
                print(f"{table.join()} rows in {output}, of {total}")


def _is_progress_bar(callback: Callback) -> bool:
    return isinstance(callback, ProgressBar)


def _content(vectors: bool, other: Output | None) -> Content:
    if other is not None:
        return "outputs"
    return "vectors" if vectors else "predictions"


def _names(trained: Trained, objective: Supervised) -> list[str]:
    """Class names of the training."""
    return objective.output_names(trained.class_names.get(objective.label))


def _about(
    trained: Trained, splits: Sequence[str], names: Sequence[str] | None, vectors: bool
) -> dict[str, Any]:
    """What the rows are made of: a part is only resumed where all of this is the same."""
    data = {key: value for key, value in trained.config["data"].items() if key not in HOW}
    return {
        "model": fingerprint(trained.file),
        "data": mask(data),
        "splits": list(splits),
        "classes": names,
        "vectors": vectors,
        "precision": trained.config["trainer"].get("precision"),
    }


def _write_unread(data: PairedDataModule, table: TableWriter) -> None:
    """A row for each sample that is in no split; once, at the end."""
    unread = data.unread()
    if unread and not len(table.done("unread")):
        ids = np.arange(-len(unread), 0)
        columns = {"id": ids, "source": list(unread), "error": list(unread.values())}
        table.add(pa.table(columns), "unread", 0)
