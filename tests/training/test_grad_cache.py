"""Micro-batches give the gradient of the whole batch, in the memory of one, and nobody else
notices."""

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import Trainer
from lightning.pytorch.plugins import MixedPrecision
from tests.callbacks.runs import Vectors
from tests.objectives.cases import DIM, MODALITIES, build, encoders, samples
from tests.processes import run_processes
from torch import nn

from polymodal.batch import PairedBatch
from polymodal.callbacks.ema import EMA
from polymodal.callbacks.modality_dropout import ModalityDropout
from polymodal.fusion.concat import Concat
from polymodal.fusion.mixture import Mixture
from polymodal.fusion.transformer import Transformer
from polymodal.missing.mean import Mean
from polymodal.model import MultimodalModel
from polymodal.module import MultimodalModule
from polymodal.objectives.classification import Classification
from polymodal.objectives.clip import CLIP
from polymodal.objectives.weighted import Weighted
from polymodal.outputs import ModelOutput, Tokens, masked_mean
from polymodal.training.grad_cache import in_parts, parts_of
from polymodal.training.tuning import Tuning


@given(
    count=st.integers(2, 12),
    k=st.integers(1, 14),
    m=st.integers(2, 4),
    groups=st.integers(1, 6),
    missing=st.booleans(),
    name=st.sampled_from(["clip", "siglip", "supcon", "symile", "vicreg"]),
)
@settings(max_examples=40, deadline=None)
def test_any_batch_in_any_number_of_parts(
    count: int, k: int, m: int, groups: int, missing: bool, name: str
) -> None:
    modalities = ("a", "b", "c", "d")[:m]
    batch = samples(count, missing, modalities, groups)
    results = []
    for parts in (1, k):
        model, loss_of = MultimodalModel(encoders(modalities)), build(name, modalities)
        loss = loss_of(in_parts(model, batch, parts), batch)
        loss.backward()
        results.append(
            [loss.detach(), *(p.grad for p in [*model.parameters(), *loss_of.parameters()])]
        )
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-10)


@given(count=st.integers(1, 30), k=st.integers(1, 30))
def test_parts_are_even_and_hold_each_sample_once(count: int, k: int) -> None:
    parts = parts_of(samples(count), min(k, count))
    assert torch.cat([part.id for part in parts]).tolist() == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


class Sequences(nn.Module):
    """(B, 5) -> five tokens of width DIM, or their mean, after dropout."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.map, self.dropout = nn.Linear(1, DIM), nn.Dropout(dropout)

    def tokens(self, x: torch.Tensor) -> Tokens:
        return Tokens(
            self.dropout(self.map(x[:, :, None]).tanh()), torch.ones_like(x, dtype=torch.bool)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return masked_mean(*self.tokens(x))


def with_tokens(dropout: float) -> tuple[MultimodalModel, Weighted]:
    torch.manual_seed(0)
    reader = Transformer(DIM, MODALITIES, heads=2, dropout=dropout)
    model = MultimodalModel(
        {name: Sequences(dropout) for name in MODALITIES}, reader, nn.Linear(DIM, 3)
    ).double()
    objectives = {"clip": CLIP(MODALITIES), "kind": Classification("kind", 3)}
    return model, Weighted(objectives, {"clip": 1.0, "kind": 1.0}).double()


def one_graph(model: MultimodalModel, batch: PairedBatch, count: int) -> ModelOutput:
    """The parts one after the other, all activations kept."""
    outputs = [model(part) for part in parts_of(batch, count)]
    fields = (
        torch.cat([getattr(output, name) for output in outputs]) for name in ("x", "mask", "y")
    )
    return ModelOutput(*fields)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_dropout_is_replayed_in_a_fusion_that_reads_tokens(dropout: float) -> None:
    batch = samples(11, missing=True)
    results = []
    for forward in (in_parts, one_graph):
        model, loss_of = with_tokens(dropout)
        torch.manual_seed(5)
        loss = loss_of(forward(model, batch, 4), batch)
        drawn = torch.rand(())  # what comes later sees no difference either
        loss.backward()
        assert torch.rand(()) != drawn
        results.append(
            [loss.detach(), drawn, *(p.grad for p in [*model.parameters(), *loss_of.parameters()])]
        )
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.SyncBatchNorm])
def test_batch_norms_count_each_sample_once(norm: type[nn.Module], momentum: float | None) -> None:
    batch = samples(12)
    states = []
    for forward in (in_parts, one_graph):
        torch.manual_seed(0)
        norms = {
            n: nn.Sequential(nn.Linear(5, DIM), norm(DIM, momentum=momentum)) for n in MODALITIES
        }
        model = MultimodalModel(
            norms, Mixture(DIM, MODALITIES, experts=2, hidden=4), nn.Linear(DIM, 3)
        ).double()
        forward(model, batch, 3).x.square().sum().backward()
        states.append(
            {
                **model.state_dict(),
                **{name: p.grad for name, p in model.encoders.named_parameters()},
            }
        )
    assert states[0]["encoders.a.1.num_batches_tracked"] == 3
    torch.testing.assert_close(*states)


def test_means_that_stand_for_what_is_missing_are_filled_in_again() -> None:
    batch = samples(12, missing=True)
    states = []
    for forward in (in_parts, one_graph):
        torch.manual_seed(0)
        model = MultimodalModel(
            encoders(), Concat(DIM, MODALITIES, hidden=4), missing=Mean(DIM, MODALITIES, 0.5)
        )
        forward(model.double(), batch, 3).y.square().sum().backward()
        states.append(
            {**model.state_dict(), **{name: p.grad for name, p in model.fusion.named_parameters()}}
        )
    torch.testing.assert_close(*states)


def forwards(rank: int, world_size: int) -> int:
    """How often a process computes, of which the first has five samples and the second four."""
    calls, model = [], MultimodalModel(encoders(("a", "b")))
    model.encoders["a"].register_forward_pre_hook(lambda *_: calls.append(None))
    in_parts(model, samples(5 - rank, modalities=("a", "b")), 5)
    return len(calls)


def test_all_processes_have_as_many_parts() -> None:
    assert run_processes(forwards, 2) == [4, 4]
    assert forwards(0, 1) == 5


class Watched(torch.autograd.Function):
    """The identity, which keeps what it saves for backward in sight."""

    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most = 0

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        kept = torch.ones(len(x))
        ctx.save_for_backward(kept)
        Watched.alive.add(kept)
        Watched.most = max(Watched.most, sum(map(len, Watched.alive)))
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        assert len(ctx.saved_tensors) == 1
        return grad


class Watching(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Watched.apply(super().forward(x))


@pytest.mark.parametrize(("count", "k"), [(32, 1), (32, 4), (32, 16), (8, 4), (128, 64)])
def test_the_activations_of_one_part_are_held(count: int, k: int) -> None:
    Watched.most = 0
    model, loss_of = (
        MultimodalModel({name: Watching(5, DIM) for name in "ab"}).double(),
        build("clip", "ab"),
    )
    batch = samples(count, modalities="ab")
    loss_of(in_parts(model, batch, k), batch).backward()
    assert Watched.most == 2 * count / k
    assert not Watched.alive


class Counting(CLIP):
    calls = 0

    def forward(self, output: ModelOutput, batch: PairedBatch) -> torch.Tensor:
        self.calls += 1
        return super().forward(output, batch)


def trained(
    accumulate: int, precision: str, plugins: list[Any], tuning: dict[str, Tuning]
) -> MultimodalModule:
    """Two epochs of everything that looks at gradients: clipping, an average of the weights, a
    schedule, freezing."""
    torch.manual_seed(0)
    model = MultimodalModel(
        {name: nn.Linear(5, DIM) for name in MODALITIES},
        Mixture(DIM, MODALITIES, hidden=8),
        nn.Linear(DIM, 3),
    )
    objectives = {"clip": Counting(MODALITIES), "kind": Classification("kind", 3)}
    module = MultimodalModule(
        model,
        Weighted(objectives, {"clip": 1.0, "kind": 1.0}),
        partial(torch.optim.AdamW, lr=0.01),
        tuning=tuning,
        accumulate=accumulate,
    )
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        precision=None if plugins else precision,
        plugins=plugins,
        gradient_clip_val=0.5,
        limit_val_batches=0,
        callbacks=[EMA(decay=0.9), ModalityDropout(0.3)],
        **dict.fromkeys(
            ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
        ),
    )
    trainer.fit(module, datamodule=Vectors())
    assert objectives["clip"].calls == trainer.global_step == 12
    return module


@pytest.mark.parametrize(
    ("precision", "plugins", "tolerance"),
    [
        ("64-true", list, 1e-9),
        ("bf16-mixed", list, 0.02),
        ("16-mixed", lambda: [MixedPrecision("16-mixed", "cpu")], 0.02),
    ],
    ids=["fp64", "bf16", "fp16 with a scaler"],
)
def test_a_training_gives_the_same_weights(
    precision: str, plugins: Callable[[], list[Any]], tolerance: float
) -> None:
    tuning = {"a": Tuning(freeze=True), "b": Tuning(freeze=True, unfreeze_at=4)}
    one, cut = (trained(k, precision, plugins(), tuning).state_dict() for k in (1, 3))
    for name, value in one.items():
        torch.testing.assert_close(
            cut[name], value, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )
