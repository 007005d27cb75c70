"""Controls: chance by simulation, linear models by scikit-learn, on generated data whose answer is
known."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from polymodal.controls.control import metrics_by_control, random_order, same_answer, verdict
from polymodal.controls.features import Captions, Numbers, audio_features, image_features
from polymodal.controls.linear import class_scores, ridge
from polymodal.data.synthetic import Synthetic
from polymodal.metrics.retrieval import EmbeddingTable, retrieval_metrics
from polymodal.objectives.classification import Classification
from polymodal.objectives.clip import CLIP
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression
from polymodal.objectives.weighted import Weighted

KINDS = ["image", "text", "tabular"]


@pytest.fixture(scope="module")
def data() -> Synthetic:
    made = Synthetic(KINDS, samples=600, batch_size=32)
    made.setup()
    return made


def test_a_random_order_is_what_many_random_orders_reach() -> None:
    group = torch.tensor([0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8])
    count, draws = len(group), 400
    found: dict[str, list[float]] = {}
    generator = torch.Generator().manual_seed(0)
    for _ in range(draws):
        table = EmbeddingTable()
        x = torch.randn(count, 2, 8, generator=generator)
        items = torch.arange(count)[:, None].expand(-1, 2)
        mask = torch.ones(count, 2, dtype=torch.bool)
        table.update(x, items, mask, group, torch.arange(count))
        filled = table.compute()
        for name, value in retrieval_metrics(filled, ["a", "b"], (1, 5, 10)).items():
            found.setdefault(name, []).append(float(value))
    for name, value in random_order(filled, ["a", "b"]).items():
        if name in found:
            error = np.std(found[name]) / math.sqrt(draws)
            assert float(value) == pytest.approx(np.mean(found[name]), abs=4 * error + 1e-9), name


def test_chance_is_the_commonest_class_and_the_linear_model_is_better(data: Synthetic) -> None:
    found = metrics_by_control(data, Classification("class", 10), KINDS)
    train = data.training_labels("class")
    test = data.test_set.labels_of("class")
    commonest = int(train.bincount().argmax())
    assert found["chance"]["accuracy"] == pytest.approx(float((test == commonest).double().mean()))
    assert found["linear"]["accuracy"] > 0.8


def test_one_answer_to_all_is_of_what_is_known() -> None:
    classes = same_answer(
        Classification("class", 3), torch.tensor([2, 2, 1, -1]), torch.tensor([2, 1, 1, -1])
    )
    assert float(classes["accuracy"]) == pytest.approx(1 / 3)
    seen, truth = torch.tensor([[1.0], [3.0], [torch.nan]]), torch.tensor([[2.0], [6.0]])
    values = same_answer(Regression("value"), seen, truth)
    assert float(values["mae"]) == 2
    assert same_answer(Regression("value"), seen[2:], truth) == {}


def test_values_and_tags_and_pairs_have_a_control_of_their_own_metrics(data: Synthetic) -> None:
    parts = {"value": Regression("value"), "tags": MultiLabel("tags", 3), "clip": CLIP(KINDS)}
    found = metrics_by_control(data, Weighted(parts, dict.fromkeys(parts, 1.0)), KINDS)
    assert found["chance"]["value/r2"] == pytest.approx(0, abs=0.1)
    assert found["linear"]["value/r2"] > 0.5
    assert found["linear"]["tags/f1"] > found["chance"]["tags/f1"]
    assert found["linear"]["clip/recall@1"] > 2 * found["chance"]["clip/recall@1"]
    assert "clip/text_to_tabular/recall@10" in found["chance"]


def test_one_process_measures_alone(data: Synthetic, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait for it: what they are all to take part in would never end."""

    def together(*_: object) -> None:
        raise AssertionError("all processes are waited for")

    monkeypatch.setattr("polymodal.metrics.sample_table.of_all_processes", together)
    assert metrics_by_control(data, CLIP(KINDS), KINDS)["linear"]["recall@1"] > 0


def test_a_control_draws_nothing_at_random(data: Synthetic) -> None:
    objective = CLIP(["image", "text"])
    first, second = (metrics_by_control(data, objective, ["image", "text"]) for _ in range(2))
    assert first == second


def test_absent_modalities_are_left_out() -> None:
    made = Synthetic(KINDS, samples=400, missing=0.5, batch_size=32)
    made.setup()
    found = metrics_by_control(made, Classification("class", 10), KINDS)
    assert found["linear"]["accuracy"] > 2 * found["chance"]["accuracy"]


def test_a_ridge_finds_a_line() -> None:
    generator = np.random.default_rng(0)
    x, z = generator.normal(size=(200, 5)), generator.normal(size=(50, 5))
    weights = generator.normal(size=(5, 2))
    expected = LinearRegression().fit(x, x @ weights).predict(z)
    assert r2_score(expected, ridge(x, x @ weights, z)) > 0.999


@pytest.mark.parametrize("classes", [2, 3, 30])
def test_scores_know_the_classes_that_were_seen(classes: int) -> None:
    generator = np.random.default_rng(0)
    target = np.repeat(np.arange(1, classes), 20)  # class 0 never comes
    x = np.eye(classes)[target] + 0.1 * generator.normal(size=(len(target), classes))
    scores = class_scores(x, target, x, classes)
    assert (scores.argmax(1) == target).all()


def test_features_tell_colours_directions_and_pitches_apart() -> None:
    red, green = torch.zeros(2, 3, 40, 40, dtype=torch.uint8)
    red[0], green[1] = 255, 255
    upright, level = torch.zeros(2, 3, 40, 40, dtype=torch.uint8)
    upright[:, :, ::8], level[:, ::8] = 255, 255
    rows = image_features(torch.stack([red, green, upright, level]))
    colours, gradients = rows[:, :48], rows[:, 48 : 48 + 144]
    assert (colours[0] - colours[1]).abs().max() > 0.9
    assert (gradients[2] - gradients[3]).abs().max() > 0.1
    time = torch.arange(8000) / 8000
    sounds = torch.stack([torch.sin(2 * torch.pi * hertz * time) for hertz in (300, 2000)])
    low, high = audio_features(sounds, 8000)[:, :40]
    assert low.argmax() < high.argmax()


def test_missing_numbers_and_new_categories() -> None:
    train = [np.array([1.0, 0]), np.array([3.0, 1]), np.array([np.nan, 1])]
    numbers = Numbers(codes=1).fit(train)
    rows = numbers([np.array([2.0, 0]), np.array([np.nan, 7])])
    assert rows.tolist() == [[0, 0, 1, 0], [0, 1, 0, 0]]  # value, missing, categories 0 and 1


def test_captions_of_the_same_words_are_near() -> None:
    words = [[1, 2, 3], [4, 5, 6], [1, 2, 7], [4, 5, 8]]
    rows = Captions().fit([np.array(ids) for ids in words])([np.array(ids) for ids in words])
    near = rows @ rows.T
    assert near[0, 2] > near[0, 1]
    assert near[1, 3] > near[1, 2]


@pytest.mark.parametrize(
    ("mode", "linear", "is_better"),
    [("max", 0.6, True), ("max", 0.5, False), ("min", 0.4, True), ("min", 0.6, False)],
)
def test_a_model_that_loses_is_told(mode: str, linear: float, is_better: bool) -> None:
    metrics = {"test/accuracy": 0.5, "test/control/linear/accuracy": linear}
    sentence = verdict(metrics, "val/accuracy", mode)
    assert (f"accuracy {linear:.4f} against 0.5000" in sentence) == is_better
    assert not verdict({"test/accuracy": 0.5}, "val/accuracy", mode)  # nothing to compare with
    # the loss is not the linear model's: the accuracy is compared
    assert ("accuracy" in verdict(metrics, "val/loss", "min")) == (linear > 0.5)


def test_large_values_are_told_in_full() -> None:
    metrics = {"test/mae": 15535300.8, "test/control/linear/mae": 6320.44}
    assert "mae 6,320 against 15,535,301" in verdict(metrics, "val/mae", "min")
