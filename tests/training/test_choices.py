"""Choices that cannot work together are refused before data are loaded, and others are not."""

from typing import Any

import pytest
from tests.config.in_process import checked_without_data

from polymodal.config.compose import compose_config
from polymodal.errors import ConfigError
from polymodal.training.build import build
from polymodal.training.compatibility import check_choices, check_machine, check_modalities

CLASSIFY = ["objective=classification", "fusion=concat", "head=linear"]


def config(*overrides: str) -> dict[str, Any]:
    words = ["callbacks=[checkpoint]", "logger=none", *overrides, "++run_dir=."]
    return checked_without_data(compose_config(words))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["encoder/image=none", "encoder/text=none"], "No modality is left"),
        (["fusion=concat"], "CLIP reads X alone, so fusion= would do nothing"),
        (["missing=zero"], "CLIP reads X alone, so missing= would do nothing"),
        (
            ["objective=classification", "fusion=none"],
            "Classification needs one vector a sample: add fusion=concat head=linear",
        ),
        (
            ["objective=classification", "fusion=concat", "head=none"],
            "wants 24 values a sample, the fusion gives 256: add head=linear",
        ),
        ([*CLASSIFY, "fusion=late"], "gives the answer itself: add head=none"),
        (
            ["objective=clip_and_classification", "fusion=none"],
            "Classification needs one vector a sample",
        ),
        (
            ["++trainer.accumulate_grad_batches=2"],
            "are not one large batch(.|\n)*and accumulate=2:",
        ),
        (["precision=fp16", "++trainer.gradient_clip_val=1"], "optimizer.fused=false"),
        (["devices=fsdp", "precision=fp64"], "precision=fp32, bf16 or bf16_true"),
        (
            ["devices=fsdp", "++tuning.image.cache=x"],
            "with tuning.image.cache an encoder would run on some",
        ),
        (
            [
                "devices=fsdp",
                "trainer.strategy._target_=lightning.pytorch.strategies.ModelParallelStrategy",
            ],
            "nothing is unpickled here",
        ),
        (["head=linear"], "CLIP reads X alone, so head= would do nothing"),
        ([*CLASSIFY, "++trainer.accumulate_grad_batches=3"], "and accumulate=3:"),
    ],
)
def test_choices_that_cannot_work_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_choices(config(*overrides))


@pytest.mark.parametrize(
    "overrides",
    [
        CLASSIFY,
        ["accumulate=4"],
        ["objective=classification", "fusion=late"],
        ["objective=classification", "fusion=concat", "head=none", "++dim=24"],
        [*CLASSIFY, "missing=mean", "++trainer.accumulate_grad_batches=1"],
        ["objective=clip_and_classification", *CLASSIFY[1:]],
        ["encoder/text=none", *CLASSIFY],
    ],
)
def test_choices_that_work_are_not(overrides: list[str]) -> None:
    check_choices(config(*overrides))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["++tuning.imag.freeze=true"],
            "tuning.imag: this run has no such encoder. Did you mean image?",
        ),
        (["++tuning.image.unfreeze_at=3"], "nothing is frozen. Add tuning.image.freeze=true"),
        (
            ["++tuning.image.cache=x"],
            "tuning.image.cache: it is trained: add tuning.image.freeze=true",
        ),
        (["++tuning.image.cache=x", "++tuning.image.freeze=2"], "it is trained"),
        (["++tuning.image.cache=x", "++tuning.image.freeze=true"], "the data change it at random"),
        (["++tuning.image.freeze=99"], "freeze=99: CNN has 6 blocks"),
        (["++encoder.text.width=130"], "encoder.text: width=130 is not a multiple of heads=4"),
        (["++objective.anchor=sound"], "objective: anchor: there is no modality 'sound'"),
        (["++tuning.image.weights=nowhere"], "checkpoint=nowhere: neither"),
        (
            ["encoder/text=none", "+encoder/text@encoder.txt=bow"],
            "no such modality. Did you mean text?",
        ),
        (["++objective.pairs=[[image,txt]]"], "objective: pairs: there is no modality 'txt'"),
    ],
)
def test_what_building_refuses(overrides: list[str], message: str, cache) -> None:
    settings = config(*overrides)
    with pytest.raises(ConfigError, match=message):
        build(settings, settings)


AUDIO = ["++data.columns.audio=file"]
TEXT = ["++data.columns.text=word"]
TABLE = ["++data.columns.tabular=[a,b]", "++data.numeric=2"]
QUESTION = ["++data.columns.question=q", "++data.kinds.question=text"]
PINNED = [
    "encoder/image=cnn",
    "encoder/text=transformer",
    "encoder/audio=none",
    "encoder/tabular=none",
]


@pytest.mark.parametrize(
    ("columns", "encoders", "words"),
    [
        ([*AUDIO, *TEXT], PINNED, "encoder/image=none encoder/audio=cnn"),
        ([*TABLE, *TEXT], PINNED, "encoder/image=none encoder/tabular=mlp"),
        (
            [*AUDIO, "++data.columns.text=[title,story]"],
            PINNED,
            "encoder/image=none encoder/audio=cnn",
        ),
        (
            [*AUDIO, *TABLE],
            PINNED,
            "encoder/image=none encoder/text=none encoder/audio=cnn encoder/tabular=mlp",
        ),
        (
            [*AUDIO, *TEXT],
            ["encoder/image=none", *PINNED[1:]],
            "encoder/audio=cnn",
        ),
        (
            [*TEXT, *QUESTION],
            PINNED,
            "encoder/image=none",
        ),
    ],
)
def test_columns_without_their_encoders_are_told_the_words(
    columns: list[str], encoders: list[str], words: str, tmp_path
) -> None:
    data = ["experiment=clip_small", "data=manifest", f"++data.path={tmp_path}/x.csv", *columns]
    chosen = config(*data, "callbacks=[default]", *encoders)
    with pytest.raises(ConfigError) as error:
        build(chosen, chosen)
    assert str(error.value).partition("Type ")[2] == words
    typed = {word.partition("=")[0]: word for word in (*encoders, *words.split())}
    check_modalities(
        config(*data, "callbacks=[default]", *typed.values()),
        [column.split(".")[2].partition("=")[0] for column in columns if ".columns." in column],
        {},
    )


def test_a_missing_compiler_is_told(monkeypatch) -> None:
    settings = config("++compile=true", "devices=cpu")
    check_machine(settings)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(
        ConfigError, match="no C.. compiler. Install g.. or clang.., or leave compile=false"
    ):
        check_machine(settings)


def test_fp16_on_a_cpu_is_refused_and_not_changed_in_silence() -> None:
    with pytest.raises(ConfigError, match="precision=fp16 needs a GPU; choose precision=bf16"):
        check_machine(config("precision=fp16", "devices=cpu"))


@pytest.mark.parametrize(
    ("devices", "instead"),
    [
        ("gpu", "devices=cpu"),
        ("ddp", "devices=ddp_cpu"),
        ("fsdp", "devices=fsdp trainer.accelerator=cpu"),
    ],
)
def test_what_a_machine_without_gpu_can_do_instead(devices: str, instead: str, monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"no gpu(.|\n)*On its CPU: {instead}"):
        check_machine(config(f"devices={devices}"))


def test_norms_over_all_processes_are_refused_on_a_cpu() -> None:
    with pytest.raises(ConfigError, match="sync_batchnorm=true needs GPUs"):
        check_machine(config("devices=ddp_cpu", "++trainer.sync_batchnorm=true"))


@pytest.mark.parametrize(
    "told",
    [
        {"WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "3"},
        {"SLURM_NTASKS": "6", "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "3"},
    ],
)
def test_launchers_say_how_many_processes_there_are(monkeypatch, told: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="torchrun --nnodes=2"):
        config("devices=multi_node")
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    trainer = config("devices=multi_node")["trainer"]
    assert (trainer["num_nodes"], trainer["devices"]) == (2, 3)


def test_modalities_may_be_left_out() -> None:
    check_modalities(config("encoder/text=none", *CLASSIFY), ["image", "text"], {})
