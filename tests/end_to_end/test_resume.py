"""A run that was ended at any moment and taken up again is the run that never was."""

import logging
import math
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Trainer
from tests.data.shards import sample, write_shard
from tests.resumed import (
    check_exact,
    configured,
    differences,
    every_checkpoint_kept,
    final_state,
    rows,
)

from polymodal.callbacks.guard import statistics_of
from polymodal.callbacks.last_checkpoint import LastCheckpoint
from polymodal.data.datamodule import PairedDataModule
from polymodal.data.loading.splits import SPLITS
from polymodal.errors import ConfigError, NumericError, StorageError
from polymodal.module import MultimodalModule
from polymodal.training.checkpoints.files import load_checkpoint, newest_checkpoint
from polymodal.training.checkpoints.sharded import not_finite
from polymodal.training.distributed.signals import Stopped, listener
from polymodal.training.run import train

DROPOUT = ["objective=classification", "fusion=transformer", "head=linear", "fusion.dropout=0.2"]
FUSED = ["objective=classification", "fusion=concat", "head=linear", "data.missing=0.2"]
CASES = {
    "clip": [],
    "siglip, loading processes": ["objective=siglip", "data.num_workers=2"],
    "micro-batches and dropout": [*DROPOUT, "accumulate=3"],
    "average of the weights": [
        "callbacks=[checkpoint,lr_monitor,ema]",
        "trainer.val_check_interval=3",
    ],
    "bf16": ["precision=bf16", "trainer.max_steps=20"],
    "bf16 weights": ["precision=bf16_true"],
    "a part that is frozen at first": ["tuning.image.freeze=1", "tuning.image.unfreeze_at=11"],
    "modality dropout": [*FUSED, "callbacks=[checkpoint,modality_dropout,modality_weights]"],
    "validation within epochs": ["trainer.val_check_interval=0.5", "trainer.log_every_n_steps=1"],
    "early stopping": [
        "callbacks=[checkpoint,early_stopping]",
        "callbacks.early_stopping.patience=1",
        "optimizer.lr=3.0",
    ],
    "few validations, limits": [
        "trainer.check_val_every_n_epoch=2",
        "trainer.limit_train_batches=5",
        "data.limit=100",
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_goes_on_exactly_from_any_of_its_checkpoints(case: str, tmp_path: Path) -> None:
    assert check_exact(tmp_path, *CASES[case]) >= 2


def test_glyphs_go_on_exactly(tmp_path: Path, cache: Path) -> None:
    small = [
        "data=glyphs",
        "data.families=[STIXGeneralBolIta]",
        "data.vocab_size=400",
        "data.batch_size=128",
    ]
    small += [
        "~data.modalities",
        "~data.samples",
        "data.image_size=32",
        "data.word_dropout=0.2",
        "trainer.max_epochs=2",
    ]
    assert check_exact(tmp_path, *small, every=6) >= 2


@pytest.mark.slow
def test_shards_of_unknown_length_go_on_exactly(tmp_path: Path) -> None:
    samples = [sample(n) | ({"png": b""} if n % 9 == 5 else {}) for n in range(40)]
    files = [write_shard(tmp_path / "shards" / f"{split}.tar", samples) for split in SPLITS]
    small = [
        "callbacks=[checkpoint,lr_monitor,throughput,skipped]",
        "data.on_error=skip",
        "data.max_bad_fraction=0.2",
    ]
    small += [
        f"data.path={{{','.join(f'{split}: {file}' for split, file in zip(SPLITS, files, strict=True))}}}"
    ]
    small += [
        "data=webdataset",
        "~data.modalities",
        "~data.samples",
        "data.vocab_size=300",
        "trainer.val_check_interval=2",
    ]
    assert (
        check_exact(tmp_path, *small, "trainer.max_epochs=99", "trainer.max_steps=12", every=1)
        >= 10
    )


def test_a_frozen_encoder_s_vectors_are_kept_with_the_checkpoint(tmp_path: Path) -> None:
    assert (
        check_exact(
            tmp_path,
            "tuning.image.freeze=true",
            f"tuning.image.cache={tmp_path / 'vectors'}",
            every=8,
        )
        >= 2
    )


@pytest.fixture
def ended(tmp_path: Path) -> Path:
    """The folder of a run that ended after its second epoch, without having been told that it would
    be longer."""
    config = configured(tmp_path / "run", "trainer.max_epochs=2", "scheduler=none")
    train(config, config)
    return tmp_path / "run"


def test_a_finished_run_can_be_longer(ended: Path, tmp_path: Path) -> None:
    longer = configured(ended, "scheduler=none")
    train(longer | {"resume": str(newest_checkpoint(ended))}, longer)
    whole = configured(tmp_path / "whole", "scheduler=none")
    train(whole, whole)
    assert (
        differences(final_state(tmp_path / "whole")["state_dict"], final_state(ended)["state_dict"])
        == []
    )
    assert rows(ended) == rows(tmp_path / "whole")


@pytest.mark.parametrize("schedule", ["scheduler=none", "scheduler=cosine"])
def test_a_run_goes_on_with_another_learning_rate(schedule: str, tmp_path: Path) -> None:
    begun = configured(tmp_path / "run", schedule, "trainer.max_steps=10")
    train(begun, begun)
    other = configured(
        tmp_path / "run",
        schedule,
        "trainer.max_steps=20",
        "optimizer.lr=0.01",
        "optimizer.eps=1e-3",
    )
    train(other | {"resume": str(newest_checkpoint(tmp_path / "run"))}, other)
    whole = configured(
        tmp_path / "whole",
        schedule,
        "trainer.max_steps=20",
        "optimizer.lr=0.01",
        "optimizer.eps=1e-3",
    )
    train(whole, whole)
    (ran,), (expected,) = (
        final_state(tmp_path / name)["optimizer_states"] for name in ("run", "whole")
    )
    assert ran["param_groups"] == expected["param_groups"]
    assert {
        name for name, value in expected["param_groups"][0].items() if value in (0.01, 1e-3)
    } >= {"eps"}


@pytest.mark.parametrize(
    "options", [[], ["trainer.val_check_interval=2"]], ids=["", "validation within epochs"]
)
def test_a_run_that_ended_within_an_epoch_can_be_longer(options: list[str], tmp_path: Path) -> None:
    chosen = ["scheduler=none", "trainer.max_epochs=9", *options]  # of eight batches
    short = configured(tmp_path / "run", *chosen, "trainer.max_steps=20")
    train(short, short)
    longer = configured(tmp_path / "run", *chosen, "trainer.max_steps=40")
    train(longer | {"resume": str(newest_checkpoint(tmp_path / "run"))}, longer)
    whole = configured(tmp_path / "whole", *chosen, "trainer.max_steps=40")
    train(whole, whole)
    assert differences(final_state(tmp_path / "whole"), final_state(tmp_path / "run")) == []
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")


@pytest.mark.parametrize("now", ["00:00:00:01", "00:01:00:00"])
def test_a_run_that_its_time_ended_goes_on_with_more_of_it(now: str, ended: Path) -> None:
    file = newest_checkpoint(ended)
    checkpoint = torch.load(file, weights_only=True)
    checkpoint["config"]["trainer"]["max_time"] = "00:00:00:01"
    checkpoint["resume"]["stopped"] = True
    config = configured(ended, "trainer.max_epochs=2", "scheduler=none")
    config["trainer"]["max_time"] = now
    callback, trainer = LastCheckpoint(str(file.parent)), Trainer(accelerator="cpu", logger=False)
    callback.on_load_checkpoint(trainer, SimpleNamespace(config=config), checkpoint)
    assert trainer.should_stop == (now == "00:00:00:01")


@pytest.mark.parametrize("epochs", [1, 2])  # training is over with the ninth checkpoint, or is not
def test_the_row_of_an_epoch_is_not_lost(epochs: int, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(
        PairedDataModule, "skipped", lambda self: {"damaged": self.trainer.global_step}
    )
    assert (
        check_exact(
            tmp_path, "callbacks=[checkpoint,skipped]", f"trainer.max_epochs={epochs}", every=8
        )
        >= 2
    )
    found = [
        row["data/skipped/damaged"]
        for row in rows(tmp_path / "whole")
        if "data/skipped/damaged" in row
    ]
    assert found == ["8.0", "16.0"][:epochs]


def test_the_look_at_validation_before_training_saves_nothing(tmp_path: Path) -> None:
    config = configured(tmp_path / "run", "trainer.num_sanity_val_steps=2", "trainer.max_epochs=1")
    kept = tmp_path / "kept"
    kept.mkdir()
    with every_checkpoint_kept(kept):
        train(config, config)
    assert (sorted(kept.iterdir())[0] / "saved").read_text() == "best.ckpt"


def test_the_folder_may_have_been_moved(ended: Path, tmp_path: Path) -> None:
    moved = ended.rename(tmp_path / "elsewhere")
    config = configured(moved, "scheduler=none")
    train(config | {"resume": str(newest_checkpoint(moved))}, config)
    states = torch.load(moved / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]
    (best,) = (state for state in states.values() if "best_model_path" in state)
    assert best["best_model_path"] == str(moved / "checkpoints" / "best.ckpt")
    assert "run/checkpoints" not in str(best)


@pytest.mark.parametrize("damage", ["cut", "emptied", "garbled", "flipped"])
def test_the_newest_whole_checkpoint_is_found(
    ended: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    last = ended / "checkpoints" / "last.ckpt"
    content = last.read_bytes()
    middle = len(content) // 2
    damaged = {
        "cut": content[:middle],
        "emptied": b"",
        "garbled": b"\0" * len(content),
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
    }
    assert newest_checkpoint(ended) == last
    last.write_bytes(damaged[damage])
    with caplog.at_level(logging.WARNING):
        assert newest_checkpoint(ended).name == "best.ckpt"
    assert str(last) in caplog.text
    (ended / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(ConfigError, match="no checkpoint is whole"):
        newest_checkpoint(ended)


def test_a_full_disk_is_told_and_leaves_the_checkpoint_of_before(
    ended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {file: file.read_bytes() for file in (ended / "checkpoints").iterdir()}
    config = configured(ended, "scheduler=none")

    def full(checkpoint: object, stream: object) -> None:
        stream.write(b"the beginning")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(
        StorageError, match=r"best\.ckpt cannot be written: .*No space left.*from before is whole"
    ):
        train(config | {"resume": str(newest_checkpoint(ended))}, config)
    assert {file: file.read_bytes() for file in (ended / "checkpoints").iterdir()} == before


@pytest.mark.parametrize("signum", [2, 15])
def test_a_signal_ends_a_run_at_the_end_of_its_step(
    signum: int, tmp_path: Path, monkeypatch
) -> None:
    whole = configured(tmp_path / "whole", *DROPOUT)
    train(whole, whole)
    forward, calls = MultimodalModule.training_step, []

    def interrupted(self, batch, batch_idx):
        calls.append(batch_idx)
        if len(calls) == 9:
            listener._receive(signum, None)
        return forward(self, batch, batch_idx)

    monkeypatch.setattr(MultimodalModule, "training_step", interrupted)
    config = configured(tmp_path / "run", *DROPOUT)
    with pytest.raises(Stopped) as stop:
        train(config, config)
    assert stop.value.code == 128 + signum
    file = newest_checkpoint(tmp_path / "run")
    assert torch.load(file, weights_only=True)["global_step"] == 9
    train(config | {"resume": str(file)}, config)
    assert differences(final_state(tmp_path / "whole"), final_state(tmp_path / "run")) == []
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")


@pytest.mark.parametrize(
    "options", [[], ["trainer.val_check_interval=3"], ["callbacks=[checkpoint,ema]"]]
)
def test_a_signal_ends_a_run_within_a_validation_which_begins_again(
    options, tmp_path: Path, monkeypatch
) -> None:
    chosen = ["data.samples=640", "trainer.max_epochs=2", *options]
    whole = configured(tmp_path / "whole", *chosen)
    train(whole, whole)
    judge, calls = MultimodalModule.validation_step, []

    def interrupted(self, batch, batch_idx):
        calls.append(batch_idx)
        if len(calls) == 3:
            listener._receive(15, None)
        return judge(self, batch, batch_idx)

    monkeypatch.setattr(MultimodalModule, "validation_step", interrupted)
    config = configured(tmp_path / "run", *chosen)
    with pytest.raises(Stopped):
        train(config, config)
    averages = "callbacks=[checkpoint,ema]" in options
    assert (calls == [0, 1, 2]) is not averages  # which waits for the end
    file = newest_checkpoint(tmp_path / "run")
    train(config | {"resume": str(file)}, config)
    found = [final_state(tmp_path / name) for name in ("whole", "run")]
    for (
        state
    ) in found:  # Lightning counts the batch at which it was stopped twice, and never reads it
        state["loops"]["fit_loop"].pop("epoch_loop.val_loop.batch_progress")
    assert differences(*found) == []
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")


def test_signals_are_ours_in_the_test_too(tmp_path: Path, monkeypatch) -> None:
    judge, seen = MultimodalModule.test_step, []

    def judged(self, batch, batch_idx):
        seen.append([signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)])
        return judge(self, batch, batch_idx)

    monkeypatch.setattr(MultimodalModule, "test_step", judged)
    config = configured(tmp_path, "trainer.max_epochs=1", "test=true")
    train(config, config)
    assert seen
    assert all(handler == listener._receive for handlers in seen for handler in handlers)


def test_statistics_of_norms_that_are_lost_are_not_saved(tmp_path: Path, monkeypatch) -> None:
    """Neither by the callback that saves the last checkpoint, nor by Lightning's, which saves the
    best one."""
    forward = MultimodalModule.training_step

    def lost(self, batch, batch_idx):
        next(statistics_of(self)).fill_(math.inf)
        return forward(self, batch, batch_idx)

    monkeypatch.setattr(MultimodalModule, "training_step", lost)
    monkeypatch.setattr(MultimodalModule, "validation_step", lambda *_: None)
    monkeypatch.setattr(
        MultimodalModule, "on_validation_epoch_end", lambda self: self.log("val/loss", 1.0)
    )
    for callbacks in ("callbacks.last.every_steps=1", "callbacks.last=null"):
        config = configured(tmp_path, callbacks, "monitor=val/loss", "monitor_mode=min")
        with pytest.raises(NumericError, match=r"running_mean is not finite at step \d+ "):
            train(config, config)
        assert not list(tmp_path.glob("checkpoints/*.ckpt"))


def test_a_checkpoint_with_lost_statistics_is_not_taken_up(tmp_path: Path, caplog) -> None:
    """One of an earlier version may have them; an earlier checkpoint of the run is taken, or it is
    said."""
    config = configured(tmp_path, "trainer.max_epochs=1")
    train(config, config)
    best, last = (tmp_path / "checkpoints" / name for name in ("best.ckpt", "last.ckpt"))
    checkpoint = torch.load(last, weights_only=True)
    name = next(name for name in checkpoint["state_dict"] if name.endswith("running_var"))
    checkpoint["state_dict"][name].fill_(math.inf)
    torch.save(checkpoint, last)
    assert newest_checkpoint(tmp_path) == best
    assert f"{name} holds NaN or infinity" in caplog.text
    with pytest.raises(ConfigError, match=f"{name} holds NaN or infinity"):
        load_checkpoint(last)


def test_a_mask_of_attention_is_no_lost_weight() -> None:
    mask = torch.full((3, 3), -math.inf).triu(1)
    assert not_finite({"mask": mask, "n": torch.ones(2, dtype=torch.int64), "extra": None}) == []
    lost = {
        "running_mean": mask,
        "w": mask.neg(),
        "v": torch.tensor([math.nan]),
        "u": torch.full((2,), -math.inf),
    }
    assert not_finite(lost) == list(lost)


def test_weights_that_are_lost_are_not_saved(tmp_path: Path, monkeypatch) -> None:
    config = configured(tmp_path, "callbacks.last.every_steps=1", "trainer.log_every_n_steps=50")
    forward = MultimodalModule.training_step

    def lost(self, batch, batch_idx):
        return forward(self, batch, batch_idx) * (math.nan if self.global_step == 4 else 1)

    monkeypatch.setattr(MultimodalModule, "training_step", lost)
    with pytest.raises(NumericError, match="not finite at step 5 "):
        train(config, config)
    assert torch.load(newest_checkpoint(tmp_path), weights_only=True)["global_step"] == 4


@pytest.mark.parametrize("step", [0, 1, 8, 11, 15])  # of 24, in epochs of eight
def test_a_run_that_was_lost_goes_on_with_the_step_that_lost_it(
    step: int, tmp_path: Path, monkeypatch
) -> None:
    chosen = [
        *FUSED,
        "missing=mean",
        "callbacks=[checkpoint,throughput,guard]",
        "trainer.log_every_n_steps=1",
    ]
    whole = configured(tmp_path / "whole", *chosen)
    train(whole, whole)
    forward = MultimodalModule.training_step

    def lost(self, batch, batch_idx):
        return forward(self, batch, batch_idx) * (math.nan if self.global_step == step else 1)

    config = configured(tmp_path / "run", *chosen)
    with monkeypatch.context() as patch:
        patch.setattr(MultimodalModule, "training_step", lost)
        with pytest.raises(NumericError, match=f"at step {step} ") as caught:
            train(config, config)
    if step == 0:
        assert "last good checkpoint: none was saved yet." in str(caught.value)
        return
    file = newest_checkpoint(tmp_path / "run")
    assert f"last good checkpoint: {file}." in str(caught.value)
    assert torch.load(file, weights_only=True)["global_step"] == step
    train(config | {"resume": str(file)}, config)
    assert differences(final_state(tmp_path / "whole"), final_state(tmp_path / "run")) == []
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")


def test_every_checkpoint_is_there_to_be_kept(tmp_path: Path) -> None:
    config = configured(tmp_path / "run", "trainer.max_epochs=1", "callbacks.last.every_steps=3")
    kept = tmp_path / "kept"
    kept.mkdir()
    with every_checkpoint_kept(kept):
        train(config, config)
    saved = [
        torch.load(copy / (copy / "saved").read_text(), weights_only=True)
        for copy in sorted(kept.iterdir())
    ]
    assert [checkpoint["global_step"] for checkpoint in saved] == [3, 6, 8, 8]
