"""Classification against scikit-learn and torch; what all supervised objectives share is in
test_supervised."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss

from polymodal.objectives.classification import Classification
from tests.objectives.test_supervised import OUTPUTS, case

WEIGHTS = [0.2, 0.1, 2.5]


def labelled() -> tuple[torch.Tensor, torch.Tensor]:
    output, batch = case("classification")
    counted = batch.labels["answer"] >= 0
    return output.y[counted], batch.labels["answer"][counted]


def test_metrics_are_scikit_learn_s() -> None:
    objective, (logits, target) = Classification("answer", OUTPUTS), labelled()
    objective.update(*case("classification"))
    metrics = objective.compute()
    assert metrics["accuracy"].item() == pytest.approx(accuracy_score(target, logits.argmax(1)))
    assert metrics["recall"].item() == pytest.approx(
        balanced_accuracy_score(target, logits.argmax(1))
    )
    assert metrics["loss"].item() == pytest.approx(log_loss(target, logits.softmax(1)))
    assert {"precision", "f1", "auroc", "ece"} <= metrics.keys()


def test_class_weights_are_those_of_samples() -> None:
    logits, target = labelled()
    loss = Classification("answer", OUTPUTS, WEIGHTS)(*case("classification"))
    expected = log_loss(target, logits.softmax(1), sample_weight=np.array(WEIGHTS)[target])
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_smoothing_is_torch_s(weights: list[float] | None) -> None:
    logits, target = labelled()
    known = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    expected = F.cross_entropy(logits, target, known, label_smoothing=0.3)
    loss = Classification("answer", OUTPUTS, weights, label_smoothing=0.3)(*case("classification"))
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)


def test_samples_of_classes_without_weight_leave_a_loss_of_zero() -> None:
    output, batch = case("classification")
    batch.labels["answer"].clamp_(max=0)
    assert Classification("answer", OUTPUTS, [0, 1, 1])(output, batch).item() == 0
