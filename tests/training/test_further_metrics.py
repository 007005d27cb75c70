"""Metrics of the config group `metrics` stand beside those of an objective."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torchmetrics.classification as tc
import torchmetrics.regression as tr
from tests.processes import run_processes

from polymodal.batch import PairedBatch
from polymodal.errors import ConfigError
from polymodal.objectives.classification import Classification
from polymodal.objectives.clip import CLIP
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression
from polymodal.objectives.supervised import Supervised
from polymodal.objectives.weighted import Weighted
from polymodal.outputs import ModelOutput
from polymodal.training.metrics import add_metrics
from polymodal.training.monitors import metric_names

COUNT, OUTPUTS = 40, 5
CLASSES = "torchmetrics.classification."
F2 = {"_target_": f"{CLASSES}MulticlassFBetaScore", "beta": 2.0}


def answers(kind: str, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Y and labels, some of which are not known."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(COUNT, OUTPUTS, generator=generator)
    if kind == "class":
        return y, torch.randint(-1, OUTPUTS, (COUNT,), generator=generator)
    if kind == "tags":
        return y, torch.randint(-1, 2, (COUNT, OUTPUTS), generator=generator)
    values = 3 + 10 * torch.randn(COUNT, generator=generator)
    values[::7] = torch.nan
    return y[:, :1], values


def evaluated(
    objective: Any, y: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor, size: int
) -> dict[str, torch.Tensor]:
    for part in rows.split(size):
        batch = PairedBatch({}, {}, part, part, labels={"answer": labels[part]})
        x = torch.zeros(len(part), 1, 2)
        objective.update(ModelOutput(x, torch.ones(len(part), 1, dtype=torch.bool), y[part]), batch)
    return objective.compute()


def a_classification(nodes: dict[str, Any]) -> Classification:
    objective = Classification("answer", OUTPUTS)
    add_metrics(nodes, objective)
    return objective


@pytest.mark.parametrize("size", [COUNT, 7])
def test_a_metric_is_that_of_the_whole_columns_whatever_the_batches(size: int) -> None:
    y, labels = answers("class")
    found = evaluated(a_classification({"f2": F2}), y, labels, torch.arange(COUNT), size)
    seen = labels >= 0
    expected = tc.MulticlassFBetaScore(2.0, OUTPUTS)(y[seen], labels[seen])
    torch.testing.assert_close(found["f2"], expected)
    assert {"accuracy", "recall", "f1", "loss"} <= found.keys()


def on_two(rank: int, world_size: int) -> dict[str, torch.Tensor]:
    y, labels = answers("class")
    rows = torch.arange(COUNT)[rank::world_size]
    return evaluated(a_classification({"f2": F2}), y, labels, rows, 3)


def test_two_processes_have_the_metric_of_one() -> None:
    expected = on_two(0, 1)
    for found in run_processes(on_two, 2):
        torch.testing.assert_close(found, expected)


def test_tags_are_compared_where_all_of_a_sample_are_known() -> None:
    y, labels = answers("tags")
    objective = MultiLabel("answer", OUTPUTS)
    add_metrics({"hamming": {"_target_": f"{CLASSES}MultilabelHammingDistance"}}, objective)
    found = evaluated(objective, y, labels, torch.arange(COUNT), 9)
    seen = (labels >= 0).all(1)
    expected = tc.MultilabelHammingDistance(OUTPUTS)(y[seen].sigmoid(), labels[seen])
    torch.testing.assert_close(found["hamming"], expected)


def test_values_are_compared_in_their_units() -> None:
    y, labels = answers("value")
    objective = Regression("answer", 1)
    add_metrics(
        {"smape": {"_target_": "torchmetrics.SymmetricMeanAbsolutePercentageError"}}, objective
    )
    objective.prepare(lambda _: labels)
    found = evaluated(objective, y, labels, torch.arange(COUNT), 9)
    seen = ~labels.isnan()
    known = labels[seen].double()
    units = y[seen, 0].double() * known.std(correction=0) + known.mean()
    expected = tr.SymmetricMeanAbsolutePercentageError()(units, known)
    torch.testing.assert_close(found["smape"].double(), expected.double(), rtol=1e-5, atol=0)


def test_several_numbers_have_a_name_each_and_what_is_not_defined_is_left_out() -> None:
    y, labels = answers("class")
    nodes = {
        "each": {"_target_": f"{CLASSES}MulticlassRecall", "average": None},
        "top": {"_target_": "torchmetrics.Accuracy", "task": "multiclass", "top_k": 2},
    }
    found = evaluated(a_classification(nodes), y, labels, torch.arange(COUNT), 40)
    seen = labels >= 0
    recall = tc.MulticlassRecall(OUTPUTS, average=None)(y[seen], labels[seen])
    assert [found[f"each/{k}"].item() for k in range(OUTPUTS)] == pytest.approx(recall.tolist())
    assert "top" in found
    matrix = a_classification({"matrix": {"_target_": f"{CLASSES}MulticlassConfusionMatrix"}})
    with pytest.raises(ConfigError, match=r"metrics.matrix: .* no single number"):
        evaluated(matrix, y, labels, torch.arange(COUNT), 40)


def test_the_part_with_labels_has_them_in_a_weighted_objective() -> None:
    parts = {"clip": CLIP(["a", "b"]), "kind": Classification("answer", OUTPUTS)}
    objective = Weighted(parts, dict.fromkeys(parts, 1.0))
    add_metrics({"f2": F2, "none": None}, objective)
    assert list(parts["kind"].further) == ["f2"]
    module = SimpleNamespace(objective=objective, model=SimpleNamespace(modalities=["a", "b"]))
    assert "val/kind/f2" in metric_names(module, 4)


def test_no_metric_keeps_anything_after_an_evaluation() -> None:
    objective = a_classification({"f2": F2})
    for seed in (0, 1):
        y, labels = answers("class", seed)
        found = evaluated(objective, y, labels, torch.arange(COUNT), 40)["f2"]
        alone = evaluated(a_classification({"f2": F2}), y, labels, torch.arange(COUNT), 40)["f2"]
        assert found == alone
        objective.reset()
    assert not objective.state_dict()


CLASSIFICATION, ALIGNMENT = Classification("answer", OUTPUTS), CLIP(["a", "b"])


@pytest.mark.parametrize(
    ("objective", "node", "message"),
    [
        (ALIGNMENT, F2, "CLIP predicts no label"),
        (CLASSIFICATION, F2 | {"betta": 1}, "takes no 'betta'. Did you mean beta"),
        (CLASSIFICATION, F2 | {"beta": -1.0}, "metrics.mine: .*beta"),
        (CLASSIFICATION, {"_target_": F2["_target_"]}, "metrics.mine: .*missing.*beta"),
        (CLASSIFICATION, {"_target_": "torch.nn.Identity"}, "no class of torchmetrics.Metric"),
        (
            CLASSIFICATION,
            {"_target_": "torchmetrics.Accuracy", "taks": "multiclass"},
            "takes no 'taks'. Did you mean task",
        ),
    ],
)
def test_what_cannot_be_is_refused(objective: Supervised, node: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        add_metrics({"mine": node}, objective)
