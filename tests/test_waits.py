"""A step of training is queued on the device ahead of its work: nothing in it may ask what the
numbers are.

On the device `meta` there are none, and whoever asks fails. What must ask, because shapes depend on
it, is counted.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from polymodal.batch import PairedBatch
from polymodal.callbacks.modality_dropout import dropped
from polymodal.fusion.mixture import Mixture
from polymodal.missing.learned_token import LearnedToken
from polymodal.missing.mean import Mean
from polymodal.model import MultimodalModel
from polymodal.objectives import global_batch
from polymodal.objectives.base import Objective
from polymodal.objectives.classification import Classification
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression
from polymodal.training.grad_cache import in_parts
from tests.encoders import test_encoders
from tests.fusion import cases as fusions
from tests.objectives.cases import CASES, DIM, IDS, MODALITIES, build, encoders, samples

OURS = [
    ("image", "cnn"),
    ("image", "vit"),
    ("text", "transformer"),
    ("text", "cnn"),
    ("audio", "cnn"),
    ("tabular", "mlp"),
]
"""Encoders that must not ask. A recurrent one must: packing reads the lengths on the host. Others
are of libraries."""

SUPERVISED = {
    "weights": lambda: Classification("kind", 3, [1.0, 2.0, 0.5], label_smoothing=0.1),
    "several": lambda: MultiLabel("several", 3, [1.0, 2.0, 3.0]),
    "mse": lambda: Regression("value", 3),
    "huber": lambda: Regression("value", 3, "huber"),
}


@pytest.fixture
def meta(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    # which does not know the device
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    return torch.device("meta")


class Questions(TorchDispatchMode):
    """Counts what a GPU would be waited for: numbers, and shapes that depend on them."""

    names = (
        "_local_scalar_dense",
        "nonzero",
        "_unique2",
        "unique_consecutive",
        "masked_select",
        "equal",
    )

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        by_bool = name in ("index", "index_put", "_index_put_impl_") and any(
            isinstance(index, Tensor) and index.dtype == torch.bool for index in args[1]
        )
        self.count += name in self.names or by_bool
        return func(*args, **(kwargs or {}))


def fused(missing: nn.Module | None = None) -> MultimodalModel:
    return MultimodalModel(
        encoders(), Mixture(DIM, MODALITIES, hidden=4), nn.Linear(DIM, 3), missing
    ).double()


def step(model: MultimodalModel, objective: Objective, batch: PairedBatch, parts: int) -> None:
    objective(in_parts(model, batch, parts), batch).backward()
    nn.utils.clip_grad_norm_([*model.parameters(), *objective.parameters()], 1.0)
    objective.clamp()


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_contrastive_losses_wait_for_nothing(
    name: str, options: dict[str, Any], meta: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, loss_of = MultimodalModel(encoders()), build(name, **options)
    with monkeypatch.context() as small, Questions() as in_tiles:
        small.setattr(global_batch, "MANY", 40)
        step(model, loss_of, samples(8), 3)
    assert in_tiles.count == 0
    loss_of.to(meta)(model.to(meta)(samples(8).to(meta)), samples(8).to(meta)).backward()


@pytest.mark.parametrize("name", [name for name in SUPERVISED if name != "weights"])
def test_supervised_losses_wait_for_nothing(name: str, meta: torch.device) -> None:
    for missing in (None, LearnedToken(DIM, MODALITIES), Mean(DIM, MODALITIES)):
        step(fused(missing).to(meta), SUPERVISED[name]().to(meta), samples(8).to(meta), 2)


@pytest.mark.parametrize(("modality", "name"), OURS)
def test_encoders_wait_for_nothing(modality: str, name: str, meta: torch.device) -> None:
    encoder, inputs = (
        test_encoders.build(modality, name).to(meta),
        test_encoders.inputs_of(modality).to(meta),
    )
    encoder(inputs).sum().backward()


@pytest.mark.parametrize(("name", "way"), fusions.WAYS, ids=fusions.IDS)
def test_fusions_wait_for_nothing(name: str, way: dict[str, Any], meta: torch.device) -> None:
    fusion = fusions.build(name, 3, **way).to(meta).train()
    x, mask = (
        torch.randn(4, 3, fusions.DIM, device=meta).double(),
        torch.ones(4, 3, dtype=torch.bool, device=meta),
    )
    fusion(x.requires_grad_(), mask).y.sum().backward()


def test_modality_dropout_waits_for_nothing(meta: torch.device) -> None:
    dropped(
        torch.zeros(4, dtype=torch.long, device=meta),
        torch.ones(4, 3, device=meta).bool(),
        torch.rand(3).to(meta),
        1,
    )


@pytest.mark.parametrize(
    ("name", "terms"),
    [("clip", 3), ("siglip", 3), ("fused", 6), ("symile", 1), ("supcon", 1), ("vicreg", 3)],
)
def test_with_missing_modalities_it_is_once_a_modality_and_once_a_term(
    name: str, terms: int
) -> None:
    with Questions() as questions:
        step(MultimodalModel(encoders()), build(name), samples(12, missing=True), 1)
    assert questions.count == len(MODALITIES) + terms


@pytest.mark.parametrize("name", SUPERVISED)
def test_a_classification_looks_at_its_labels(name: str) -> None:
    with Questions() as questions:
        step(fused(), SUPERVISED[name](), samples(12), 1)
    assert questions.count == (name == "weights")


def test_numbers_that_are_read_are_found() -> None:
    values = torch.arange(6)
    readers = [bool, int, Tensor.item, Tensor.nonzero, Tensor.unique, lambda v: values[v > 0]]
    for reader in readers:
        with Questions() as questions:
            reader(values.sum())
        assert questions.count, reader
