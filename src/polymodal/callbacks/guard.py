"""Stops a run whose loss or gradient is lost, before its weights are."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from polymodal.batch import PairedBatch
from polymodal.callbacks.last_checkpoint import LastCheckpoint
from polymodal.errors import NumericError
from polymodal.files import write_whole
from polymodal.module import MultimodalModule
from polymodal.training.distributed.collectives import gather_rows, world_size
from polymodal.types import NonNegativeInt

SCALER = 20
"""Steps in a row that a gradient scaler (fp16) may leave out: it halves its scale at each, from
65536 on."""

SHOWN = 8
"""Names and ids in the message; `bad_step.json` has all."""


class Guard(Callback):
    """Stops at a NaN or infinite loss or gradient, or leaves a few such steps out. All processes
    decide alike.

    The look before each step of the optimizer waits for the device, as the progress bar does after
    it. So nothing bad reaches the weights, and running statistics are put back:
    checkpoints/last.ckpt is saved there, and begins with the bad step.

    Args:
        run_dir: the run's folder, for `bad_step.json`: parameters and samples of the step that
            ended it.
        max_bad_steps: how many in a row are left out before the run stops.

    Raises:
        NumericError: names the step, the parameters, the samples and the last good checkpoint.
    """

    def __init__(self, run_dir: str, max_bad_steps: NonNegativeInt = 0) -> None:
        self.run_dir, self.max_bad_steps = Path(run_dir), max_bad_steps
        self.in_a_row = 0

    def state_dict(self) -> dict[str, int]:
        """A resumed run is allowed what is left."""
        return {"in_a_row": self.in_a_row}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Goes on to count."""
        self.in_a_row = state_dict["in_a_row"]

    def on_train_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Nothing is bad yet."""
        self.scaler = getattr(trainer.precision_plugin, "scaler", None)
        self.allowed = max(self.max_bad_steps, SCALER if self.scaler else 0)
        self.statistics = list(statistics_of(pl_module))
        self.before = [values.clone() for values in self.statistics]

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: MultimodalModule, batch: PairedBatch, batch_idx: int
    ) -> None:
        """Keeps the batch, to name it, and what it may spoil."""
        self.batch = batch
        for kept, values in zip(self.before, self.statistics, strict=True):
            kept.copy_(values)

    def on_before_backward(
        self, trainer: Trainer, pl_module: MultimodalModule, loss: Tensor
    ) -> None:
        """Keeps the loss."""
        self.loss = loss.detach()

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: MultimodalModule, optimizer: Optimizer
    ) -> None:
        """Looks whether the step would be a bad one, in any process."""
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        # sharded: the own part
        gradients = [g.to_local() if isinstance(g, DTensor) else g for g in gradients]
        bad = (~(get_total_norm(gradients).isfinite() & self.loss.isfinite())).int()
        if world_size() > 1:
            dist.all_reduce(bad, dist.ReduceOp.MAX)
        if not bad:
            self.in_a_row = 0
            return
        for kept, values in zip(self.before, self.statistics, strict=True):
            values.copy_(kept)
        self.in_a_row += 1
        if self.in_a_row > self.allowed:
            self.in_a_row -= 1  # the checkpoint is from before this step
            self._stop(trainer, pl_module)
        # which leaves the step out by itself, and does so at the start of any run
        if self.scaler is None:
            step = trainer.global_step
            warnings.warn(
                f"Step {step} is left out: its loss or gradient is NaN or infinite.", stacklevel=2
            )
            optimizer.zero_grad()

    def _stop(self, trainer: Trainer, module: MultimodalModule) -> None:
        # which samples of the global batch hold NaN
        spoilt = torch.stack([_not_finite(values) for values in self.batch.inputs.values()]).any(0)
        ids, spoilt = gather_rows(self.batch.id, spoilt)

        # all that is needed to look into it goes into one file
        file = self.run_dir / "bad_step.json"
        step = trainer.global_step
        epoch = trainer.current_epoch
        report: dict[str, Any] = {
            "step": step,
            "epoch": epoch,
            "loss": str(float(self.loss) / (self.scaler.get_scale() if self.scaler else 1)),
            "parameters": [
                n
                for n, p in module.named_parameters()
                if p.grad is not None and not p.grad.isfinite().all()
            ],
            "ids": ids.tolist(),
            "ids_with_bad_inputs": ids[spoilt].tolist(),
        }
        if trainer.is_global_zero:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            write_whole(file, json.dumps(report, indent=2))

        # the message names the first few, and what usually helps
        raise NumericError(
            f"NaN or infinity at step {step} (epoch {epoch}): the loss is {report['loss']}.\n"
            f"Bad gradients: {_shown(report['parameters'])}. Samples of the batch: "
            f"{_shown(report['ids'])}; with NaN or infinite inputs: "
            f"{_shown(report['ids_with_bad_inputs'])}. All of them: {file}\n"
            f"The last good checkpoint: {self._last_good(trainer, module)}. A smaller "
            "optimizer.lr, a longer scheduler.warmup, trainer.gradient_clip_val=1 or "
            "precision=fp32 usually helps."
        )

    def _last_good(self, trainer: Trainer, module: MultimodalModule) -> Path | str:
        """The checkpoint that begins with the bad step; without the callback that saves it, the
        newest.
        """
        last = next(
            (
                callback
                for callback in trainer.checkpoint_callbacks
                if isinstance(callback, LastCheckpoint)
            ),
            None,
        )
        if last is not None and (saved := last.save_before_batch(trainer, module)):
            return saved
        files = (self.run_dir / "checkpoints").glob("*.ckpt")
        return max(files, key=lambda file: file.stat().st_mtime, default="none was saved yet")


def _not_finite(inputs: Tensor) -> Tensor:
    """(B, ...) -> (B,) bool."""
    return ~inputs.flatten(1).isfinite().all(1)


def _shown(names: list) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(map(str, names[:SHOWN])) or "none") + more


def statistics_of(module: MultimodalModule) -> Iterator[Tensor]:
    """Running statistics, of norms and of `missing`, which a batch changes although no step is
    taken.
    """
    parts: list[nn.Module] = [part for part in module.modules() if isinstance(part, _NormBase)]
    if module.model.missing is not None:
        parts.append(module.model.missing)
    for part in parts:
        yield from part.buffers()
