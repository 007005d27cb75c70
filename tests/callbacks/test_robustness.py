"""Every subset and every missing rate is evaluated as a run with just that would be, and Shapley
values add up."""

import csv
from functools import partial
from itertools import chain, combinations

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from polymodal.callbacks.modality_dropout import dropped
from polymodal.callbacks.robustness import Robustness
from polymodal.data.xor import XOR
from polymodal.errors import ConfigError
from polymodal.fusion.concat import Concat
from polymodal.model import MultimodalModel
from polymodal.module import MultimodalModule
from polymodal.objectives.classification import Classification
from polymodal.objectives.clip import CLIP
from polymodal.objectives.weighted import Weighted

NAMES = ["a", "b", "c"]


def module(fusion: nn.Module | None, objective: nn.Module) -> MultimodalModule:
    torch.manual_seed(0)
    model = MultimodalModel(
        {name: nn.Linear(5, 8) for name in NAMES}, fusion, nn.Linear(8, 32) if fusion else None
    )
    return MultimodalModule(
        model, objective, partial(torch.optim.SGD, lr=0.1), shown="val/accuracy"
    )


def judge(
    folder, batch_size: int = 64, **settings
) -> tuple[MultimodalModule, XOR, dict[str, float]]:
    data = XOR(sizes=(10, 10, 300), batch_size=batch_size)
    judged = module(Concat(8, NAMES), Classification("b", 32))
    callback = Robustness(str(folder), missing=[0.5], noise=[1.0], **settings)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        accelerator="cpu", use_distributed_sampler=False, callbacks=[callback], **quiet
    )
    trainer.test(judged, datamodule=data, verbose=False)
    return judged, data, {name: float(value) for name, value in trainer.callback_metrics.items()}


def rows(file) -> list[dict[str, float]]:
    with file.open(newline="") as stream:
        return [
            {name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)
        ]


def test_every_subset_is_judged_as_if_nothing_else_were_there(tmp_path) -> None:
    judged, data, metrics = judge(tmp_path)
    batch = data.test_set[list(range(300))]
    table = rows(tmp_path / "report" / "subsets.csv")
    assert len(table) == 8
    worth = {}
    for row in table:
        kept = [name for name in NAMES if row[name]]
        batch.present = {name: torch.full((300,), name in kept) for name in NAMES}
        with torch.no_grad():
            y = judged.model.fuse(judged.model.encode(batch)).y if kept else None
        if kept:
            expected = (y.argmax(1) == batch.labels["b"]).double().mean().item()
            assert row["accuracy"] == pytest.approx(expected, abs=1e-6), kept
        worth[frozenset(kept)] = row["accuracy"]
    assert worth[frozenset(NAMES)] == pytest.approx(metrics["test/accuracy"])
    assert set(worth) == {
        frozenset(s) for s in chain.from_iterable(combinations(NAMES, k) for k in range(4))
    }
    shapley = [metrics[f"test/shapley/{name}"] for name in NAMES]
    assert sum(shapley) == pytest.approx(worth[frozenset(NAMES)] - worth[frozenset()], abs=1e-6)
    assert metrics["test/only/b/accuracy"] == pytest.approx(worth[frozenset("b")])


def test_the_grid_loses_what_the_sample_number_says(tmp_path) -> None:
    judged, data, metrics = judge(tmp_path)
    grid = {
        (row["missing"], row["noise"]): row["accuracy"]
        for row in rows(tmp_path / "report" / "robustness.csv")
    }
    assert set(grid) == {(0.0, 0.0), (0.0, 1.0), (0.5, 0.0), (0.5, 1.0)}
    assert grid[0.0, 0.0] == pytest.approx(metrics["test/accuracy"])
    batch = data.test_set[list(range(300))]
    everywhere = torch.ones(300, 3, dtype=torch.bool)
    absent = dropped(batch.id, everywhere, torch.full((3,), 0.5), 0)
    batch.present = {name: ~absent[:, index] for index, name in enumerate(NAMES)}
    with torch.no_grad():
        expected = (judged.model(batch).y.argmax(1) == batch.labels["b"]).double().mean().item()
    assert grid[0.5, 0.0] == pytest.approx(expected, abs=1e-6)
    assert metrics["test/missing_0.5/accuracy"] == pytest.approx(expected, abs=1e-6)
    assert {"subsets.png", "robustness.png"} <= {
        file.name for file in (tmp_path / "report").iterdir()
    }


def test_batches_do_not_matter(tmp_path) -> None:
    _, _, one = judge(tmp_path / "one", batch_size=300)
    _, _, many = judge(tmp_path / "many", batch_size=7)
    assert one.keys() == many.keys()
    for name, value in one.items():
        assert many[name] == pytest.approx(value, abs=1e-5), name


def test_an_objective_without_y_is_refused_before_training(tmp_path) -> None:
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        callbacks=[Robustness(str(tmp_path))],
    )
    with pytest.raises(ConfigError, match="no fusion"):
        trainer.fit(module(None, CLIP(NAMES)), datamodule=XOR(sizes=(10, 10, 10)))


def test_a_metric_that_nothing_has_none_of_is_not_the_one_that_is_compared(tmp_path) -> None:
    both = {"clip": CLIP(NAMES), "classification": Classification("b", 32)}
    judged = module(Concat(8, NAMES), Weighted(both, {"clip": 1.0, "classification": 1.0}))
    judged.shown = "val/clip/recall@1"
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        accelerator="cpu", callbacks=[Robustness(str(tmp_path), missing=[0.5], noise=[])], **quiet
    )
    trainer.test(judged, datamodule=XOR(sizes=(10, 10, 100)), verbose=False)
    assert "test/missing_0.5/loss" in trainer.callback_metrics
    absent = [row["absent"] for row in rows(tmp_path / "report" / "robustness.csv")]
    assert absent[0] == 0
    assert 0.3 < absent[1] < 0.5  # less than the rate: one modality of each sample stays
