"""The words of the summary, part by part; a whole one is in test_epochs."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import IterableDataset

from polymodal.callbacks.summary import (
    counted,
    device_of,
    labels_of,
    parameters_of,
    parts_of,
    samples_of,
    steps_of,
)
from polymodal.data.loading.columns import ColumnChoice
from polymodal.objectives.classification import Classification
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression
from polymodal.training.tuning import Tuning


class Stream(IterableDataset):
    """Without a length."""

    def __iter__(self) -> Iterator[int]:
        return iter(())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            {"train_set": [0] * 1200, "val_set": [0] * 9, "test_set": [0], "limit": None},
            "1,200 train, 9 val, 1 test",
        ),
        ({"train_set": [0] * 1200, "val_set": [0] * 9, "limit": 10}, "10 of 1,200 train, 9 val"),
        (
            {"train_set": Stream(), "epoch_samples": 5000, "val_set": Stream()},
            "5,000 train an epoch, a stream of val",
        ),
    ],
)
def test_samples(data: dict, words: str) -> None:
    assert samples_of(SimpleNamespace(**data)) == f"{words} (SimpleNamespace)"


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (Classification("label", 12), "label, 12 classes"),
        (MultiLabel("label", 3), "label, 3 tags"),
        (Regression("label", 1), "label, 1 value"),
        (Regression("label", 2), "label, 2 values"),
    ],
)
def test_what_is_predicted(objective: nn.Module, words: str) -> None:
    module = SimpleNamespace(objective=objective)
    assert list(labels_of(module)) == [("predicts", words)]
    columns = ColumnChoice({"text": "caption", objective.label: ["x", "y"]}, {})
    assert list(labels_of(module, columns)) == [("predicts", f"x, y,{words.partition(',')[2]}")]


def test_parameters_and_what_is_frozen() -> None:
    part = nn.Linear(3, 4)
    assert parameters_of(part) == "16 parameters"
    part.bias.requires_grad_(False)
    assert parameters_of(part) == "16 parameters, 12 trained"
    part.weight.requires_grad_(False)
    assert parameters_of(part) == "16 parameters, frozen"


@pytest.mark.parametrize(
    ("freeze", "words"),
    [(True, "frozen until step 50"), (["weight"], "in part frozen until step 50")],
)
def test_what_is_frozen_for_a_while(freeze: bool | list[str], words: str) -> None:
    model = SimpleNamespace(encoders={"image": nn.Linear(3, 4)}, fusion=None, head=nn.Linear(4, 1))
    module = nn.Module()
    module.model, module.objective, module.global_step = model, nn.Module(), 0
    module.tuning = {"image": Tuning(freeze=freeze, unfreeze_at=50)}
    rows = dict(parts_of(module))
    assert rows["image"] == f"Linear, 16 parameters, {words}"
    assert rows["head"] == "Linear, 5 parameters"
    module.global_step = 50
    assert dict(parts_of(module))["image"] == "Linear, 16 parameters"


@pytest.mark.parametrize(
    ("batches", "total", "epochs", "words"),
    [
        (14, 70, 5, "batches of 64 in 4 parts, 14 an epoch, 70 in 5 epochs"),
        (14, 14, 1, "batches of 64 in 4 parts, 14 an epoch, 14 in 1 epoch"),
        (float("inf"), 1000, -1, "batches of 64 in 4 parts, 1,000 in all"),
        (float("inf"), float("inf"), -1, "batches of 64 in 4 parts"),
    ],
)
def test_steps(batches: float, total: float, epochs: int, words: str) -> None:
    trainer = SimpleNamespace(
        num_training_batches=batches, estimated_stepping_batches=total, max_epochs=epochs
    )
    assert steps_of(trainer, 64, accumulate=4) == words


def test_device() -> None:
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    threads = counted(torch.get_num_threads(), "threads")
    trainer = SimpleNamespace(strategy=strategy, world_size=1, precision="bf16-mixed")
    assert device_of(trainer) == f"CPU, {threads}, bf16"
    trainer.world_size, trainer.precision, strategy.root_device = 2, "64-true", torch.device("mps")
    assert device_of(trainer) == "2 processes of mps, fp64"
