"""Runs that are ended and taken up again, in one process, and what must be equal then."""

import csv
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.training.checkpoints.atomic import AtomicCheckpointIO
from polymodal.training.checkpoints.files import newest_checkpoint
from polymodal.training.run import train

TIMES = {"train/samples_per_second", "train/step_ms", "train/data_wait_ms"}
TINY = [
    *(
        "data=synthetic",
        "data.modalities=[image,text]",
        "data.samples=160",
        "data.batch_size=16",
        "data.image_size=16",
    ),
    *(
        "encoder.image.widths=[8]",
        "encoder/text=bow",
        "dim=16",
        "callbacks=[checkpoint,lr_monitor,throughput]",
    ),
    *(
        "trainer.max_epochs=3",
        "trainer.log_every_n_steps=2",
        "trainer.enable_progress_bar=false",
        "threads=1",
    ),
    *("devices=cpu", "test=false"),
]
ENDLESS = [argument for argument in TINY if not argument.startswith("trainer.max_epochs=")]
"""For commands that say themselves when the training ends: a key is given once."""


def configured(folder: Path, *overrides: str) -> dict[str, Any]:
    return check_config(
        compose_config([*as_hydra_arguments([*TINY, *overrides]), f"++run_dir={folder}"])
    )


@contextmanager
def every_checkpoint_kept(folder: Path) -> Iterator[None]:
    """A copy of the checkpoints as they are after each time that one was saved, in a numbered
    folder."""
    save = AtomicCheckpointIO.save_checkpoint

    def save_and_keep(
        self: AtomicCheckpointIO,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any = None,
    ) -> None:
        save(self, checkpoint, path, storage_options)
        copy = folder / f"{len(list(folder.iterdir())):03d}"
        shutil.copytree(Path(path).parent, copy)
        (copy / "saved").write_text(Path(path).name)

    AtomicCheckpointIO.save_checkpoint = save_and_keep
    try:
        yield
    finally:
        AtomicCheckpointIO.save_checkpoint = save


def rows(folder: Path) -> list[dict[str, str]]:
    """metrics.csv without times and empty cells."""
    with (folder / "metrics.csv").open(newline="") as stream:
        return [
            {k: v for k, v in row.items() if v and k not in TIMES} for row in csv.DictReader(stream)
        ]


def final_state(folder: Path) -> dict[str, Any]:
    """What the newest checkpoint holds, but for times, paths, and a score that Lightning keeps but
    never reads."""
    checkpoint = torch.load(newest_checkpoint(folder), weights_only=True)
    checkpoint["resume"] = {
        key: checkpoint["resume"][key] for key in ("rows", "pending", "stopped")
    }
    pending = checkpoint["resume"]["pending"]
    checkpoint["resume"]["pending"] = {
        name: value for name, value in pending.items() if name not in TIMES
    }
    left_out = {
        "current_score",
        "dirpath",
        "best_model_path",
        "kth_best_model_path",
        "last_model_path",
        "best_k_models",
    }
    checkpoint["callbacks"] = {
        key: {name: value for name, value in state.items() if name not in left_out}
        for key, state in checkpoint["callbacks"].items()
    }
    del checkpoint["config"]
    return checkpoint


def differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Where two nested containers of tensors and plain values are not bit for bit the same."""
    if isinstance(first, torch.Tensor):
        return [] if isinstance(second, torch.Tensor) and torch.equal(first, second) else [path]
    if isinstance(first, dict):
        if first.keys() != second.keys():
            return [f"{path}: {first.keys() ^ second.keys()}"]
        return [
            found
            for key in first
            for found in differences(first[key], second[key], f"{path}.{key}")
        ]
    if isinstance(first, list | tuple):
        if len(first) != len(second):
            return [path]
        pairs = enumerate(zip(first, second, strict=True))
        return [found for index, (a, b) in pairs for found in differences(a, b, f"{path}[{index}]")]
    return [] if first == second else [f"{path}: {first} and {second}"]


def check_exact(folder: Path, *overrides: str, every: int = 5) -> int:
    """Takes a run up again from some of the checkpoints that it ever had, beside its finished logs;
    their number."""
    whole, kept = folder / "whole", folder / "kept"
    kept.mkdir()
    config = configured(whole, "callbacks.last.every_steps=1", *overrides)
    with every_checkpoint_kept(kept):
        train(config, config)
    expected_rows, expected = rows(whole), final_state(whole)
    chosen = sorted(kept.iterdir())[::every]
    for copy in chosen:
        again = folder / f"from_{copy.name}"
        shutil.copytree(copy, again / "checkpoints")
        shutil.copy(whole / "metrics.csv", again)
        config = configured(again, "callbacks.last.every_steps=1", *overrides)
        file = again / "checkpoints" / (copy / "saved").read_text()
        # of the same step: where the last one is not yet, or is damaged
        if file.name == "best.ckpt":
            (again / "checkpoints" / "last.ckpt").unlink(missing_ok=True)
        train(config | {"resume": str(file)}, config)
        assert differences(expected, final_state(again)) == []
        assert rows(again) == expected_rows
    return len(chosen)
