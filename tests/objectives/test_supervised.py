"""Every supervised objective in configs/objective, and its options: a new one is tested by being
there."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_class, instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from polymodal.batch import PairedBatch
from polymodal.config.auto import close
from polymodal.errors import ConfigError, DataError, NumericError
from polymodal.objectives.classification import Classification
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression
from polymodal.objectives.supervised import Supervised
from polymodal.outputs import AuxLoss, ModelOutput
from tests.processes import run_processes

CONFIGS = Path(__file__).parents[2] / "configs" / "objective"
OUTPUTS = 3


def _target(name: str) -> type:
    return get_class(OmegaConf.load(CONFIGS / f"{name}.yaml").objective._target_)


NAMES = [
    file.stem
    for file in sorted(CONFIGS.glob("*.yaml"))
    if issubclass(_target(file.stem), Supervised)
]
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("classification", {"class_weights": [0.2, 0.1, 2.5], "label_smoothing": 0.1}),
    ("multilabel", {"positive_weights": [0.5, 1.0, 7.0]}),
    ("regression", {"loss": "l1"}),
    ("regression", {"loss": "huber", "huber_delta": 0.5}),
]
CASES = [(name, {}) for name in NAMES] + OPTIONS
IDS = ["-".join([name, *options]) for name, options in CASES]
every_case = pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)


def build(name: str, **options: Any) -> Supervised:
    root = {
        "label": "answer",
        "outputs": OUTPUTS,
        "objective": OmegaConf.load(CONFIGS / f"{name}.yaml").objective,
    }
    config = OmegaConf.merge(root, {"objective": options})
    close(config, {})
    return instantiate(config.objective, _convert_="all")


def case(name: str, count: int = 40, seed: int = 0) -> tuple[ModelOutput, PairedBatch]:
    """Random answers in fp64 and labels; some are not known, those of the last five samples not at
    all."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(count, OUTPUTS, generator=generator, dtype=torch.float64)
    kind = _target(name)
    if issubclass(kind, Classification):
        labels = torch.randint(-1, OUTPUTS, (count,), generator=generator)
    else:
        assert issubclass(kind, MultiLabel | Regression), (
            f"{name}: say here what its labels look like"
        )
        labels = torch.randint(-1, 2, (count, OUTPUTS), generator=generator)
    labels[-5:] = -1
    if issubclass(kind, Regression):
        values = torch.randn(count, OUTPUTS, generator=generator)
        labels = values.masked_fill(labels < 0, torch.nan)
    number = torch.arange(count)
    batch = PairedBatch({}, {}, number, number, labels={"answer": labels})
    return ModelOutput(torch.zeros(count, 1, 2), torch.ones(count, 1, dtype=torch.bool), y), batch


def part(
    output: ModelOutput, batch: PairedBatch, rows: torch.Tensor
) -> tuple[ModelOutput, PairedBatch]:
    piece = batch._map(lambda tensor: tensor[rows])
    return ModelOutput(output.x[rows], output.mask[rows], output.y[rows]), piece


def known(batch: PairedBatch) -> torch.Tensor:
    labels = batch.labels["answer"]
    seen = ~labels.isnan() if labels.is_floating_point() else labels >= 0
    return seen if seen.ndim == 1 else seen.any(1)


def judged(
    rank: int, world_size: int, name: str, options: dict[str, Any], sizes: list[int]
) -> dict[str, torch.Tensor]:
    """Gradient of one process' share, averaged as DDP does, and the metrics."""
    output, batch = case(name)
    start = sum(sizes[:rank])
    rows = torch.arange(start, start + sizes[rank]) if world_size > 1 else torch.arange(40)
    output, batch = part(output, batch, rows)
    weight = torch.ones(OUTPUTS, dtype=torch.float64, requires_grad=True)
    output = output._replace(y=output.y * weight)
    objective = build(name, **options)
    objective(output, batch).backward()
    if world_size > 1:
        torch.distributed.all_reduce(weight.grad)
        weight.grad /= world_size
    for rows in torch.arange(len(batch)).split(7):
        objective.update(*part(output, batch, rows))
    return {"gradient": weight.grad, **objective.compute()}


def everything(rank: int, world_size: int) -> list[dict[str, torch.Tensor]]:
    """All cases, one after the other: processes are slow to start. In the second shares one process
    has no label."""
    shares = ([29, 11], [35, 5])
    return [
        judged(rank, world_size, name, options, sizes)
        for sizes in shares
        for name, options in CASES
    ]


def test_processes_with_unequal_shares_and_labels_are_as_one() -> None:
    alone = everything(0, 1)
    for together in run_processes(everything, 2):
        for name, expected, result in zip(IDS * 2, alone, together, strict=True):
            assert result.keys() == expected.keys()
            for key, value in expected.items():
                message = lambda m, n=name, k=key: f"{n}, {k}: {m}"  # noqa: E731
                torch.testing.assert_close(result[key], value, rtol=1e-9, atol=1e-12, msg=message)


@every_case
@given(seed=st.integers(0, 10**6), size=st.integers(1, 40))
@settings(max_examples=10, deadline=None)
def test_metrics_do_not_depend_on_how_the_split_is_cut(
    name: str, options: dict[str, Any], seed: int, size: int
) -> None:
    output, batch = case(name, seed=seed)
    whole, cut = build(name, **options), build(name, **options)
    whole.update(output, batch)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
    # two samples are there twice, as a sampler's padding is
    for rows in [*order.split(size), torch.tensor([0, 1])]:
        cut.update(*part(output, batch, rows))
    assert cut.compute() == whole.compute()


@every_case
def test_the_loss_and_the_metric_of_it_are_those_of_the_labelled_samples_alone(
    name: str, options: Any
) -> None:
    output, batch = case(name)
    objective = build(name, **options)
    only = part(output, batch, known(batch).nonzero().squeeze(1))
    loss = objective(output, batch)
    assert loss > 0
    torch.testing.assert_close(objective(*only), loss, rtol=1e-12, atol=0)
    output.y[~known(batch)] = torch.nan  # nobody asks for these
    torch.testing.assert_close(objective(output, batch), loss, rtol=0, atol=0)
    objective.update(output, batch)
    torch.testing.assert_close(objective.compute()["loss"], loss, rtol=1e-12, atol=0)


@every_case
def test_without_any_label_the_loss_is_zero_with_a_graph_and_there_are_no_metrics(
    name: str, options: Any
) -> None:
    output, batch = case(name)
    output, batch = part(output, batch, torch.arange(35, 40))
    y = output.y.clone().requires_grad_()
    objective = build(name, **options)
    loss = objective(output._replace(y=y), batch)
    assert loss.item() == 0
    loss.backward()
    assert y.grad is not None
    objective.update(output, batch)
    assert objective.compute() == {}


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", NAMES)
def test_nan_is_an_error_and_not_a_score(name: str, bad: float) -> None:
    output, batch = case(name)
    row = int(known(batch).nonzero()[3])
    output.y[row, 1] = bad
    with pytest.raises(NumericError, match=f"1 samples, the first with id {row}"):
        build(name).update(output, batch)


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_the_fusion_is_added(name: str) -> None:
    output, batch = case(name)
    objective = build(name)
    alone = objective(output, batch)
    assert (
        objective(output._replace(aux_loss=AuxLoss(output.y, lambda _: 0.5)), batch) - alone
    ).item() == pytest.approx(0.5)


@pytest.mark.parametrize("name", NAMES)
def test_a_forgotten_evaluation_leaves_nothing(name: str) -> None:
    objective = build(name)
    objective.update(*case(name, seed=1))
    objective.reset()
    objective.update(*case(name))
    fresh = build(name)
    fresh.update(*case(name))
    assert objective.compute() == fresh.compute()


@pytest.mark.parametrize("name", NAMES)
def test_under_autocast_the_loss_is_in_fp32(name: str) -> None:
    output, batch = case(name)
    output = output._replace(y=output.y.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        loss = build(name)(output, batch)
    assert loss.dtype == torch.float32
    exact = build(name)(output._replace(y=output.y.double()), batch)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_is_told(name: str) -> None:
    output, batch = case(name)
    objective = build(name)
    with pytest.raises(ConfigError, match=r"Y has 2 columns.*head=linear"):
        objective(output._replace(y=output.y[:, :2]), batch)
    with pytest.raises(ConfigError, match="fusion=concat head=linear"):
        objective(output._replace(y=None), batch)
    with pytest.raises(ConfigError, match=r"label=answer.*Choose one: label=other"):
        objective(output, PairedBatch({}, {}, batch.group, batch.id, labels={"other": batch.group}))
    for labels in (torch.zeros(40, 5), torch.zeros(40, 2, dtype=torch.long), torch.zeros(40, 3, 1)):
        batch.labels["answer"] = labels
        with pytest.raises(ConfigError, match="objective.label=answer: .* reads"):
            objective(output, batch)


@pytest.mark.parametrize(
    ("name", "labels", "kind"),
    [
        ("classification", torch.zeros(4), "class"),
        ("regression", torch.zeros(4, dtype=torch.int64), "value"),
        ("multilabel", torch.zeros(4, dtype=torch.int64), "tags"),
    ],
)
def test_labels_of_another_kind_name_the_word_to_type(
    name: str, labels: torch.Tensor, kind: str
) -> None:
    objective = {
        "classification": Classification,
        "regression": Regression,
        "multilabel": MultiLabel,
    }[name]
    with pytest.raises(ConfigError, match=rf"type data\.label_kind={kind}$"):
        objective("label", 3).targets(labels)


def test_labels_of_the_right_kind_and_another_number_name_no_kind() -> None:
    with pytest.raises(ConfigError, match=r"objective\.outputs=3\.$"):
        Regression("label", 3).targets(torch.zeros(4, 2))


def test_classes_that_do_not_go_with_the_outputs_are_named() -> None:
    names = ["1.0", "cat", "dog", "CAT"]
    for name in ("classification", "multilabel"):
        with pytest.raises(
            DataError,
            match=r"4 classes and outputs=3: '1\.0', 'cat', 'dog', 'CAT'\. Give outputs=4",
        ):
            build(name).check_names(names)
        for known in ([], names[:3]):
            build(name).check_names(known)
    build("classification").check_names(names[:2])  # outputs to spare
    with pytest.raises(DataError, match="2 classes and outputs=3"):
        build("multilabel").check_names(names[:2])
    build("regression").check_names(names)


def test_a_class_beyond_the_outputs_is_told() -> None:
    output, batch = case("classification")
    batch.labels["answer"][7] = OUTPUTS
    with pytest.raises(DataError, match="class 3, but objective.outputs=3.* 4 at least"):
        build("classification")(output, batch)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("classification", {"class_weights": [1.0]}),
        ("classification", {"class_weights": [0, 0, 0]}),
        ("multilabel", {"positive_weights": [1.0, -1.0, 1.0]}),
    ],
)
def test_weights_that_cannot_be_are_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="give 3 weights"):
        build(name, **options)
