"""Evaluates a model again with modalities missing or noisy, and says what each modality
contributes.
"""

from __future__ import annotations

import copy
import csv
from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from polymodal.batch import PairedBatch
from polymodal.callbacks.modality_dropout import dropped
from polymodal.callbacks.noise import noisy
from polymodal.errors import ConfigError
from polymodal.files import replacing
from polymodal.metrics.sample_table import SampleTable
from polymodal.metrics.shapley import shapley_values
from polymodal.module import MultimodalModule
from polymodal.objectives.base import Objective
from polymodal.outputs import Encoded
from polymodal.report.robustness import draw_robustness, draw_subsets
from polymodal.report.unharmed import unharmed
from polymodal.types import Fraction, NonNegativeFloat, Seed

MOST = 8
"""Modalities of which all subsets are evaluated: 2^8 = 256."""

Condition = tuple[float, float]


class Robustness(Callback):
    """On the test split: all subsets of the modalities, a grid of missing rates and noise levels,
    Shapley values.

    What a sample loses depends on its number alone, so that every run and every model loses the
    same. A sample keeps one modality at least, but for the empty subset. Written to
    `report/subsets.csv`, `report/robustness.csv` and images beside them; logged:
    `test/shapley/<modality>`, `test/only/<modality>/...`, `test/missing_<rate>/...` and
    `test/noise_<level>/...` of the metric that the run is chosen by. Encoders run once for each
    noise level; the memory grows with the number of conditions times that of samples.

    Args:
        run_dir: the run's folder.
        missing: shares of modalities to be missing; 0 is always evaluated.
        noise: noise levels (see `polymodal.callbacks.noise.noisy`); 0 is always evaluated.
        subsets: whether all subsets are evaluated, 2^m of them, and with them the Shapley values.
        seed: of what is missing.

    Raises:
        ConfigError: the objective does not read Y, or there are more modalities than all subsets
            can be evaluated of.
    """

    def __init__(
        self,
        run_dir: str,
        missing: Sequence[Fraction] = (0.1, 0.2, 0.3, 0.4, 0.5),
        noise: Sequence[NonNegativeFloat] = (0.5, 1.0),
        subsets: bool = True,
        seed: Seed = 0,
    ) -> None:
        self.run_dir, self.all_subsets, self.seed = Path(run_dir), subsets, seed
        self.missing, self.noise = sorted({0.0, *missing}), sorted({0.0, *noise})

    def setup(self, trainer: Trainer, pl_module: MultimodalModule, stage: str) -> None:
        """Refuses what cannot be evaluated, before anything is trained."""
        names = pl_module.model.modalities
        if pl_module.model.fusion is None:
            raise ConfigError(
                "callbacks.robustness evaluates Y, and this run has no fusion. Leave it out."
            )
        if self.all_subsets and len(names) > MOST:
            raise ConfigError(
                f"callbacks.robustness: {len(names)} modalities have {2 ** len(names)} subsets, "
                "too many to evaluate.\n"
                "Add callbacks.robustness.subsets=false."
            )
        self.names = names

    def on_test_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """An objective of its own for every condition."""

        def judge() -> Objective:
            objective = copy.deepcopy(pl_module.objective)
            objective.reset()
            return objective

        sizes = range(len(self.names) + 1) if self.all_subsets else []
        kept = [frozenset(subset) for size in sizes for subset in combinations(self.names, size)]
        self.subsets = {subset: judge() for subset in kept}
        self.grid = {condition: judge() for condition in product(self.missing, self.noise)}
        self.absent = {rate: SampleTable("share") for rate in self.missing}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: MultimodalModule,
        outputs: Any,
        batch: PairedBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Adds a batch to the metrics of every condition."""
        encoded: Encoded = outputs.encoded
        model, device, codes = pl_module.model, batch.id.device, trainer.datamodule.codes  # type: ignore[attr-defined]
        with trainer.precision_plugin.forward_context():
            for subset, objective in self.subsets.items():
                absent = torch.tensor([name not in subset for name in self.names], device=device)
                objective.update(model.fuse(encoded.without(absent)), batch)
            for level in self.noise:
                disturbed = (
                    encoded
                    if level == 0
                    else model.encode(noisy(batch, level, self.seed, codes), known=False)
                )
                for rate in self.missing:
                    rates = torch.full((len(self.names),), rate, device=device)
                    absent = dropped(batch.id, encoded.mask, rates, self.seed)
                    if level == 0:
                        share = (~encoded.without(absent).mask).float().mean(1)
                        self.absent[rate].update(batch.id, share=share)
                    self.grid[rate, level].update(model.fuse(disturbed.without(absent)), batch)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Computes, logs and, on the first process, writes all metrics."""
        subsets = {subset: _metrics(objective) for subset, objective in self.subsets.items()}
        grid = {condition: _metrics(objective) for condition, objective in self.grid.items()}
        everywhere = set.intersection(
            *(set(metrics) for metrics in [*subsets.values(), *grid.values()])
        )
        metric = pl_module.shown.partition("/")[2]
        # such as retrieval, of which there is none where nothing is present
        if metric not in everywhere:
            metric = "loss" if "loss" in everywhere else sorted(everywhere)[0]
        worth = {subset: metrics[metric] for subset, metrics in subsets.items()}
        shapley = shapley_values(self.names, worth) if worth else {}
        logged = {f"test/shapley/{name}": value for name, value in shapley.items()}
        logged |= {f"test/only/{name}/{metric}": worth[frozenset([name])] for name in shapley}
        logged |= {
            f"test/missing_{rate:g}/{metric}": grid[rate, 0.0][metric]
            for rate in self.missing
            if rate
        }
        logged |= {
            f"test/noise_{level:g}/{metric}": grid[0.0, level][metric]
            for level in self.noise
            if level
        }
        pl_module.log_dict(logged)
        absent = {
            rate: float(table.compute()["share"].double().mean())
            for rate, table in self.absent.items()
        }
        if trainer.is_global_zero:
            with unharmed(self.run_dir / "report" / "robustness.csv"):
                self._write(subsets, grid, absent, shapley, metric)
        self.subsets, self.grid = {}, {}  # their states are as large as the split

    def _write(
        self,
        subsets: dict[frozenset[str], dict[str, float]],
        grid: dict[Condition, dict[str, float]],
        absent: dict[float, float],
        shapley: dict[str, float],
        metric: str,
    ) -> None:
        folder = self.run_dir / "report"
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            {"missing": rate, "absent": absent[rate], "noise": level} | metrics
            for (rate, level), metrics in grid.items()
        ]
        _write_table(folder / "robustness.csv", rows)
        draw_robustness(
            folder / "robustness.png", {c: metrics[metric] for c, metrics in grid.items()}, metric
        )
        if subsets:
            flags = {
                subset: {name: int(name in subset) for name in self.names} for subset in subsets
            }
            _write_table(
                folder / "subsets.csv",
                [flags[subset] | metrics for subset, metrics in subsets.items()],
            )
            chosen = {subset: metrics[metric] for subset, metrics in subsets.items()}
            draw_subsets(folder / "subsets.png", chosen, shapley, metric)


def _metrics(objective: Objective) -> dict[str, float]:
    return {name: float(value) for name, value in objective.compute().items()}


def _write_table(file: Path, rows: Sequence[dict[str, float]]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(file) as part, part.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
