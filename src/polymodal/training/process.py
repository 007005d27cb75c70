"""The process of a run: seeds, threads, warnings, and what it leaves behind."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import seed_everything

Settings = dict[str, Any]

IRRELEVANT = (
    "Experiment logs directory",  # the run folder holds config.yaml when the CSV logger comes to it
    "Checkpoint directory .* exists and is not empty",
    # each is logged
    "The number of training batches \\(\\d+\\) is smaller than the logging interval",
    # the module sets the modes after that
    "Found \\d+ module\\(s\\) in eval mode at the start of training",
    "The '\\w+_dataloader' does not have many workers",  # data in memory need none
    # our metrics are the same on all processes
    "It is recommended to use `self.log\\('(val|test)/.*sync_dist=True",
    # our sampler starts where that was
    "You're resuming from a checkpoint that ended before the epoch ended",
    # where one is missing, we say so (check_started)
    "The `srun` command is available on your system but is not used",
    ".*LeafSpec",  # of Lightning's own use of torch
    "Total length of `list` across ranks is zero",  # a split of which every row is embedded already
    # rows are written by their ids
    "Couldn't infer the batch indices fetched from your dataloader",
    "Your `IterableDataset` has `__len__` defined",  # and each loading process knows its part of it
)
"""Warnings that a user cannot act upon."""


def prepare_process(config: Settings) -> None:
    """Seeds, threads, matrix precision and a quiet Lightning for this process."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in IRRELEVANT:
        warnings.filterwarnings("ignore", message=message)
    seed_everything(config["seed"], workers=True, verbose=False)
    if config["threads"]:
        torch.set_num_threads(config["threads"])
    # joblib's processes have one that no loading process starts by
    multiprocessing.set_start_method(None, force=True)
    tf32 = config.get("tf32", True)  # where there is a GPU that has it; nothing changes on a CPU
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32


@contextmanager
def own_processes() -> Iterator[None]:
    """Leaves the process as it was: the next job of a sweep starts its own group of processes and
    run of wandb.

    Lightning ends a group of nccl alone. The threads of one of gloo that is left would abort the
    process at its end.
    """
    before = dict(os.environ)
    try:
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        if (wandb := sys.modules.get("wandb")) and wandb.run:
            wandb.finish()
        os.environ.clear()
        os.environ.update(before)
