"""Several objectives at once are the sum of each by itself."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from polymodal.batch import PairedBatch
from polymodal.config.auto import close
from polymodal.objectives.classification import Classification
from polymodal.objectives.clip import CLIP
from polymodal.objectives.regression import Regression
from polymodal.objectives.weighted import Weighted
from polymodal.outputs import AuxLoss, ModelOutput

FILE = Path(__file__).parents[2] / "configs" / "objective" / "clip_and_classification.yaml"


def case() -> tuple[ModelOutput, PairedBatch]:
    generator = torch.Generator().manual_seed(0)
    number = torch.arange(12)
    x, y = torch.randn(12, 2, 4, generator=generator), torch.randn(12, 3, generator=generator)
    labels = {"kind": number % 3, "size": torch.randn(12, 3, generator=generator)}
    batch = PairedBatch({}, {"a": number, "b": number}, number // 2, number, labels=labels)
    return ModelOutput(x, torch.ones(12, 2, dtype=torch.bool), y), batch


def children() -> dict:
    return {"clip": CLIP(["a", "b"]), "classification": Classification("kind", 3)}


def weighted() -> Weighted:
    return Weighted(children(), {"clip": 2.0, "classification": 0.5})


def test_loss_and_metrics_are_those_of_the_children() -> None:
    output, batch = case()
    together, alone = weighted(), children()
    expected = 2 * alone["clip"](output, batch) + 0.5 * alone["classification"](output, batch)
    torch.testing.assert_close(together(output, batch), expected)
    for objective in (together, *alone.values()):
        objective.update(output, batch)
    metrics = together.compute()
    wanted = {
        f"{name}/{key}": value
        for name, own in alone.items()
        for key, value in own.compute().items()
    }
    assert metrics.keys() == {"loss", *wanted}
    for key, value in wanted.items():
        torch.testing.assert_close(metrics[key], value)
    total = 2 * wanted["clip/loss"] + 0.5 * wanted["classification/loss"]
    assert metrics["loss"].item() == pytest.approx(total.item())


def test_the_loss_of_the_fusion_is_added_once() -> None:
    output, batch = case()
    objective = weighted()
    alone = objective(output, batch)
    together = objective(output._replace(aux_loss=AuxLoss(output.y, lambda _: 0.25)), batch)
    assert (together - alone).item() == pytest.approx(0.25, abs=1e-6)


def test_needs_are_those_of_any_child() -> None:
    both, alone = weighted(), Weighted({"kind": Classification("kind", 3)}, {"kind": 1.0})
    align = Weighted({"clip": CLIP(["a", "b"])}, {"clip": 1.0})
    assert (both.needs_fusion, alone.needs_fusion, align.needs_fusion) == (True, True, False)


def test_parameters_are_trained_clamped_and_saved() -> None:
    objective = weighted()
    objective(*case()).backward()
    scale = objective.objectives["clip"].logit_scale
    assert scale.grad.abs() > 0
    scale.data.fill_(9.0)
    objective.clamp()
    assert scale.exp().item() == pytest.approx(100, rel=1e-5)
    assert "objectives.clip.logit_scale" in objective.state_dict()


def test_reset_reaches_the_children() -> None:
    objective = weighted()
    output, batch = case()
    objective.update(output._replace(y=-output.y, x=-output.x.flip(0)), batch)
    objective.reset()
    objective.update(output, batch)
    fresh = weighted()
    fresh.update(output, batch)
    assert objective.compute() == fresh.compute()


def test_a_child_without_labels_leaves_its_metrics_out() -> None:
    output, batch = case()
    batch.labels["size"].fill_(torch.nan)
    parts = {"kind": Classification("kind", 3), "size": Regression("size", 3)}
    objective = Weighted(parts, {"kind": 1.0, "size": 1.0})
    objective.update(output, batch)
    metrics = objective.compute()
    assert metrics["loss"] == metrics["kind/loss"]
    assert not [key for key in metrics if key.startswith("size/")]


def test_parts_are_found_at_any_depth() -> None:
    inner = weighted()
    outer = Weighted({"both": inner, "size": Regression("size", 3)}, {"both": 1.0, "size": 1.0})
    assert list(outer.parts()) == ["both/clip", "both/classification", "size"]
    assert outer.parts()["both/clip"] is inner.objectives["clip"]
    single = Regression("size")
    assert single.parts() == {"": single}


@pytest.mark.parametrize(
    "weights", [{"clip": 1.0}, {"clip": 1.0, "classification": -1.0}, {"clip": 1, "other": 1}]
)
def test_weights_that_cannot_be_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="the objectives are clip, classification"):
        Weighted(children(), weights)


def test_the_example_is_built_from_its_file() -> None:
    root = {
        "label": "kind",
        "outputs": 3,
        "encoder": {"a": {}, "b": {}},
        "data": {"batch_size": 12},
    }
    config = OmegaConf.merge(root, {"objective": OmegaConf.load(FILE).objective})
    close(config, {})
    objective = instantiate(config.objective, _convert_="all")
    assert objective(*case()).isfinite()
    objective.update(*case())
    assert OmegaConf.load(FILE).monitor.removeprefix("val/") in objective.compute()
