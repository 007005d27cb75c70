"""Any optimizer and schedule of torch, or a message that says which setting cannot work."""

from pathlib import Path

import pytest
import torch
from tests.resumed import check_exact, configured, rows

from polymodal.errors import ConfigError
from polymodal.training.run import train


def test_a_schedule_that_waits_for_a_metric_lowers_the_rate(tmp_path: Path) -> None:
    """A threshold that nothing reaches: after `patience` validations without it, the rate falls at
    each of them."""
    settings = [
        "scheduler=plateau",
        "scheduler.patience=0",
        "scheduler.factor=0.5",
        "+scheduler.threshold=1e9",
    ]
    config = configured(tmp_path, *settings, "optimizer.lr=0.008", "trainer.max_epochs=4")
    train(config, config)
    rates = [float(row["lr-AdamW/model"]) for row in rows(tmp_path) if "lr-AdamW/model" in row]
    # the first validation is the best one
    assert sorted(set(rates), reverse=True) == [0.008, 0.004, 0.002]


def test_it_takes_the_mode_of_the_monitor(tmp_path: Path) -> None:
    settings = [
        "scheduler=plateau",
        "scheduler.patience=0",
        "monitor=val/recall@10",
        "monitor_mode=max",
    ]
    config = configured(tmp_path, *settings, "+scheduler.mode=min")
    with pytest.raises(
        ConfigError, match=r"scheduler.mode=min: monitor=val/recall@10 has monitor_mode=max"
    ):
        train(config, config)
    config = configured(tmp_path, *settings)
    train(config, config)
    (schedule,) = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)[
        "lr_schedulers"
    ]
    assert schedule["mode"] == "max"


def test_a_run_with_it_goes_on_exactly(tmp_path: Path) -> None:
    settings = [
        "scheduler=plateau",
        "scheduler.patience=0",
        "+scheduler.threshold=1e9",
        "scheduler.factor=0.5",
    ]
    assert check_exact(tmp_path, *settings, every=7) > 2


@pytest.mark.parametrize("every", [1, 2])
def test_it_waits_for_validations_that_are_not_after_each_epoch(tmp_path: Path, every: int) -> None:
    settings = [
        "scheduler=plateau",
        "scheduler.patience=0",
        "scheduler.factor=0.5",
        "+scheduler.threshold=1e9",
    ]
    config = configured(
        tmp_path, *settings, "trainer.max_epochs=4", f"trainer.check_val_every_n_epoch={every}"
    )
    train(config, config)
    (group, *_) = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)[
        "optimizer_states"
    ][0]["param_groups"]
    assert group["lr"] == pytest.approx(0.002 * 0.5 ** (4 // every - 1))


def test_a_schedule_of_torch_is_counted_in_steps(tmp_path: Path) -> None:
    settings = [
        "~scheduler",
        "+scheduler._target_=torch.optim.lr_scheduler.StepLR",
        "+scheduler.step_size=8",
    ]
    config = configured(
        tmp_path, *settings, "+scheduler.gamma=0.1", "optimizer.lr=0.01", "trainer.max_epochs=2"
    )
    train(config, config)
    rates = {float(row["lr-AdamW/model"]) for row in rows(tmp_path) if "lr-AdamW/model" in row}
    assert sorted(rates) == [pytest.approx(0.001), pytest.approx(0.01)]  # 8 steps are an epoch


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer.betas=[0.9,2.0]"], "optimizer: Invalid beta parameter at index 1"),
        (["scheduler=plateau", "scheduler.factor=2.0"], "scheduler: Factor should be < 1.0"),
        (
            ["~scheduler", "+scheduler._target_=torch.optim.lr_scheduler.StepLR"],
            "scheduler: .*missing 1 required positional argument: 'step_size'",
        ),
    ],
)
def test_settings_that_cannot_work_are_named(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    config = configured(tmp_path, *overrides)
    with pytest.raises(ConfigError, match=message):
        train(config, config)
    assert not (tmp_path / "metrics.csv").exists()
