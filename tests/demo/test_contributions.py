"""An answer is that of the model, and its parts add up."""

import pytest
import torch

from polymodal.demo import contributions
from polymodal.demo.contributions import explain
from polymodal.demo.held_out import HeldOut


def probabilities(held: HeldOut, number: int, *dropped: str) -> torch.Tensor:
    absent = torch.tensor([name in dropped for name in held.modalities])
    with torch.no_grad():
        return (
            held.model.fuse(held.model.encode(held.example(number)[0]).without(absent))
            .y[0]
            .softmax(0)
        )


def test_the_answer_is_that_of_the_model(classifying: HeldOut) -> None:
    said = explain(classifying.predictor, classifying.example(1)[0])
    assert set(said.scores) == {"red", "green", "blue", "grey"}
    assert list(said.scores.values()) == pytest.approx(
        probabilities(classifying, 1).tolist(), abs=1e-5
    )
    assert sum(said.weights.values()) == pytest.approx(1, abs=1e-5)


def test_the_contributions_add_up(classifying: HeldOut) -> None:
    said = explain(classifying.predictor, classifying.example(1)[0])
    nothing = probabilities(classifying, 1, "image", "text")
    best = int(torch.tensor(list(said.scores.values())).argmax())
    assert set(said.contribution) == {"image", "text"}
    difference = max(said.scores.values()) - float(nothing[best])
    assert sum(said.contribution.values()) == pytest.approx(difference, abs=1e-5)


def test_a_modality_that_is_dropped_has_no_say(classifying: HeldOut) -> None:
    said = explain(classifying.predictor, classifying.example(2)[0], frozenset(["text"]))
    alone = probabilities(classifying, 2, "text")
    assert list(said.scores.values()) == pytest.approx(alone.tolist(), abs=1e-5)
    assert list(said.contribution) == list(said.weights) == ["image"]
    assert said.weights["image"] == pytest.approx(1, abs=1e-5)


def test_of_many_modalities_each_is_left_out_alone(
    classifying: HeldOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contributions, "MOST", 1)
    said = explain(classifying.predictor, classifying.example(1)[0])
    best = int(torch.tensor(list(said.scores.values())).argmax())
    without = float(probabilities(classifying, 1, "text")[best])
    assert said.contribution["text"] == pytest.approx(max(said.scores.values()) - without, abs=1e-5)
