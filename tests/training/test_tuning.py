"""What is frozen stands still, what is not does not, and every encoder has the rate it was
given."""

from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from polymodal.encoders.blocks import blocks_of
from polymodal.encoders.image.cnn import CNN
from polymodal.encoders.image.resnet import ResNet
from polymodal.encoders.image.vit import ViT
from polymodal.encoders.text.transformer import Transformer
from polymodal.errors import ConfigError
from polymodal.model import MultimodalModel
from polymodal.module import MultimodalModule
from polymodal.objectives.clip import CLIP
from polymodal.training.tuning import Tuning, frozen_parameters, parameter_groups


def encoders() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {"image": CNN(8, widths=(4, 8)), "text": Transformer(8, 400, width=8, heads=2, layers=3)}


def module(**tuning: Tuning) -> MultimodalModule:
    optimizer = partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1)
    return MultimodalModule(
        MultimodalModel(encoders()), CLIP(["image", "text"]), optimizer, tuning=tuning
    )


def fit(trained: MultimodalModule, data, steps: int) -> dict[str, torch.Tensor]:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(
        max_steps=steps,
        limit_val_batches=0,
        accelerator="cpu",
        use_distributed_sampler=False,
        **quiet,
    )
    trainer.fit(trained, datamodule=data)
    return {key: value.clone() for key, value in trained.model.state_dict().items()}


@pytest.fixture
def data(glyphs):
    yield glyphs
    glyphs.trainer = None


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {key for key, value in before.items() if not torch.equal(value, after[key])}


def test_a_frozen_encoder_stands_still_with_its_statistics(data) -> None:
    trained = module(image=Tuning(freeze=True))
    before = {key: value.clone() for key, value in trained.model.state_dict().items()}
    moved = changed(before, fit(trained, data, 3))
    assert not [key for key in moved if key.startswith("encoders.image.")]
    assert {
        f"encoders.text.{key}" for key, _ in trained.model.encoders["text"].named_parameters()
    } <= moved
    free = module()
    fit(free, data, 3)
    assert free.model.encoders["image"].norm.running_mean.abs().sum() > 0  # it would have moved


def test_a_part_can_be_frozen_by_blocks_or_by_pattern() -> None:
    text = encoders()["text"]
    names = [name for name, _ in text.named_parameters()]
    two = frozen_parameters(text, 2)
    assert two == names[: len(two)]
    assert {
        name
        for name in names
        if name.startswith(("embedding", "positions", "blocks.0", "blocks.1"))
    } == set(two)
    assert frozen_parameters(text, ["*norm*"]) == [name for name in names if "norm" in name]
    assert frozen_parameters(text, False) == []
    with pytest.raises(ConfigError, match="freeze=4: Transformer has 3 blocks"):
        frozen_parameters(text, 4)
    with pytest.raises(ConfigError, match="no parameter of Transformer fits 'block.*'"):
        frozen_parameters(text, ["block.*"])


def test_what_was_frozen_trains_from_its_step_on(data) -> None:
    trained = module(image=Tuning(freeze=True, unfreeze_at=2))
    before = {key: value.clone() for key, value in trained.model.state_dict().items()}
    after_two = fit(trained, data, 2)
    assert not [key for key in changed(before, after_two) if key.startswith("encoders.image.")]
    longer = module(image=Tuning(freeze=True, unfreeze_at=2))
    moved = changed(after_two, fit(longer, data, 4))
    assert {
        f"encoders.image.{key}" for key, _ in longer.model.encoders["image"].named_parameters()
    } <= moved
    assert "encoders.image.norm.running_mean" in moved


def test_an_encoder_has_groups_with_its_own_rate_and_decay() -> None:
    tuned = module(text=Tuning(lr=0.5, weight_decay=0.3), image=Tuning(freeze=True))
    groups = parameter_groups(tuned, tuned.tuning)
    text = {id(p) for p in tuned.model.encoders["text"].parameters()}
    special = [group for group in groups if group.get("lr") == 0.5]
    assert {id(p) for group in special for p in group["params"]} == text
    assert [group["weight_decay"] for group in special] == [0.3, 0.0]
    rest = {id(p) for group in groups if "lr" not in group for p in group["params"]}
    assert rest == {id(tuned.objective.logit_scale)}  # the image encoder is not trained at all


@pytest.mark.parametrize(
    ("encoder", "blocks"),
    [
        (Transformer(8, 40, width=8, heads=2), ["blocks.0", "blocks.1"]),
        (CNN(8, widths=(4, 8)), [f"stages.{index}" for index in range(4)]),
        (
            ResNet(8),
            [f"network.layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)],
        ),
        (ViT(8, width=8, heads=2, layers=3), [f"vit.blocks.{index}" for index in range(3)]),
    ],
    ids=["transformer", "cnn", "resnet", "vit"],
)
def test_blocks_are_what_a_reader_would_call_so(encoder: nn.Module, blocks: list[str]) -> None:
    assert blocks_of(encoder) == blocks
    names = [name for name, _ in encoder.named_parameters()]
    for count in (1, len(blocks)):
        frozen = frozen_parameters(encoder, count)
        assert frozen == names[: len(frozen)]
        inside = tuple(f"{block}." for block in blocks[:count])
        assert {name for name in names if name.startswith(inside)} <= set(frozen)
        assert not [
            name
            for name in frozen
            if name.startswith(tuple(f"{block}." for block in blocks[count:]) or "-")
        ]
    assert frozen_parameters(encoder, f"{blocks[0]}.*") == [
        n for n in names if n.startswith(f"{blocks[0]}.")
    ]


def test_groups_of_parameters_have_names_of_their_own() -> None:
    module = nn.Module()
    module.model, module.objective = nn.Module(), nn.Module()
    module.model.encoders = nn.ModuleDict({"image": nn.Linear(2, 3), "text": nn.Linear(2, 3)})
    module.objective.logit_scale = nn.Parameter(torch.zeros(()))
    groups = parameter_groups(module, {"image": Tuning(lr=0.1), "text": Tuning(freeze=2)})
    expected = [
        "model",
        "model_no_decay",
        "encoder.image",
        "encoder.image_no_decay",
        "objective_no_decay",
    ]
    assert [group["name"] for group in groups] == expected
    assert [group.get("lr") for group in groups] == [None, None, 0.1, 0.1, None]
    assert [group.get("weight_decay") for group in groups] == [None, 0.0, None, 0.0, 0.0]
