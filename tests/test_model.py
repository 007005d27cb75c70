"""Encoders see only what is present, and X has the promised shape."""

import pytest
import torch
from torch import nn

from polymodal.batch import PairedBatch
from polymodal.fusion.sum import Sum
from polymodal.heads.linear import Linear
from polymodal.model import MultimodalModel
from tests.processes import run_processes


class Recorder(nn.Module):
    """A linear encoder that remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.seen: list[torch.Tensor] = []

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.seen.append(inputs)
        return self.linear(inputs)


def make(present: torch.Tensor | None) -> tuple[MultimodalModel, PairedBatch]:
    model = MultimodalModel({"a": Recorder(), "b": Recorder()})
    number = torch.arange(5)
    inputs = {"a": torch.randn(5, 4), "b": torch.randn(5, 4)}
    masks = {} if present is None else {"b": present}
    return model, PairedBatch(inputs, {"a": number, "b": number}, number, number, masks)


def test_absent_samples_reach_no_encoder_and_are_zero_in_x() -> None:
    present = torch.tensor([True, False, True, False, False])
    model, batch = make(present)
    output = model(batch)
    assert output.x.shape == (5, 2, 3)
    assert torch.equal(model.encoders["b"].seen[0], batch.inputs["b"][present])
    assert (output.x[~present, 1] == 0).all()
    assert torch.equal(output.x[present, 1], model.encoders["b"].linear(batch.inputs["b"][present]))
    assert output.mask.tolist() == [[True, p] for p in present.tolist()]


def test_a_batch_without_any_of_one_modality_works() -> None:
    model, batch = make(torch.zeros(5, dtype=torch.bool))
    output = model(batch)
    assert (output.x[:, 1] == 0).all()
    output.x.sum().backward()
    assert model.encoders["a"].linear.weight.grad is not None


def test_nothing_at_all_is_an_error() -> None:
    model, batch = make(torch.zeros(5, dtype=torch.bool))
    batch.present["a"] = torch.zeros(5, dtype=torch.bool)
    with pytest.raises(ValueError, match="no sample has any modality"):
        model(batch)


def test_fusion_and_head_give_y() -> None:
    model, batch = make(None)
    model.fusion, model.head = Sum(3, ["a", "b"]), Linear(3, 7)
    assert model(batch).y.shape == (5, 7)
    model.head = None
    output = model(batch)
    assert torch.allclose(output.y, output.x.sum(1))


def test_inputs_follow_the_dtype_of_the_weights() -> None:
    model, batch = make(None)
    assert model.double()(batch).x.dtype == torch.float64


def test_a_single_sample_of_a_modality_passes_batch_norms_in_training() -> None:
    present = torch.tensor([True, False, False, False, False])
    model, batch = make(present)
    model.encoders["b"] = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    norm = model.encoders["b"][1]
    before = norm.running_mean.clone()
    output = model.train()(batch)
    assert output.x[0, 1].isfinite().all()
    assert torch.equal(norm.running_mean, before)
    assert norm.training
    batch.present["b"] = ~present
    model(batch)
    assert not torch.equal(norm.running_mean, before)


class Meeting(nn.SyncBatchNorm):
    """Notes how many samples it got, where it would wait for the other processes."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.met = len(inputs) if self.training else None
        return inputs * self.weight


def met(rank: int, world_size: int) -> int | None:
    """The first process has one sample of a modality, the second has none."""
    present = torch.zeros(5, dtype=torch.bool)
    present[0] = rank == 0
    model, batch = make(present)
    model.encoders["b"] = nn.Sequential(nn.Linear(4, 3), Meeting(3))
    model.train()(batch).x.sum().backward()
    assert model.encoders["b"][0].weight.grad is not None
    return model.encoders["b"][1].met


def test_norms_over_all_processes_meet_in_each_step() -> None:
    assert run_processes(met, 2) == [1, 0]


def test_vectors_that_are_known_are_those_of_the_data_alone() -> None:
    model, batch = make(None)
    model.caches = {"a": lambda *given: torch.full((len(given[1]), 3), 7.0)}
    assert (model.encode(batch).x[:, 0] == 7).all()
    assert torch.equal(
        model.encode(batch, known=False).x[:, 0], model.encoders["a"].linear(batch.inputs["a"])
    )
