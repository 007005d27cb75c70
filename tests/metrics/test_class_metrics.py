"""Metrics of classes against scikit-learn, and calibration against a loop."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from polymodal.metrics.calibration import reliability
from polymodal.metrics.classification import classification_metrics
from polymodal.metrics.confusion import (
    MATRIX,
    accuracy,
    class_counts,
    class_metrics,
    confusion_matrix,
    macro_recall,
)
from polymodal.metrics.multilabel import multilabel_metrics, multilabel_table
from polymodal.metrics.order import auroc, average_precision

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:sklearn")
SEEDS = st.integers(0, 10**6)


def answers(seed: int, count: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and classes; classes that never occur and scores that tie are frequent."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randint(-3, 4, (count, classes), generator=generator).double() / 2
    logits += torch.rand(count, classes, generator=generator) * (seed % 2)
    target = torch.randint(
        torch.randint(1, classes + 1, (), generator=generator), (count,), generator=generator
    )
    return logits, target


@given(SEEDS, st.integers(1, 40), st.integers(2, 13))
@settings(max_examples=30, deadline=None)
def test_metrics_of_a_classification_are_scikit_learn_s(
    seed: int, count: int, classes: int
) -> None:
    logits, target = answers(seed, count, classes)
    metrics = classification_metrics(logits, target)
    said, there = logits.argmax(1).numpy(), np.unique(target)
    macro = {"labels": there, "average": "macro", "zero_division": 0}
    expected = {
        "accuracy": sk.accuracy_score(target, said),
        "recall": sk.recall_score(target, said, **macro),
        "precision": sk.precision_score(target, said, **macro),
        "f1": sk.f1_score(target, said, **macro),
        "ece": calibration_by_loop(logits, target),
    }
    if len(there) > 1:
        expected["recall"] = sk.balanced_accuracy_score(target, said)
        shares = logits.log_softmax(
            1
        ).numpy()  # the order of the probabilities, without the ties of rounding
        expected["auroc"] = np.mean(
            [sk.roc_auc_score(target.numpy() == k, shares[:, k]) for k in there]
        )
    if classes > 10:
        own = logits[torch.arange(count), target][:, None]
        expected["accuracy@5"] = np.mean(
            [(row >= mine).sum().item() <= 5 for row, mine in zip(logits, own, strict=True)]
        )
    assert metrics.keys() == expected.keys()
    assert {name: value.item() for name, value in metrics.items()} == pytest.approx(
        expected, rel=1e-6, abs=1e-6
    )


def test_without_ties_the_first_five_are_scikit_learn_s() -> None:
    logits, target = torch.randn(50, 12, dtype=torch.float64), torch.arange(50) % 12
    expected = sk.top_k_accuracy_score(target, logits, k=5)
    assert classification_metrics(logits, target)["accuracy@5"].item() == pytest.approx(expected)


def calibration_by_loop(logits: torch.Tensor, target: torch.Tensor, bins: int = 15) -> float:
    total = 0.0
    shares = logits.softmax(1)
    for i in range(bins):
        inside = [
            n for n in range(len(target)) if i / bins < shares[n].max().item() <= (i + 1) / bins
        ]
        right = sum(int(shares[n].argmax() == target[n]) for n in inside)
        total += abs(right - sum(shares[n].max().item() for n in inside))
    return total / len(target)


def test_reliability_of_confidences_that_are_known() -> None:
    probabilities = torch.tensor([[0.875, 0.125], [0.875, 0.125], [0.25, 0.75], [1.0, 0.0]])
    bins = reliability(probabilities, torch.tensor([0, 1, 1, 0]), bins=4)
    assert bins.samples.tolist() == [0, 0, 1, 3]  # an edge belongs to the bin below it
    assert bins.accuracy.tolist() == pytest.approx([0, 0, 1, 2 / 3])
    assert bins.confidence.tolist() == pytest.approx([0, 0, 0.75, 2.75 / 3])
    assert bins.error.item() == pytest.approx((0.25 + 0.75) / 4)


@given(SEEDS, st.integers(1, 40), st.integers(2, 6))
@settings(max_examples=25, deadline=None)
def test_the_table_of_classes_is_scikit_learn_s(seed: int, count: int, classes: int) -> None:
    logits, target = answers(seed, count, classes)
    confusion = confusion_matrix(logits.argmax(1), target, classes)
    assert (
        confusion.tolist()
        == sk.confusion_matrix(target, logits.argmax(1), labels=range(classes)).tolist()
    )
    parts = sk.precision_recall_fscore_support(
        target, logits.argmax(1), labels=range(classes), zero_division=0
    )
    table = class_metrics(*class_counts(logits.argmax(1), target, classes))
    for name, part in zip(("precision", "recall", "f1", "support"), parts, strict=True):
        assert table[name].tolist() == pytest.approx(part)


def test_counts_of_many_classes_are_those_of_few() -> None:
    generator = torch.Generator().manual_seed(0)
    answer, target = torch.randint(0, 7, (2, 50), generator=generator)
    few, many = (class_counts(answer, target, classes) for classes in (7, MATRIX + 1))
    for one, other in zip(few, many, strict=True):
        assert one.tolist() == other[:7].tolist()
        assert not other[7:].any()


def test_a_class_that_does_not_occur_does_not_count() -> None:
    # the second class is predicted, but never true
    confusion = torch.tensor([[3, 1, 0], [0, 0, 0], [1, 1, 2]])
    assert macro_recall(confusion).item() == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert accuracy(confusion).item() == pytest.approx(5 / 8)


@given(SEEDS, st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_areas_are_scikit_learn_s_with_ties(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(-3, 4, (count,), generator=generator).double()
    positive = torch.rand(count, generator=generator) > 0.6
    if positive.any():
        assert average_precision(scores, positive).item() == pytest.approx(
            sk.average_precision_score(positive, scores)
        )
    if positive.any() and not positive.all():
        assert auroc(scores, positive).item() == pytest.approx(sk.roc_auc_score(positive, scores))
    else:
        assert auroc(scores, positive).isnan()


@given(SEEDS, st.integers(1, 30), st.integers(1, 5), st.booleans())
@settings(max_examples=30, deadline=None)
def test_metrics_of_several_classes_a_sample_are_scikit_learn_s(
    seed: int, count: int, k: int, partial: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randint(-3, 4, (count, k), generator=generator).double() + 0.5
    target = torch.randint(-1 if partial else 0, 2, (count, k), generator=generator)
    target[:, -1] *= seed % 2  # a class that never occurs
    metrics = multilabel_metrics(logits, target)
    seen, said, true = target.numpy() >= 0, logits.numpy() > 0, target.numpy() == 1
    columns = [
        (true[seen[:, i], i], said[seen[:, i], i], logits[:, i].numpy()[seen[:, i]])
        for i in range(k)
    ]
    there = [column for column in columns if column[0].any()]
    both = [column for column in there if not column[0].all()]
    expected = {
        "subset_accuracy": np.mean(
            [((t == s) | ~m).all() for t, s, m in zip(true, said, seen, strict=True)]
        )
    }
    if not partial:
        assert expected["subset_accuracy"] == pytest.approx(sk.accuracy_score(true, said))
    expected["micro_f1"] = sk.f1_score(true[seen], said[seen], zero_division=0) if seen.any() else 0
    if there:
        expected["f1"] = np.mean([sk.f1_score(t, s, zero_division=0) for t, s, _ in there])
        expected["recall"] = np.mean([sk.recall_score(t, s) for t, s, _ in there])
        expected["mean_average_precision"] = np.mean(
            [sk.average_precision_score(t, v) for t, _, v in there]
        )
    if both:
        expected["auroc"] = np.mean([sk.roc_auc_score(t, v) for t, _, v in both])
    assert {name: value.item() for name, value in metrics.items()} == pytest.approx(expected)
    table = multilabel_table(logits, target)
    assert table["support"].tolist() == [int(t.sum()) for t, _, _ in columns]
    assert [math.isfinite(value) for value in table["average_precision"].tolist()] == [
        t.any() for t, _, _ in columns
    ]
