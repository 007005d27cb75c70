"""Stops a run whose loss or gradient is lost, before its weights are."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from polymodal.batch import PairedBatch
from polymodal.callbacks.last_checkpoint import LastCheckpoint
from polymodal.errors import NumericError
from polymodal.losses.gather import gather_rows, world_size
from polymodal.module import MultimodalModule
from polymodal.types import NonNegativeInt

SCALER = 20
"""Steps in a row that a gradient scaler (fp16) may leave out: it halves its scale at each, from 65536 on."""

SHOWN = 8
"""Names and ids in the message; `bad_step.json` has all."""


class Guard(Callback):
    """Stops at a NaN or infinite loss or gradient, or leaves a few such steps out. All processes decide alike.

    A look waits for the device. On a CPU, and where steps may be left out, there is one before each step of the
    optimizer, so that nothing bad reaches the weights, and running statistics are put back: checkpoints/last.ckpt is
    saved there, and begins with the bad step. Elsewhere there is one at logged steps and before each checkpoint, so
    that none is written over a good one.

    Args:
        run_dir: the run's folder, for `bad_step.json`: parameters and samples of the step that ended it.
        max_bad_steps: how many in a row are left out before the run stops.

    Raises:
        NumericError: names the step, the parameters, the samples and the last good checkpoint.
    """

    def __init__(self, run_dir: str, max_bad_steps: NonNegativeInt = 0) -> None:
        self.run_dir, self.max_bad_steps = Path(run_dir), max_bad_steps
        self.in_a_row = 0

    def on_train_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Nothing is bad yet."""
        self.loss = torch.zeros((), device=pl_module.device)
        self.since = torch.full((), -1, device=pl_module.device)  # the step that was the first bad one
        self.scaler = getattr(trainer.precision_plugin, "scaler", None)
        self.allowed = max(self.max_bad_steps, SCALER if self.scaler else 0)
        self.every = self.allowed > 0 or pl_module.device.type == "cpu"
        self.statistics = list(pl_module.statistics()) if self.every else []
        self.before = [values.clone() for values in self.statistics]

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: MultimodalModule, batch: PairedBatch, batch_idx: int
    ) -> None:
        """Keeps the batch, to name it, and what it may spoil."""
        self.batch = batch
        for kept, values in zip(self.before, self.statistics, strict=True):
            kept.copy_(values)

    def on_before_backward(self, trainer: Trainer, pl_module: MultimodalModule, loss: Tensor) -> None:
        """Keeps the loss."""
        self.loss = loss.detach()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: MultimodalModule, optimizer: Optimizer) -> None:
        """Notes a bad step, and looks whether there was one."""
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        gradients = [g.to_local() if hasattr(g, "to_local") else g for g in gradients]  # sharded: the own part
        bad = ~(get_total_norm(gradients).isfinite() & self.loss.isfinite())
        self.since = torch.where(bad & (self.since < 0), trainer.global_step, self.since)
        if not self.every and (trainer.global_step + 1) % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        since = self._agreed()
        self.in_a_row = self.in_a_row + 1 if since >= 0 else 0
        if since >= 0:
            for kept, values in zip(self.before, self.statistics, strict=True):
                values.copy_(kept)
            if self.in_a_row > self.allowed:
                self._stop(trainer, pl_module, since)
            self.since.fill_(-1)
            if self.scaler is None:  # which leaves the step out by itself, and does so at the start of any run
                warnings.warn(f"Step {since} is left out: its loss or gradient is NaN or infinite.", stacklevel=2)
                optimizer.zero_grad()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: MultimodalModule, checkpoint: dict) -> None:
        """No checkpoint of weights that are lost."""
        if trainer.training and (since := self._agreed()) >= 0:
            self._stop(trainer, pl_module, since)

    def _agreed(self) -> int:
        """The first bad step of any process, -1 if there is none."""
        if world_size() > 1:
            dist.all_reduce(self.since, dist.ReduceOp.MAX)
        return int(self.since)

    def _stop(self, trainer: Trainer, module: MultimodalModule, since: int) -> None:
        spoilt = torch.stack([_not_finite(values) for values in self.batch.inputs.values()]).any(0)
        ids, spoilt = gather_rows(self.batch.id, spoilt)
        file = self.run_dir / "bad_step.json"
        report: dict[str, Any] = {
            "step": since,
            "noticed_at_step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "loss": str(float(self.loss) / (self.scaler.get_scale() if self.scaler else 1)),
            "parameters": [
                n for n, p in module.named_parameters() if p.grad is not None and not p.grad.isfinite().all()
            ],
            "ids": ids.tolist(),
            "ids_with_bad_inputs": ids[spoilt].tolist(),
        }
        if trainer.is_global_zero:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(report, indent=2))
        raise NumericError(
            f"NaN or infinity at step {since} (epoch {trainer.current_epoch}): the loss is {report['loss']}.\n"
            f"Bad gradients: {_shown(report['parameters'])}. Samples of the batch: {_shown(report['ids'])}; with NaN "
            f"or infinite inputs: {_shown(report['ids_with_bad_inputs'])}. All of them: {file}\n"
            f"The last good checkpoint: {self._last_good(trainer, module)}. A smaller optimizer.lr, a longer "
            "scheduler.warmup, trainer.gradient_clip_val=1 or precision=fp32 usually helps."
        )

    def _last_good(self, trainer: Trainer, module: MultimodalModule) -> Path | str:
        """The newest checkpoint; one that begins with the bad step where nothing of that has reached the weights."""
        last = next(
            (callback for callback in trainer.checkpoint_callbacks if isinstance(callback, LastCheckpoint)), None
        )
        if self.every and last is not None:
            self.since.fill_(-1)  # it is good to save
            if saved := last.save_before_batch(trainer, module):
                return saved
        files = (self.run_dir / "checkpoints").glob("*.ckpt")
        return max(files, key=lambda file: file.stat().st_mtime, default="none was saved yet")


def _not_finite(inputs: Tensor) -> Tensor:
    """(B, ...) -> (B,) bool."""
    return ~inputs.flatten(1).isfinite().all(1)


def _shown(names: list) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(map(str, names[:SHOWN])) or "none") + more
