"""Regression against scikit-learn and scipy; what all supervised objectives share is in
test_supervised."""

import numpy as np
import pytest
import torch
from scipy.special import huber
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from polymodal.errors import ConfigError
from polymodal.objectives.regression import Regression
from polymodal.objectives.weighted import Weighted
from tests.objectives.test_supervised import OUTPUTS, case


def test_losses_are_those_of_the_known_values() -> None:
    output, batch = case("regression")
    seen = ~batch.labels["answer"].isnan()
    y, target = output.y[seen], batch.labels["answer"][seen].double()
    expected = {
        "mse": mean_squared_error(target, y),
        "l1": mean_absolute_error(target, y),
        "huber": huber(0.5, (y - target).numpy()).mean(),
    }
    for name, value in expected.items():
        objective = Regression("answer", OUTPUTS, name, huber_delta=0.5)
        assert objective(output, batch).item() == pytest.approx(value), name


def test_one_value_a_sample_may_be_a_vector() -> None:
    output, batch = case("regression")
    output = output._replace(y=output.y[:, :1])
    batch.labels["answer"] = batch.labels["answer"][:, 0]
    objective = Regression("answer")
    objective.update(output, batch)
    seen = ~batch.labels["answer"].isnan()
    expected = r2_score(batch.labels["answer"][seen], output.y[seen, 0])
    metrics = objective.compute()
    assert metrics["r2"].item() == pytest.approx(expected)
    assert metrics.keys() == {"loss", "mae", "rmse", "r2", "pearson", "spearman"}
    assert metrics["rmse"].item() == pytest.approx(metrics["loss"].item() ** 0.5)


def test_classes_are_no_values() -> None:
    output, batch = case("regression")
    batch.labels["answer"] = torch.zeros(40, OUTPUTS, dtype=torch.long)
    with pytest.raises(ConfigError, match="int64"):
        Regression("answer", OUTPUTS)(output, batch)


def prepared(labels: torch.Tensor, **options) -> Regression:
    objective = Regression("answer", OUTPUTS, **options)
    objective.prepare({"answer": labels}.get)
    return objective


def test_labels_are_standardised_by_the_training_split() -> None:
    _, batch = case("regression")
    labels = batch.labels["answer"].double()
    objective = prepared(labels)
    assert objective.mean == pytest.approx(np.nanmean(labels, axis=0))
    assert objective.std == pytest.approx(np.nanstd(labels, axis=0))
    y = torch.zeros(4, OUTPUTS, dtype=torch.float64)
    assert objective.in_units(y).numpy() == pytest.approx(
        np.tile(np.nanmean(labels, axis=0), (4, 1))
    )


@pytest.mark.parametrize("loss", ["mse", "l1", "huber"])
def test_the_loss_does_not_depend_on_the_unit_and_the_metrics_do(loss: str) -> None:
    output, batch = case("regression")
    labels = batch.labels["answer"].double()
    scale, shift = 1000.0, -5e4
    one, other = prepared(labels, loss=loss), prepared(labels * scale + shift, loss=loss)
    inches = batch.labels | {"answer": labels * scale + shift}
    losses = []
    for objective, values in ((one, {"answer": labels}), (other, inches)):
        batch.labels = values
        losses.append(objective(output, batch).item())
        objective.update(output, batch)
    assert losses[0] == pytest.approx(losses[1])
    first, second = one.compute(), other.compute()
    assert second["loss"].item() == pytest.approx(first["loss"].item())
    assert second["mae"].item() == pytest.approx(scale * first["mae"].item())
    assert second["r2"].item() == pytest.approx(first["r2"].item())
    seen = ~labels.isnan()
    units = one.in_units(output.y)
    column = [
        mean_absolute_error(labels[seen[:, k], k], units[seen[:, k], k]) for k in range(OUTPUTS)
    ]
    assert first["mae"].item() == pytest.approx(np.mean(column))


def test_the_scale_is_in_the_checkpoint_whatever_the_precision() -> None:
    objective = prepared(
        torch.tensor([[1e6 + 1, 2.0, 3.0], [1e6 + 2, 2.0, 5.0]], dtype=torch.float64)
    )
    assert objective.std == [0.5, 1.0, 1.0]  # a constant label has no scale
    rounded = objective.to(torch.bfloat16)
    restored = Regression("answer", OUTPUTS)
    restored.load_state_dict(rounded.state_dict())
    assert (restored.mean, restored.std) == ([1000001.5, 2.0, 4.0], [0.5, 1.0, 1.0])


def test_an_older_checkpoint_answers_in_the_units_of_its_labels() -> None:
    objective = Weighted({"size": prepared(torch.randn(9, OUTPUTS))}, {"size": 1.0})
    objective.load_state_dict({})
    y = torch.randn(2, OUTPUTS)
    assert torch.equal(objective.parts()["size"].in_units(y), y)


def test_each_of_several_objectives_sees_the_labels() -> None:
    objective = Weighted({"size": Regression("answer")}, {"size": 1.0})
    objective.prepare({"answer": torch.tensor([10.0, 30.0])}.get)
    assert objective.parts()["size"].mean == [20.0]
    objective.prepare({}.get)  # data without the label
    assert objective.parts()["size"].mean == [20.0]
