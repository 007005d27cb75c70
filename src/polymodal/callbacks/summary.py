"""What is trained on what, said when training begins."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from torch import nn
from torch.utils.data import IterableDataset

from polymodal.data.datamodule import PairedDataModule
from polymodal.data.loading.columns import ColumnChoice, label_name
from polymodal.data.loading.splits import SPLITS
from polymodal.module import MultimodalModule
from polymodal.objectives.classification import Classification
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.supervised import Supervised
from polymodal.terminal import say

PRECISIONS = {
    "32-true": "fp32",
    "64-true": "fp64",
    "bf16-mixed": "bf16",
    "16-mixed": "fp16",
    "bf16-true": "bf16_true",
}
"""What Lightning calls an option of precision=."""

COUNTED = {Classification: "classes", MultiLabel: "tags"}
"""What the outputs of an objective are; of others values."""

Row = tuple[str, str]


class Summary(Callback):
    """Samples, parts of the model with their parameters, steps, the metric that is watched, the
    device and the folder.

    Args:
        run_dir: the run's folder.
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir

    def on_train_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """The data are there, the model is on its device, and a checkpoint is loaded."""
        if not trainer.is_global_zero:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        better = "larger" if pl_module.shown_mode == "max" else "smaller"
        rows = [
            ("samples", samples_of(data)),
            *labels_of(pl_module, getattr(data, "columns", None)),
            *parts_of(pl_module),
            ("steps", steps_of(trainer, data.batch_size, pl_module.accumulate)),
            (
                "monitor",
                f"{pl_module.shown}, the {better} the better",
            ),
            ("device", device_of(trainer)),
            ("folder", str(_short(self.run_dir))),
        ]
        width = max(len(name) for name, _ in rows)
        begins = (
            "Training" if trainer.global_step == 0 else f"Resuming at step {trainer.global_step:,}"
        )
        title = f"{begins}: {pl_module.config.get('name', 'a model')}"
        say(
            "\n".join([title, *(f"  {name:{width}}  {value}" for name, value in rows)]),
            soft_wrap=True,
        )


def samples_of(data: PairedDataModule) -> str:
    """How many there are in each split, or that they come as a stream."""
    words = []
    for split in SPLITS:
        dataset = getattr(data, f"{split}_set", None)
        if isinstance(dataset, IterableDataset):
            count = getattr(data, "epoch_samples", None) if split == "train" else None
            words.append(f"a stream of {split}" if count is None else f"{count:,} {split} an epoch")
        elif dataset is not None:
            whole = len(dataset)
            used = whole if data.limit is None else min(data.limit, whole)
            words.append(f"{used:,} {split}" if used == whole else f"{used:,} of {whole:,} {split}")
    return f"{', '.join(words)} ({type(data).__name__})"


def labels_of(module: MultimodalModule, columns: ColumnChoice | None = None) -> Iterator[Row]:
    """What is predicted, and how many classes or values that are.

    Args:
        module: with its objective.
        columns: of a table, which name the labels.
    """
    for part in module.objective.parts().values():
        if isinstance(part, Supervised):
            many = next(
                (what for kind, what in COUNTED.items() if isinstance(part, kind)), "values"
            )
            name = label_name(columns, part.label)
            yield "predicts", f"{name}, {counted(part.outputs, many)}"


def parts_of(module: MultimodalModule) -> Iterator[Row]:
    """The parts of the model, with their parameters; at the end all of them."""
    model = module.model
    parts: dict[str, nn.Module | None] = {
        **model.encoders,
        "fusion": model.fusion,
        "head": model.head,
    }
    for name, part in parts.items():
        if part is not None:
            yield name, f"{type(part).__name__}, {parameters_of(part)}{_frozen(module, name)}"
    yield "objective", f"{type(module.objective).__name__}, {parameters_of(module.objective)}"
    yield "in all", parameters_of(module)


def parameters_of(part: nn.Module) -> str:
    """How many parameters it has, and how many are trained where that is another number."""
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in part.parameters()]
    total = sum(count for count, _ in counts)
    trained = sum(count for count, is_trained in counts if is_trained)
    words = counted(total, "parameters")
    if trained == total:
        return words
    return f"{words}, {trained:,} trained" if trained else f"{words}, frozen"


def _frozen(module: MultimodalModule, name: str) -> str:
    """Until when an encoder or a part of it is."""
    tuned = module.tuning.get(name)
    if tuned is None or tuned.unfreeze_at is None or not tuned.is_frozen(module.global_step):
        return ""
    return f", {'' if tuned.freeze is True else 'in part '}frozen until step {tuned.unfreeze_at:,}"


def counted(number: int, many: str) -> str:
    """1 step, 2 steps, 10 classes."""
    one = many.removesuffix("es") if many == "classes" else many.removesuffix("s")
    return f"{number:,} {one if number == 1 else many}"


def steps_of(trainer: Trainer, batch_size: int, accumulate: int) -> str:
    """The batch, the steps of an epoch and of the run."""
    parts = f" in {accumulate} parts" if accumulate > 1 else ""
    words = [f"batches of {batch_size:,}{parts}"]
    each, total = trainer.num_training_batches, trainer.estimated_stepping_batches
    if math.isfinite(each):
        words.append(f"{each:,} an epoch")
    if math.isfinite(total) and total > 0:
        epochs = trainer.max_epochs
        words.append(
            f"{total:,} in {epochs:,} epoch{'s' * (epochs != 1)}"
            if epochs and epochs > 0
            else f"{total:,} in all"
        )
    return ", ".join(words)


def device_of(trainer: Trainer) -> str:
    """How many devices there are, of which kind, and the precision."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif device.type == "cpu":
        name = f"CPU, {counted(torch.get_num_threads(), 'threads')}"
    else:
        name = device.type
    processes = f"{trainer.world_size} processes of " if trainer.world_size > 1 else ""
    precision = PRECISIONS.get(str(trainer.precision), str(trainer.precision))
    return f"{processes}{name}, {precision}"


def _short(folder: Path) -> Path:
    """As it is typed from here, if it is below."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
