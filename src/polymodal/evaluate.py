"""Judges a checkpoint again: the figures of the run that made it, or those on other data or devices."""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback
from omegaconf import OmegaConf

from polymodal.checkpoint import find_checkpoint, load_checkpoint
from polymodal.choices import check_machine
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.config.launch import as_hydra_arguments, is_first_process, quoted, readable_errors
from polymodal.config.run_folder import HEADER, claim
from polymodal.run import Settings, build, figures_of, finish, own_processes, prepare_process
from polymodal.together import ending_together

TEST_HOOKS = [name for name in dir(Callback) if "_test_" in name]


def main() -> None:
    """`python src/eval.py checkpoint=<run folder or file> [key=value ...]`."""
    arguments = sys.argv[1:]
    given = [a.removeprefix("checkpoint=") for a in arguments if a.startswith("checkpoint=")]
    if not given or {"-h", "--help"} & set(arguments):
        print(__doc__)
        print("\npython src/eval.py checkpoint=<run folder or .ckpt file> [devices=cpu] [data.batch_size=256] ...")
        sys.exit(0 if {"-h", "--help"} & set(arguments) else 2)
    with readable_errors():
        evaluate(Path(given[0]), [a for a in arguments if not a.startswith("checkpoint=")])


def evaluate(path: Path, overrides: list[str]) -> dict[str, float]:
    """Tests a checkpoint in a folder of its own under logs/eval.

    Args:
        path: a run folder (its best checkpoint is taken) or a checkpoint file.
        overrides: changes to the run's config, as on the command line.

    Raises:
        ConfigError: there is no such file, it is damaged, or it is none of ours.
    """
    started = time.perf_counter()
    file = find_checkpoint(path)
    checkpoint = load_checkpoint(file)
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
    folder = Path("logs/eval", checkpoint["config"]["name"], stamp)
    changes = []
    for override in overrides:
        if override.startswith("run_dir="):
            folder = Path(override.removeprefix("run_dir=").strip('"'))
        else:
            changes.append(override)
    folder = folder.absolute()
    composed = compose_stored(checkpoint["config"], [*changes, f"run_dir={quoted(folder)}"])
    config = check_config(composed)
    check_machine(config)
    with own_processes():
        stored = claim(folder, composed, config, overrides) if is_first_process() else config
        prepare_process(config)
        data, module, trainer = build(config, stored, keep=takes_part_in_testing)
        data.load_state_dict(checkpoint.get(data.__class__.__qualname__, {}))
        module.load_state_dict(checkpoint["state_dict"])  # sharded only after this, by the trainer
        with ending_together(trainer):
            trainer.test(module, datamodule=data, verbose=False)
            figures = figures_of(trainer) | {"time/total_seconds": time.perf_counter() - started}
            if trainer.is_global_zero:
                finish(figures, folder)
    return figures


def takes_part_in_testing(callback: Callback) -> bool:
    """Whether a callback does anything in `trainer.test`; the others (checkpoints, averages) belong to training."""
    return any(getattr(type(callback), hook) is not getattr(Callback, hook) for hook in TEST_HOOKS)


def compose_stored(config: Settings, overrides: list[str]) -> Any:
    """A checkpoint's config with changes: values, `devices=` and `precision=`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(HEADER.format(folder=folder) + OmegaConf.to_yaml(OmegaConf.create(config)))
        return compose_config(as_hydra_arguments(overrides, stored=True), "config", folder)
