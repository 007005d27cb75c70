"""Y becomes words and numbers as its objective reads it."""

import pytest
import torch

from polymodal.inference.predictions import predictions_of
from polymodal.objectives.classification import Classification
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression

Y = torch.tensor([[0.0, 2.0, -1.0], [3.0, -0.3, 0.1]])


def test_the_likeliest_class() -> None:
    said = predictions_of(Classification("label", 3), Y, ["a", "b", "c"])
    assert said.prediction.to_pylist() == ["b", "a"]
    assert said.probability == pytest.approx(Y.softmax(1).numpy(), abs=1e-6)


def test_the_tags_that_are_likelier_than_not() -> None:
    said = predictions_of(MultiLabel("label", 3), Y, ["a", "b", "c"])
    assert said.prediction.to_pylist() == [["b"], ["a", "c"]]
    assert said.probability == pytest.approx(Y.sigmoid().numpy(), abs=1e-6)
    assert predictions_of(MultiLabel("label", 3), -Y.abs(), None).prediction.to_pylist() == [[], []]


@pytest.mark.parametrize("names", [None, []])
def test_numbers_where_there_are_no_names(names: list[str] | None) -> None:
    said = predictions_of(Classification("label", 3), Y, names)
    assert said.prediction.to_pylist() == ["1", "0"]
    assert said.names == ["0", "1", "2"]


def test_an_output_without_a_name_is_not_called_like_a_class() -> None:
    said = predictions_of(Classification("label", 3), Y, ["1", "2"])
    assert said.prediction.to_pylist() == ["2", "1"]
    assert said.names == ["1", "2", "(output 2)"]
    assert predictions_of(Classification("label", 3), -Y, ["1", "2"]).prediction.to_pylist() == [
        "(output 2)",
        "2",
    ]


def test_values_are_the_answer_itself() -> None:
    said = predictions_of(Regression("label", 3), Y, None)
    assert said.prediction.to_pylist() == Y.tolist()
    assert said.probability is None
    assert predictions_of(
        Regression("label", 1), Y[:, 1:2], None
    ).prediction.to_pylist() == pytest.approx([2.0, -0.3])


@pytest.mark.parametrize(
    "objective", [Classification("label", 3), MultiLabel("label", 3), Regression("label", 3)]
)
def test_no_sample_is_no_answer(objective) -> None:
    assert len(predictions_of(objective, Y[:0], None).prediction) == 0
