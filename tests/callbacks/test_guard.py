"""A loss or a gradient that is lost ends the run with a message; the weights and the last
checkpoint stay good."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import MixedPrecision
from tests.callbacks.runs import DIM, MODALITIES, Vectors
from tests.processes import run_processes
from torch import nn

from polymodal.batch import PairedBatch
from polymodal.callbacks.guard import Guard
from polymodal.errors import NumericError
from polymodal.model import MultimodalModel
from polymodal.module import MultimodalModule
from polymodal.objectives.clip import CLIP


def first_weight(module: Any) -> torch.Tensor:
    return next(module.model.encoders["a"].parameters()).detach().clone()


class Spoiler(Callback):
    """Spoils some steps: their inputs, or their gradient of one parameter alone."""

    def __init__(self, steps: set[int], what: str) -> None:
        self.steps, self.what = steps, what
        self.weights: dict[int, torch.Tensor] = {}

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: PairedBatch, batch_idx: int
    ) -> None:
        self.weights[trainer.global_step] = first_weight(pl_module)
        if trainer.global_step in self.steps and self.what == "inputs":
            batch.inputs["b"][3] = torch.nan
            self.id = int(batch.id[3])

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step in self.steps and self.what == "gradient":
            pl_module.objective.logit_scale.grad.fill_(torch.inf)


def fit(
    folder: Path,
    steps: set[int],
    what: str,
    max_bad_steps: int = 0,
    guard: Guard | None = None,
    every_n: int = 2,
    encoders: dict[str, nn.Module] | None = None,
    **options: Any,
) -> tuple[Trainer, Spoiler]:
    torch.manual_seed(0)
    model = MultimodalModel(encoders or {name: nn.Linear(5, DIM) for name in MODALITIES})
    module = MultimodalModule(model, CLIP(MODALITIES), partial(torch.optim.AdamW, lr=0.01))
    spoiler = Spoiler(steps, what)
    trainer = Trainer(
        accelerator="cpu",
        limit_val_batches=0,
        gradient_clip_val=1.0,
        callbacks=[
            spoiler,
            guard or Guard(str(folder), max_bad_steps),
            ModelCheckpoint(folder / "checkpoints", every_n_train_steps=every_n),
        ],
        **dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False),
        **({"max_steps": 12} | options),
    )
    try:
        trainer.fit(module, datamodule=Vectors())
    finally:
        spoiler.final = first_weight(module)
    return trainer, spoiler


@pytest.mark.parametrize("what", ["inputs", "gradient"])
def test_the_run_stops_and_says_where(tmp_path: Path, what: str) -> None:
    with pytest.raises(NumericError) as caught:
        fit(tmp_path, {5}, what)
    message, report = str(caught.value), json.loads((tmp_path / "bad_step.json").read_text())
    (good,) = tmp_path.glob("checkpoints/*.ckpt")
    assert "at step 5 (epoch 0)" in message
    assert str(good) in message
    assert all(
        value.isfinite().all()
        for value in torch.load(good, weights_only=True)["state_dict"].values()
    )
    assert report["step"] == 5
    assert len(set(report["ids"])) == 16
    assert str(report["ids"][0]) in message
    if what == "inputs":
        assert len(report["ids_with_bad_inputs"]) == 1
        assert f"infinite inputs: {report['ids_with_bad_inputs'][0]}." in message
        assert "model.encoders.b.weight" in report["parameters"]
    else:
        assert report["parameters"] == ["objective.logit_scale"]
        assert "Bad gradients: objective.logit_scale." in message


def test_the_newest_checkpoint_is_named_whoever_saved_it(tmp_path: Path) -> None:
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    last.touch()
    with pytest.raises(NumericError, match=rf"last good checkpoint: {last}\."):
        fit(tmp_path, {1}, "inputs", every_n=100)


def test_a_few_bad_steps_are_left_out(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Step 3 is left out"):
        trainer, spoiler = fit(tmp_path, {3, 4, 6, 7}, "inputs", max_bad_steps=2)
    assert trainer.global_step == 12
    same = [
        step for step in range(11) if torch.equal(spoiler.weights[step], spoiler.weights[step + 1])
    ]
    assert same == [3, 4, 6, 7]
    with pytest.raises(NumericError, match="at step 5"):
        fit(tmp_path, {3, 4, 5}, "inputs", max_bad_steps=2)


def test_a_run_that_goes_on_is_allowed_what_is_left(tmp_path: Path) -> None:
    first, again = Guard(str(tmp_path), 2), Guard(str(tmp_path), 2)
    first.in_a_row = 2
    again.load_state_dict(first.state_dict())
    with pytest.raises(NumericError, match="at step 0 "):
        fit(tmp_path, {0}, "inputs", guard=again)


def test_the_running_statistics_of_a_step_that_is_left_out_are_left_out_too(tmp_path: Path) -> None:
    for what in ("inputs", "gradient"):
        encoders = {
            name: nn.Sequential(nn.Linear(5, DIM), nn.BatchNorm1d(DIM)) for name in MODALITIES
        }
        with pytest.warns(UserWarning, match="Step 3 is left out"):
            fit(tmp_path, {3}, what, max_bad_steps=2, encoders=encoders)
        for encoder in encoders.values():
            assert encoder[1].num_batches_tracked == 11
            assert encoder[1].running_mean.isfinite().all()


def test_a_gradient_scaler_may_look_for_its_scale_but_not_for_ever(tmp_path: Path) -> None:
    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**26))
    _, spoiler = fit(tmp_path, set(), "inputs", plugins=[plugin], max_steps=40)
    assert torch.equal(spoiler.weights[0], spoiler.weights[2])
    assert not torch.equal(spoiler.weights[0], spoiler.final)
    plugin = MixedPrecision("16-mixed", "cpu")
    with pytest.raises(NumericError, match="at step 2[0-9]"):
        fit(tmp_path, set(range(40)), "inputs", plugins=[plugin], max_steps=40)


def spoilt_in_one(rank: int, world_size: int, folder: str) -> str:
    """What a process says when the loss of the second alone is infinite, and its gradient is
    good."""
    guard = Guard(f"{folder}/{rank}")  # both think that they are the first
    model = MultimodalModel({name: nn.Linear(5, DIM) for name in MODALITIES})
    module = MultimodalModule(model, CLIP(MODALITIES), partial(torch.optim.AdamW, lr=0.01))
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    guard.on_train_start(trainer, module)
    number = torch.arange(3) + 10 * rank
    guard.on_train_batch_start(
        trainer, module, PairedBatch({"a": torch.ones(3, 5)}, {}, number, number), 0
    )
    guard.on_before_backward(trainer, module, torch.tensor(torch.inf if rank else 1.0))
    try:
        guard.on_before_optimizer_step(
            trainer, module, torch.optim.SGD(module.parameters(), lr=0.1)
        )
    except NumericError as error:
        return str(error)
    return ""


def test_all_processes_decide_alike(tmp_path: Path) -> None:
    for message in run_processes(spoilt_in_one, 2, str(tmp_path)):
        assert "Samples of the batch: 0, 1, 2, 10, 11, 12;" in message
