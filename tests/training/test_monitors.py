"""A metric that is waited for is known before training, or refused with the nearest name."""

from pathlib import Path

import pytest
from lightning.pytorch import Callback
from tests.resumed import configured, rows

from polymodal.errors import ConfigError
from polymodal.training.build import build
from polymodal.training.monitors import metric_names
from polymodal.training.run import train

STOPPING = ["callbacks=[checkpoint,early_stopping]"]


class Foreign(Callback):
    """One that nobody knows: it may log anything."""


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            [*STOPPING, "callbacks.early_stopping.monitor=val_loss"],
            "callbacks.early_stopping.monitor=val_loss: .* val/loss",
        ),
        (
            ["callbacks.checkpoint.monitor=val/los"],
            "callbacks.checkpoint.monitor=val/los: .*val/loss",
        ),
        (["monitor=val/accuracy"], "monitor=val/accuracy: nothing logs such a metric"),
        (["monitor=val/recall@2"], "Did you mean val/recall@5 or val/recall@1 or val/recall@10"),
        (["monitor=test/loss"], "monitor=test/loss: .*Did you mean"),
        (["monitor=nonsense"], "There are: epoch, .*train/loss, val/image_to_text"),
        (["monitor=val/weight/image", "callbacks=[checkpoint]"], "nothing logs such a metric"),
        (
            [*STOPPING, "trainer.limit_val_batches=0"],
            "early_stopping waits .* with trainer.limit_val_batches=0 there",
        ),
        (
            [*STOPPING, "trainer.check_val_every_n_epoch=4"],
            "with trainer.check_val_every_n_epoch=4 and trainer.max_epochs=3 there is none",
        ),
        (
            ["scheduler=plateau", "trainer.limit_val_batches=0"],
            "scheduler waits for a metric of the validation",
        ),
    ],
)
def test_what_is_never_logged_is_refused_before_training(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    config = configured(tmp_path, *overrides)
    with pytest.raises(ConfigError, match=message):
        build(config, config)


@pytest.mark.parametrize(
    "overrides",
    [
        ["monitor=val/text_to_image/mean_rank", "monitor_mode=min"],
        ["callbacks.checkpoint.monitor=train/loss", "callbacks.checkpoint.mode=min"],
        ["callbacks.checkpoint.monitor=train/step_ms"],
        ["callbacks.checkpoint.monitor=lr-AdamW"],
        [
            *STOPPING,
            "callbacks.early_stopping.strict=false",
            "callbacks.early_stopping.monitor=mine",
        ],
        [
            "callbacks.checkpoint.monitor=mine",
            "+callbacks.foreign._target_=tests.training.test_monitors.Foreign",
        ],
        ["trainer.limit_val_batches=0"],
    ],
)
def test_what_may_be_logged_is_let_through(tmp_path: Path, overrides: list[str]) -> None:
    config = configured(tmp_path, *overrides)
    build(config, config)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["objective=siglip"],
        ["objective=vicreg"],
        ["objective=fused", "fusion@objective.fusion=sum"],
    ],
)
def test_the_names_are_those_that_a_run_logs(tmp_path: Path, overrides: list[str]) -> None:
    config = configured(tmp_path, "trainer.max_epochs=1", *overrides)
    names = metric_names(build(config, config)[1], config["dim"])
    train(config, config)
    logged = {name for row in rows(tmp_path) for name in row if name.startswith("val/")}
    assert logged == {name for name in names if name.startswith("val/")}
