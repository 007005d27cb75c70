"""Sends the plots and tables of report/ to loggers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from PIL import Image

from polymodal.report.tables import read_table

ROWS = 10_000
"""Rows of a table that are sent: what wandb shows."""


def publish(folder: Path, loggers: Sequence[Logger], step: int) -> None:
    """Gives TensorBoard all plots, wandb all plots and tables; `report/clip/curves` is
    clip/curves.png.

    Args:
        folder: `report/` of a run.
        loggers: of the trainer; those of other kinds take no images.
        step: of the optimizer.
    """
    for logger in loggers:
        for file in sorted(folder.rglob("*.png")):
            key = f"report/{file.relative_to(folder).with_suffix('')}"
            if isinstance(logger, TensorBoardLogger):
                with Image.open(file) as image:
                    pixels = np.asarray(image.convert("RGB"))
                logger.experiment.add_image(key, pixels, step, dataformats="HWC")
            elif isinstance(logger, WandbLogger):
                logger.log_image(key, [str(file)], step)
        for file in sorted(folder.rglob("*.csv")):
            if isinstance(logger, WandbLogger):
                table = read_table(file, ROWS)
                logger.log_table(
                    f"report/{file.relative_to(folder).with_suffix('')}",
                    table.header,
                    table.rows,
                    step=step,
                )
