"""Classification against scikit-learn."""

import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss

from polymodal.batch import PairedBatch
from polymodal.metrics.recall import accuracy, macro_recall
from polymodal.model import ModelOutput
from polymodal.objectives.classification import Classification
from tests.losses.processes import run_processes


def case(count: int = 60) -> tuple[ModelOutput, PairedBatch]:
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(count, 4, generator=generator)
    number = torch.arange(count)
    target = torch.randint(-1, 4, (count,), generator=generator)
    batch = PairedBatch({}, {}, number, number, labels={"kind": target})
    return ModelOutput(torch.zeros(count, 1, 2), torch.ones(count, 1, dtype=torch.bool), y), batch


def test_figures_equal_scikit_learn_s_over_uneven_batches() -> None:
    output, batch = case()
    objective = Classification("kind", 4)
    for rows in torch.arange(60).split(17):
        piece = PairedBatch({}, {}, batch.group[rows], batch.id[rows], labels={"kind": batch.labels["kind"][rows]})
        objective.update(ModelOutput(output.x[rows], output.mask[rows], output.y[rows]), piece)
    counted = batch.labels["kind"] >= 0
    target, logits = batch.labels["kind"][counted].numpy(), output.y[counted]
    figures = objective.compute()
    assert figures["accuracy"].item() == pytest.approx(accuracy_score(target, logits.argmax(1)))
    assert figures["recall"].item() == pytest.approx(balanced_accuracy_score(target, logits.argmax(1)))
    assert figures["loss"].item() == pytest.approx(log_loss(target, logits.double().softmax(1)), rel=1e-6)
    assert objective(output, batch).item() == pytest.approx(log_loss(target, logits.double().softmax(1)), rel=1e-6)


def test_a_class_that_does_not_occur_does_not_count() -> None:
    confusion = torch.tensor([[3, 1, 0], [0, 0, 0], [1, 1, 2]])  # the second class is predicted, but never true
    assert macro_recall(confusion).item() == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert accuracy(confusion).item() == pytest.approx(5 / 8)


def gradient(rank: int, world_size: int) -> torch.Tensor:
    """Of one process' share of the samples, averaged as DDP does."""
    output, batch = case()
    rows = torch.arange(60).split([45, 15])[rank] if world_size > 1 else torch.arange(60)
    weight = torch.ones(4, dtype=torch.float64, requires_grad=True)
    piece = PairedBatch({}, {}, batch.group[rows], batch.id[rows], labels={"kind": batch.labels["kind"][rows]})
    logits = output.y[rows].double() * weight
    Classification("kind", 4)(ModelOutput(output.x[rows], output.mask[rows], logits), piece).backward()
    if world_size > 1:
        torch.distributed.all_reduce(weight.grad)
        weight.grad /= world_size
    return weight.grad


def test_two_processes_with_unequal_shares_have_the_gradient_of_one() -> None:
    for together in run_processes(gradient, 2):
        torch.testing.assert_close(together, gradient(0, 1), rtol=1e-6, atol=0)


def test_nan_is_an_error_and_not_a_score() -> None:
    output, batch = case()
    output.y[3] = torch.nan
    batch.labels["kind"][3] = 1
    with pytest.raises(ValueError, match="NaN"):
        Classification("kind", 4).update(output, batch)


def test_without_any_label_the_loss_is_zero_with_a_graph() -> None:
    output, batch = case()
    batch.labels["kind"].fill_(-1)
    y = output.y.clone().requires_grad_()
    loss = Classification("kind", 4)(output._replace(y=y), batch)
    assert loss.item() == 0
    loss.backward()
