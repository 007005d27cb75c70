"""The average of the weights is what its formula says, and a validation in between changes
nothing."""

import warnings
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from tests.callbacks.runs import DIM, MODALITIES, Vectors
from torch import Tensor, nn

from polymodal.callbacks.ema import EMA
from polymodal.model import MultimodalModel
from polymodal.module import MultimodalModule
from polymodal.objectives.clip import CLIP

DECAY = 0.9


class Noted(Callback):
    """The weights after each step, as they are trained."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *arguments: Any) -> None:
        self.weights.append({name: p.detach().clone() for name, p in pl_module.named_parameters()})


@pytest.mark.parametrize(("precision", "tolerance"), [("32-true", 1e-6), ("64-true", 1e-14)])
def test_it_is_the_average_of_the_weights_as_they_are_trained(
    precision: str, tolerance: float
) -> None:
    torch.manual_seed(0)
    model = MultimodalModel({name: nn.Linear(5, DIM) for name in MODALITIES})
    module = MultimodalModule(model, CLIP(MODALITIES), partial(torch.optim.AdamW, lr=0.01))
    noted, ema = Noted(), EMA(decay=DECAY)
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        val_check_interval=2,
        precision=precision,
        callbacks=[noted, ema],
        **quiet,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*WeightAveraging")
        trainer.fit(module, datamodule=Vectors())
    expected = noted.weights[0]
    for weights in noted.weights[1:]:
        expected = {
            name: DECAY * value + (1 - DECAY) * weights[name] for name, value in expected.items()
        }
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(
            parameter.detach(), expected[name], rtol=tolerance, atol=tolerance
        )


def test_it_is_kept_where_the_model_is_trained() -> None:
    module = MultimodalModule(
        MultimodalModel({"a": nn.Linear(5, DIM)}), CLIP("ab"), partial(torch.optim.SGD, lr=0.1)
    )
    trainer, ema = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False), EMA()
    trainer.strategy._root_device = torch.device("meta")  # a device that the module is not on yet
    ema.setup(trainer, module, "fit")
    assert {p.device.type for p in ema._average_model.parameters()} == {"meta"}
