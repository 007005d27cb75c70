"""Options of the trainer that a run decides itself are refused, with what to type instead; nothing
is overwritten."""

from typing import Any

import pytest

from polymodal.cli.train import as_hydra_arguments
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.errors import ConfigError


def config(*overrides: str) -> dict[str, Any]:
    return check_config(compose_config([*as_hydra_arguments(list(overrides)), "++run_dir=here"]))


@pytest.mark.parametrize(
    ("override", "instead"),
    [
        ("trainer.logger=false", "or logger=none"),
        ("trainer.logger=true", "logger=[csv,tensorboard]"),
        ("trainer.callbacks=[]", r"callbacks=\[\.\.\.\]"),
        ("trainer.use_distributed_sampler=true", "our samplers share each batch"),
        ("trainer.reload_dataloaders_every_n_epochs=1", "Leave it out"),
        ("trainer.barebones=true", "no metrics"),
        ("trainer.overfit_batches=1", "debug=overfit, or data.limit="),
        ("trainer.overfit_batches=0.5", "debug=overfit, or data.limit="),
        ("trainer.limit_train_batches=0", "nothing would be trained"),
        ("trainer.limit_train_batches=0.0", "nothing would be trained"),
        ("trainer.max_steps=0", "nothing would be trained"),
        ("trainer.precision=16", "precision=fp16"),
        ("trainer.precision='16'", "precision=fp16"),
        ("trainer.precision=bf16", "precision=bf16"),
        ("trainer.precision=64", "precision=fp64"),
        ("trainer.precision=bf16-mixd", "Did you mean bf16-mixed"),
        ("trainer.strategy=ddp_spawn", "devices=ddp_cpu, or devices=ddp on GPUs"),
        ("trainer.strategy=ddp_notebook", "devices=ddp_cpu"),
        ("trainer.strategy=fsdp", "Choose devices=fsdp"),
        ("trainer.strategy=deepspeed_stage_2", "Choose devices=fsdp"),
        ("trainer.strategy=ddpp", "Did you mean ddp"),
        (
            "trainer.strategy={_target_: lightning.pytorch.strategies.DDPStrategy, start_method: "
            "spawn}",
            "started as commands",
        ),
        ("trainer.max_epochs=null", "Nothing says when training ends"),
        ("~trainer.max_epochs", "Nothing says when training ends"),
        ("optimizer._target_=torch.optim.LBFGS", "LBFGS cannot be used: it takes no groups"),
        (
            "optimizer._target_=torch.optim.SparseAdam",
            "SparseAdam cannot be used: it needs sparse gradients",
        ),
    ],
)
def test_what_would_be_overwritten_or_cannot_work_is_refused(override: str, instead: str) -> None:
    with pytest.raises(ConfigError, match=instead):
        config(override)


@pytest.mark.parametrize(
    "overrides",
    [
        [
            "trainer.logger=null",
            "trainer.use_distributed_sampler=false",
            "trainer.overfit_batches=0.0",
        ],
        ["trainer.max_epochs=null", "trainer.max_steps=10"],
        ["trainer.max_epochs=null", "trainer.max_time=00:00:01:00"],
        ["trainer.max_epochs=null", "trainer.fast_dev_run=true"],
        ["trainer.limit_train_batches=1", "trainer.limit_val_batches=0"],
        ["trainer.strategy=ddp_find_unused_parameters_true"],
        [
            "trainer.strategy={_target_: lightning.pytorch.strategies.DDPStrategy, "
            "gradient_as_bucket_view: true}"
        ],
        ["trainer.precision=bf16-true", "trainer.default_root_dir=there"],
        ["devices=fsdp"],
    ],
)
def test_what_a_run_can_have_is_let_through(overrides: list[str]) -> None:
    assert config(*overrides)["task"] == "train"


def test_an_optimizer_of_one_s_own_need_not_say_that_it_is_partial() -> None:
    plain = config("~optimizer._partial_", "~scheduler._partial_")
    assert "_partial_" not in plain["optimizer"]
