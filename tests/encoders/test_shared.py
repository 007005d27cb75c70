"""One encoder for two modalities: the same weights, trained once, stored, and refused where it
cannot be."""

import json
from pathlib import Path

import pytest
import torch

from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.errors import ConfigError
from polymodal.training.build import build, build_model
from polymodal.training.tuning import Tuning, parameter_groups

TWO_TEXTS = [
    "data=synthetic",
    "data.modalities={text: text, noisy: text, image: image}",
    "callbacks=[checkpoint]",
    "logger=none",
    "+encoder/text@encoder.noisy=shared",
    "++data.samples=200",
    "++data.batch_size=16",
    "threads=1",
    "devices=cpu",
    "++run_dir=.",
]
FIRST = [
    *TWO_TEXTS,
    "encoder/text=none",
    "encoder.noisy.of=late",
    "+encoder/text@encoder.late=transformer",
]
FIRST[1] = "data.modalities={noisy: text, late: text, image: image}"


def built(*overrides: str):
    config = check_config(compose_config(list(overrides)))
    return build(config, config)


@pytest.mark.parametrize("chosen", [TWO_TEXTS, FIRST], ids=["after", "before"])
def test_both_have_the_same_weights_and_the_optimizer_has_them_once(chosen: list[str]) -> None:
    _, module, _ = built(*chosen)
    encoders = module.model.encoders
    of = "late" if "late" in encoders else "text"
    assert encoders["noisy"] is encoders[of]
    own = {id(p) for p in encoders[of].parameters()}
    groups = parameter_groups(module, {of: Tuning(lr=0.5, weight_decay=0.3)})
    found = [id(p) for group in groups for p in group["params"]]
    assert len(found) == len(set(found)) == len(list(module.parameters()))
    assert {id(p) for group in groups if group.get("lr") == 0.5 for p in group["params"]} == own


def test_equal_inputs_have_equal_vectors_and_both_train_the_weights() -> None:
    data, module, _ = built(*TWO_TEXTS, "encoder/image=none")
    data.setup()
    batch = data.train_set[[0, 1, 2, 3]]
    batch.inputs["noisy"] = batch.inputs["text"]
    x = module.model(batch).x
    text, noisy = (module.model.modalities.index(name) for name in ("text", "noisy"))
    assert torch.equal(x[:, text], x[:, noisy])
    weight = module.model.encoders["text"].projection.weight
    both, one, other = (torch.autograd.grad(x[:, rows].sum(), weight, retain_graph=True)[0]
                        for rows in ([text, noisy], [text], [noisy]))  # fmt: skip
    torch.testing.assert_close(both, one + other)
    assert one.abs().sum() > 0


def test_weights_are_loaded_under_both_names() -> None:
    model = build_model(check_config(compose_config(TWO_TEXTS)))
    state = {key: value.clone() for key, value in model.state_dict().items()}
    assert {key.removeprefix("encoders.noisy.") for key in state if "noisy" in key} == {
        key.removeprefix("encoders.text.") for key in state if ".text." in key
    }
    other = build_model(check_config(compose_config([*TWO_TEXTS, "seed=1"])))
    other.load_state_dict(state)
    assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items())


@pytest.mark.parametrize(
    "chosen",
    [
        ["objective=classification", "fusion=mult", "head=linear"],  # reads tokens
        [
            "objective=classification",
            "fusion=gated",
            "head=linear",
            "missing=learned_token",
            "++data.missing=0.5",
        ],
        ["++tuning.text.freeze=true", "++tuning.text.unfreeze_at=2"],
    ],
    ids=["tokens", "missing", "frozen"],
)
def test_a_shared_encoder_trains_and_is_judged(chosen: list[str], tmp_path: Path) -> None:
    quiet = [
        "++trainer.enable_progress_bar=false",
        "++trainer.max_epochs=1",
        "++trainer.limit_train_batches=3",
    ]
    data, module, trainer = built(*TWO_TEXTS, *chosen, *quiet, f"++run_dir={tmp_path}")
    before = module.model.encoders["text"].projection.weight.detach().clone()
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    assert not torch.equal(module.model.encoders["noisy"].projection.weight, before)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["encoder.noisy.of=txt"],
            "encoder.noisy.of=txt: that is no encoder of this run. Did you mean text?",
        ),
        (["encoder.noisy.of=noisy"], "encoder.noisy.of=noisy: that is itself one that is shared"),
        (["encoder.noisy.of=image"], "noisy is of the kind text, and image is image"),
        (
            ["++tuning.noisy.freeze=true"],
            "tuning.noisy: its encoder is that of text: give tuning.text instead",
        ),
        (["++tuning.noisy.cache=x"], "tuning.noisy: its encoder is that of text"),
    ],
)
def test_what_cannot_be_shared_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(*TWO_TEXTS, *overrides)


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one_and_are_judged_again(
    command, tmp_path: Path
) -> None:
    chosen = [
        *TWO_TEXTS[:-3],
        "++data.missing=0.3",
        "precision=fp64",
        "trainer.max_epochs=1",
        "encoder/image=vit",
    ]
    states = []
    for devices in ("cpu", "ddp_cpu"):
        done = command(
            "train.py", *chosen, f"devices={devices}", f"hydra.run.dir={tmp_path / devices}"
        )
        assert done.returncode == 0, done.stderr
        states.append(
            torch.load(tmp_path / devices / "checkpoints" / "last.ckpt", weights_only=True)[
                "state_dict"
            ]
        )
    for key, value in states[0].items():
        torch.testing.assert_close(
            states[1][key], value, rtol=1e-6, atol=1e-9, msg=lambda m, k=key: f"{k}: {m}"
        )
    done = command("eval.py", f"checkpoint={tmp_path / 'cpu'}", f"run_dir={tmp_path / 'eval'}")
    assert done.returncode == 0, done.stderr
    first, again = (
        json.loads((tmp_path / f / "metrics.json").read_text()) for f in ("cpu", "eval")
    )
    for name in (name for name in again if name.startswith("test/")):
        assert again[name] == pytest.approx(first[name], rel=1e-6), name
