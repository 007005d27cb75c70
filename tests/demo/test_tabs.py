"""A model is asked only for what it can do."""

from pathlib import Path

import pytest

from polymodal.demo.contributions import explain
from polymodal.demo.held_out import HeldOut
from polymodal.inference.trained import Trained
from tests.end_to_end.test_experiments import QUIET
from tests.export.models import checkpoint_of

FIVE = [
    "data=synthetic",
    "++data.samples=200",
    "encoder/image=linear",
    "encoder/text=bow",
    "encoder/audio=cnn",
]
FIVE += ["encoder/video=mean", "encoder/tabular=mlp", "callbacks=none", "dim=8", *QUIET]
ALIGNED = ["Search", "Classify by name", "Map"]
OBJECTIVES = {
    "clip": (["objective=clip"], ALIGNED),
    "siglip": (["objective=siglip"], ALIGNED),
    "classification": (
        ["objective=classification", "fusion=sum", "head=linear"],
        ["Predict", "Map"],
    ),
    "value": (
        ["objective=regression", "fusion=sum", "head=linear", "label=value", "outputs=1"],
        ["Predict", "Map"],
    ),
    "tags": (
        ["objective=multilabel", "fusion=sum", "head=linear", "label=tags", "outputs=3"],
        ["Predict", "Map"],
    ),
    "both": (
        ["objective=clip_and_classification", "fusion=sum", "head=linear"],
        ["Predict", *ALIGNED],
    ),
    "fused": (["objective=fused"], ALIGNED),
}


@pytest.fixture(scope="module", params=list(OBJECTIVES))
def model(request, tmp_path_factory) -> tuple[HeldOut, list[str]]:
    overrides, tabs = OBJECTIVES[request.param]
    folder = tmp_path_factory.mktemp("model")
    checkpoint_of(folder, *overrides, tiny=FIVE)
    return HeldOut(Trained(folder, ["devices=cpu"]), 50), tabs


def test_tabs_follow_the_objective(model: tuple[HeldOut, list[str]]) -> None:
    held, tabs = model
    assert held.tabs == tabs


def test_each_tab_answers_to_an_example_of_each_of_five_modalities(
    model: tuple[HeldOut, list[str]],
) -> None:
    held, tabs = model
    _, shown = held.example(1)
    assert set(shown) == set(held.modalities) == {"image", "text", "audio", "video", "tabular"}
    if "Predict" in tabs:
        said = explain(held.predictor, held.batch(dict.fromkeys(shown, 1)))
        assert set(said.contribution) == set(shown)
        direct = explain(held.predictor, held.examples[1])
        assert said.scores == pytest.approx(direct.scores, abs=1e-5)
    if "Search" in tabs:
        for name in held.queries:
            found = held.search(name, 1, name, 3)
            assert found.item[0] == int(held.examples[1].items[name][0])
            assert found.cosine[0] == pytest.approx(1, abs=1e-4)
        assert sum(held.zero_shot("tabular", 1, "text", ["one", "two"], "{}")) == pytest.approx(
            1, abs=1e-5
        )


def test_one_modality_alone_is_not_searched(pairs: Path, tmp_path: Path) -> None:
    kind = [
        "data=manifest",
        "encoder/image=linear",
        "encoder/text=none",
        "objective=classification",
        "fusion=sum",
    ]
    data = [f"++data.path={pairs}", "++data.columns.image=filepath", "++data.columns.label=class"]
    small = [
        "++data.image_size=8",
        "head=linear",
        "outputs=4",
        "dim=8",
        "callbacks=none",
        "++data.splits=[0.4,0.1,0.5]",
    ]
    checkpoint_of(tmp_path, tiny=[*kind, *data, *small, *QUIET])
    held = HeldOut(Trained(tmp_path, ["devices=cpu"]), 50)
    assert held.tabs == ["Predict", "Map"]
    said = explain(held.predictor, held.batch({"image": 0}))
    assert set(said.scores) == {"red", "green", "blue", "grey"}
    assert list(said.contribution) == ["image"]


def test_a_map_of_few_is_none(aligned: HeldOut, clip: Path) -> None:
    assert aligned.tabs == ALIGNED
    assert HeldOut(Trained(clip, ["devices=cpu"]), 2).tabs == ["Search", "Classify by name"]
