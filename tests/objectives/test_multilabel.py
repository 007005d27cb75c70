"""Several classes a sample, against a loop and scikit-learn; what is shared is in
test_supervised."""

import math

import pytest
from sklearn.metrics import average_precision_score

from polymodal.objectives.multilabel import MultiLabel
from tests.objectives.test_supervised import OUTPUTS, case


def loss_by_loop(weights: list[float]) -> float:
    output, batch = case("multilabel")
    terms = []
    for logits, labels in zip(output.y.tolist(), batch.labels["answer"].tolist(), strict=True):
        for logit, label, weight in zip(logits, labels, weights, strict=True):
            yes = 1 / (1 + math.exp(-logit))
            if label >= 0:
                terms.append(-weight * math.log(yes) if label else -math.log(1 - yes))
    return sum(terms) / len(terms)


def test_the_loss_is_the_mean_over_all_known_labels() -> None:
    loss = MultiLabel("answer", OUTPUTS)(*case("multilabel"))
    assert loss.item() == pytest.approx(loss_by_loop([1, 1, 1]))


def test_positive_weights_are_those_of_the_ones_of_a_class() -> None:
    weights = [0.5, 1.0, 7.0]
    loss = MultiLabel("answer", OUTPUTS, weights)(*case("multilabel"))
    assert loss.item() == pytest.approx(loss_by_loop(weights))


def test_metrics_leave_out_what_is_not_known() -> None:
    output, batch = case("multilabel")
    objective = MultiLabel("answer", OUTPUTS)
    objective.update(output, batch)
    labels = batch.labels["answer"]
    columns = [
        (labels[labels[:, k] >= 0, k], output.y[labels[:, k] >= 0, k]) for k in range(OUTPUTS)
    ]
    expected = sum(average_precision_score(*column) for column in columns) / OUTPUTS
    metrics = objective.compute()
    assert metrics["mean_average_precision"].item() == pytest.approx(expected)
    assert metrics.keys() == {
        "loss",
        "f1",
        "micro_f1",
        "recall",
        "mean_average_precision",
        "auroc",
        "subset_accuracy",
    }
