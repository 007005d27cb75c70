"""Evaluates checkpoints, on the data of their runs or on others."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path

from lightning.pytorch import Callback
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from polymodal.callbacks.progress_bar import name_task
from polymodal.cli.programs import EvalSettings
from polymodal.config.environment import is_first_process
from polymodal.errors import ConfigError
from polymodal.formatting import readable
from polymodal.inference.trained import Trained
from polymodal.runs.folder import claim, given_back
from polymodal.training.checkpoints.files import find_checkpoint
from polymodal.training.distributed.failures import ending_together
from polymodal.training.final import finish
from polymodal.training.process import own_processes, prepare_process
from polymodal.training.run import logged_metrics

log = logging.getLogger(__name__)

TEST_HOOKS = [name for name in dir(Callback) if "_test_" in name]

Metrics = dict[str, float]


def main(settings: EvalSettings, changes: list[str]) -> None:
    """`python src/eval.py checkpoint=<run folder or file> [key=value ...]`."""
    for path in settings.checkpoint:
        find_checkpoint(Path(path))  # all of them before the first is evaluated
    if len(settings.checkpoint) > 1 and any(change.startswith("run_dir=") for change in changes):
        raise ConfigError(
            "run_dir= is one folder, and each checkpoint has its own: leave it out, or give one."
        )
    results: dict[str, Metrics] = {}
    with redirect_stdout(sys.stderr) if settings.json else nullcontext():
        for path in settings.checkpoint:
            with _arguments(f"checkpoint={path}", *changes):
                results[path] = evaluate(Path(path), changes)
    if not is_first_process():
        return
    if settings.json:
        print(json.dumps(results, indent=2))
    elif len(results) > 1:
        Console().print(comparison(results))


def evaluate(path: Path, overrides: Sequence[str]) -> Metrics:
    """Tests a checkpoint in a folder of its own under logs/eval.

    Args:
        path: a run folder (its best checkpoint is taken) or a checkpoint file.
        overrides: changes to the run's config, as on the command line.

    Raises:
        ConfigError: there is no such file, it is damaged, or it is none of ours.
    """
    started = time.perf_counter()
    trained = Trained(path, overrides)
    folder = trained.run_dir
    with own_processes(), given_back(folder) if is_first_process() else nullcontext():
        # the first process makes the folder and reports
        stored = None
        if is_first_process():
            stored = claim(folder, trained.composed, trained.config, overrides)
        prepare_process(trained.config)
        if trained.seen and is_first_process():
            log.warning(
                "%s: samples that the model was trained on may be among those that are evaluated.",
                trained.seen,
            )
        data, module, trainer = trained.build(takes_part_in_testing, stored)
        name_task(trainer, "evaluate test")
        with ending_together(trainer):
            trainer.test(module, datamodule=data, verbose=False)
            metrics = logged_metrics(trainer)
            metrics["time/total_seconds"] = time.perf_counter() - started
            if trainer.is_global_zero:
                finish(metrics, folder, with_chance=True)
    return metrics


def takes_part_in_testing(callback: Callback) -> bool:
    """Whether a callback has a hook of testing; checkpoints and averages belong to training."""
    return any(getattr(type(callback), hook) is not getattr(Callback, hook) for hook in TEST_HOOKS)


def comparison(results: Mapping[str, Metrics]) -> Table:
    """A row a test metric, a column a checkpoint, named by the part of its path that differs."""
    names = {path: str(Path(path).absolute()) for path in results}
    shared = len(os.path.commonpath([str(Path(name).parent) for name in names.values()]))
    table = Table(title="Held-out data", title_justify="left")
    table.add_column("metric")
    for name in names.values():
        table.add_column(escape(name[shared:].strip(os.sep)), justify="right", overflow="fold")
    names_of_metrics = {name: None for metrics in results.values() for name in metrics}
    for name in names_of_metrics:
        if name.startswith("test/"):
            values = [metrics.get(name) for metrics in results.values()]
            table.add_row(name, *("" if value is None else readable(value) for value in values))
    return table


@contextmanager
def _arguments(*arguments: str) -> Iterator[None]:
    """The command line of one checkpoint: Lightning starts further processes with `sys.argv`."""
    before = list(sys.argv)
    sys.argv[1:] = arguments
    try:
        yield
    finally:
        sys.argv[:] = before
