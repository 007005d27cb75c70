"""A small real run of a trainer on vectors, for callbacks that take part in testing."""

from functools import partial
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from torch import nn

from polymodal.data.tensors import TensorData, TensorSet
from polymodal.fusion.concat import Concat
from polymodal.heads.linear import Linear
from polymodal.model import MultimodalModel
from polymodal.module import MultimodalModule
from polymodal.objectives.base import Objective

MODALITIES = ("a", "b", "c")
KINDS = ["a class with quite a long name", "short", "another one of some length"]
DIM = 6


class Vectors(TensorData):
    """Vectors of three classes; `c` is sometimes absent, some samples have no class, and only `a`
    and `b` are shown."""

    modalities = MODALITIES

    def __init__(self) -> None:
        super().__init__(batch_size=16, num_workers=0, seed=0)
        self.class_names = {"kind": KINDS, "tags": ["x", "y"]}

    def splits(self) -> tuple[TensorSet, TensorSet, TensorSet]:
        return part(96, 0), part(30, 100), part(45, 200)

    def describe(self, modality: str, item: int) -> Any:
        return {"a": f"sentence {item}", "b": np.full((8, 8), item % 255, np.uint8), "c": None}[
            modality
        ]


def part(count: int, first: int) -> TensorSet:
    generator = torch.Generator().manual_seed(first)
    kind = torch.arange(count) % 3
    inputs = {name: torch.randn(count, 5, generator=generator) for name in MODALITIES}
    for values in inputs.values():
        values[:, :3] += 2 * nn.functional.one_hot(kind, 3)
    labels = {
        "kind": kind.masked_fill(torch.arange(count) % 7 == 6, -1),
        "tags": torch.stack([kind == 0, kind > 0], dim=1).long(),
        "size": inputs["a"][:, :2] + 1,
    }
    return TensorSet(
        inputs, labels, first, present={"c": torch.rand(count, generator=generator) > 0.2}
    )


def fit_and_judge(
    objective: Objective, callback: Callback, fused: bool, outputs: int = 3, epochs: int = 0
) -> tuple[Trainer, MultimodalModule]:
    """Fits for some epochs and tests."""
    torch.manual_seed(0)
    fusion, head = (Concat(DIM, MODALITIES), Linear(DIM, outputs)) if fused else (None, None)
    model = MultimodalModel({name: nn.Linear(5, DIM) for name in MODALITIES}, fusion, head)
    module = MultimodalModule(model, objective, partial(torch.optim.SGD, lr=0.1))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=max(1, epochs),
        enable_model_summary=False,
        callbacks=[callback],
        **quiet,
    )
    data = Vectors()
    if epochs:
        trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    return trainer, module
