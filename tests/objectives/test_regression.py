"""Regression against scikit-learn and scipy; what all supervised objectives share is in test_supervised."""

import pytest
import torch
from scipy.special import huber
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from polymodal.errors import ConfigError
from polymodal.objectives.regression import Regression
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
    figures = objective.compute()
    assert figures["r2"].item() == pytest.approx(expected)
    assert figures.keys() == {"loss", "mae", "rmse", "r2", "pearson", "spearman"}
    assert figures["rmse"].item() == pytest.approx(figures["loss"].item() ** 0.5)


def test_classes_are_no_values() -> None:
    output, batch = case("regression")
    batch.labels["answer"] = torch.zeros(40, OUTPUTS, dtype=torch.long)
    with pytest.raises(ConfigError, match="int64"):
        Regression("answer", OUTPUTS)(output, batch)
