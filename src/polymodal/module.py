"""MultimodalModule: the model, its objective and its optimizer as a LightningModule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from polymodal.batch import PairedBatch
from polymodal.callbacks.freezing import Freezing
from polymodal.errors import NumericError
from polymodal.model import MultimodalModel
from polymodal.objectives.base import Objective
from polymodal.objectives.supervised import Supervised
from polymodal.outputs import ModelOutput
from polymodal.training.checkpoints.files import Origin
from polymodal.training.checkpoints.sharded import not_finite
from polymodal.training.distributed.collectives import mean_over_all
from polymodal.training.distributed.fsdp import shard, share_buffers
from polymodal.training.grad_cache import in_parts
from polymodal.training.optimization import built, schedule, step_on_plateau
from polymodal.training.tuning import Tuning, parameter_groups


class MultimodalModule(LightningModule):
    """Trains and evaluates a multimodal model. It knows neither the modalities nor the data.

    Args:
        model: batch -> X and, with a fusion, Y.
        objective: the loss and its metrics.
        optimizer: parameter groups -> optimizer.
        scheduler: (optimizer, total_steps=) -> schedule, counted in optimizer steps
            (`polymodal.training.optimization`); None for a constant rate.
        config: the resolved config as plain containers, which every checkpoint carries.
        shown: the validation metric that the progress bar shows, and that a ReduceLROnPlateau waits
            for.
        tuning: encoder -> how it is trained, where that differs from the rest.
        accumulate: how many micro-batches a training batch is cut into
            (`polymodal.training.grad_cache`).
        shown_mode: whether `shown` is better when smaller or larger.
    """

    def __init__(
        self,
        model: MultimodalModel,
        objective: Objective,
        optimizer: Callable[[Iterable[dict[str, Any]]], Optimizer],
        scheduler: Callable[..., LRScheduler] | None = None,
        config: dict[str, Any] | None = None,
        shown: str = "val/loss",
        tuning: Mapping[str, Tuning] | None = None,
        accumulate: int = 1,
        shown_mode: Literal["min", "max"] = "min",
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.config = config or {}
        self.shown, self.shown_mode = shown, shown_mode
        self.tuning = tuning or {}
        self.restored: Mapping[str, Tensor] = {}
        self.origin: Origin | None = None
        self.accumulate = accumulate
        self.freezing = Freezing(model, self.tuning)

    def configure_callbacks(self) -> list[Callback]:
        """What a run cannot do without, whichever callbacks it has."""
        return [self.freezing] if self.tuning else []

    def setup(self, stage: str) -> None:
        """Refuses classes that do not go with the outputs, and shows the training labels to the
        objective.

        A checkpoint that is resumed has its say after this. Batches keep their types: the model
        gives inputs the type of its weights, and Lightning would round the labels too. In bf16 the
        value 1987 is 1984.
        """
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        self.trainer.precision_plugin.convert_input = lambda data: data  # type: ignore[method-assign]
        names = getattr(data, "class_names", {})
        for part in self.objective.parts().values():
            if isinstance(part, Supervised):
                part.check_names(names.get(part.label, []))
        if stage == "fit":
            self.objective.prepare(data.training_labels)

    def configure_model(self) -> None:
        """Shares the parameters out where the strategy has made a mesh of devices for that
        (devices=fsdp).
        """
        if self.device_mesh is not None:
            shard(self.model, self.device_mesh.device_type)

    def training_step(self, batch: PairedBatch, batch_idx: int) -> Tensor:
        """Encode, fuse, loss, log."""
        output = in_parts(self.model, batch, self.accumulate)
        loss = self.objective(output, batch)
        # not sync_dist, with which Lightning makes all processes wait for their devices and for
        # each other
        self.log(
            "train/loss", mean_over_all(loss.detach()[None]), prog_bar=True, batch_size=len(batch)
        )
        return loss

    def on_fit_start(self) -> None:
        """Lightning leaves modules in the mode they are in, so it is set here."""
        self.train()

    def on_train_start(self) -> None:
        """What a checkpoint holds is in its place by now."""
        self.restored = {}

    def on_validation_epoch_start(self) -> None:
        """All processes evaluate with the same running statistics: those of an average, if there is
        one, by now.
        """
        if self.model.sharded:
            share_buffers(self.model)

    def validation_step(self, batch: PairedBatch, batch_idx: int) -> ModelOutput:
        """Adds a batch to the metrics; callbacks get the output."""
        return self._evaluate(batch)

    def test_step(self, batch: PairedBatch, batch_idx: int) -> ModelOutput:
        """Adds a batch to the metrics; callbacks get the output."""
        return self._evaluate(batch)

    def predict_step(self, batch: PairedBatch, batch_idx: int) -> ModelOutput:
        """The output of a batch; a `BasePredictionWriter` gets it."""
        return self.model(batch)

    def _evaluate(self, batch: PairedBatch) -> ModelOutput:
        output = self.model(batch)
        self.objective.update(output, batch)
        return output

    def on_validation_epoch_end(self) -> None:
        """Logs `val/...`, and steps a schedule that waits for it."""
        step_on_plateau(self.trainer, self._log_metrics("val"), self.shown)

    def on_test_epoch_end(self) -> None:
        """Logs `test/...`."""
        self._log_metrics("test")

    def _log_metrics(self, split: str) -> dict[str, Tensor]:
        metrics = {f"{split}/{name}": value for name, value in self.objective.compute().items()}
        for key, value in metrics.items():
            self.log(key, value, prog_bar=key == self.shown)
        self.objective.reset()
        return metrics

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """One step, after which the objective's parameters are back in their range."""
        super().optimizer_step(*args, **kwargs)
        self.objective.clamp()

    def configure_optimizers(self) -> Any:
        """The optimizer over its groups of parameters, the schedule by step."""
        for name, parameter in self.objective.named_parameters():
            # a step of a temperature is smaller than bf16 can tell apart, and so is what a
            # checkpoint has of it
            exact = self.restored.get(f"objective.{name}", parameter.data).to(parameter.device)
            parameter.data = exact.to(
                torch.promote_types(parameter.dtype, torch.float32), copy=True
            )
        optimizer = built("optimizer", self.make_optimizer, parameter_groups(self, self.tuning))
        if self.make_scheduler is None:
            return optimizer
        scheduler = schedule(
            self.make_scheduler, optimizer, self.trainer, self.shown, self.shown_mode
        )
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps what Lightning is about to load: with bf16 weights it rounds it then."""
        self.restored = checkpoint.get("current_model_state", checkpoint["state_dict"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Puts the config into the checkpoint, as plain data.

        Raises:
            NumericError: weights, those of an average too, or running statistics are NaN or
                infinite.
        """
        if spoilt := not_finite(checkpoint["state_dict"]) or not_finite(
            dict(self.named_parameters())
        ):
            raise NumericError(
                f"{spoilt[0]} is not finite at step {self.global_step} (epoch "
                f"{self.current_epoch}): this checkpoint is not saved, and the last one is from "
                "before.\n"
                "A smaller optimizer.lr, a longer scheduler.warmup, trainer.gradient_clip_val=1 or "
                "precision=fp32 usually helps."
            )
        checkpoint["config"] = self.config
