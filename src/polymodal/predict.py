"""Classification and regression of new samples."""

from __future__ import annotations

import glob
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from pyarrow import csv, parquet
from rich.console import Console
from rich.table import Table

from polymodal.answers import answers
from polymodal.by_hand import Asked
from polymodal.config.command import PredictSettings
from polymodal.data.splits import SPLITS
from polymodal.embed import tolerant, write_all
from polymodal.errors import ConfigError
from polymodal.objectives.supervised import Supervised
from polymodal.trained import Trained, supervised

SHOWN = 5
"""Classes that are printed of a sample."""

TOGETHER = 64
"""Samples that are in memory at a time."""

Sample = Mapping[str, str]


def main(settings: PredictSettings, changes: list[str]) -> None:
    """`python src/predict.py checkpoint=... <modality>=...`."""
    with redirect_stdout(sys.stderr) if settings.json else nullcontext():
        if any(change.startswith("data=") for change in changes):
            if settings.inputs or settings.output is None or settings.json:
                raise ConfigError("With data= there are no other inputs, and the answers go to output=answers.csv.")
            trained = tolerant(Path(settings.checkpoint), changes)
            write_all(trained, Path(settings.output), SPLITS, vectors=False)
            return
        rows = predicted(Trained(Path(settings.checkpoint), changes), samples_of(settings.inputs))
        if settings.output:
            _write(Path(settings.output), rows)
    if settings.json:
        print(json.dumps(rows))
    elif not settings.output:
        Console().print(as_table(rows))


def samples_of(inputs: Mapping[str, str]) -> list[dict[str, str]]:
    """One sample of all inputs; where one is a pattern, one for each of its files.

    Raises:
        ConfigError: a pattern has no file, or there are several patterns.
    """
    patterns = [name for name, given in inputs.items() if glob.has_magic(given) and not Path(given).exists()]
    patterns = [name for name in patterns if "/" in inputs[name] or "." in inputs[name]]  # "what?" is a sentence
    if len(patterns) > 1:
        raise ConfigError(
            f"{' and '.join(patterns)} are patterns of files: write a manifest that says which go together."
        )
    for name in patterns:
        if files := sorted(glob.glob(inputs[name], recursive=True)):  # noqa: PTH207  (it may start anywhere)
            return [{**inputs, name: file} for file in files]
        if "*" in inputs[name] and " " not in inputs[name]:
            raise ConfigError(f"{name}={inputs[name]}: there is no such file.")
    return [dict(inputs)]


def predicted(trained: Trained, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Each sample with `prediction` and, for classes and tags, `probability` by their names.

    Raises:
        ConfigError: the model answers nothing, has no such input, or a file is not there.
        DataError: a file cannot be read.
    """
    asked = Asked.opened(trained)
    objective = supervised_of(asked)
    names = trained.class_names.get(objective.label)
    y = torch.cat([asked.answer(samples[start : start + TOGETHER]) for start in range(0, len(samples), TOGETHER)])
    said = answers(objective, y, names)
    rows = [
        {**sample, "prediction": answer} for sample, answer in zip(samples, said.prediction.to_pylist(), strict=True)
    ]
    if said.probability is not None:
        width = said.probability.shape[1]
        named = names if names and len(names) == width else [str(index) for index in range(width)]
        for row, values in zip(rows, said.probability.tolist(), strict=True):
            row["probability"] = dict(zip(named, values, strict=True))
    return rows


def supervised_of(asked: Asked) -> Supervised:
    """The objective that says what the answers are.

    Raises:
        ConfigError: there is none.
    """
    objective = supervised(asked.module)
    if objective is None:
        raise ConfigError("This model aligns modalities and answers nothing: use src/embed.py and src/search.py.")
    return objective


def as_table(rows: Sequence[dict[str, Any]]) -> Table:
    """A row a sample: its inputs, the answer, and how sure the model is of the likeliest classes."""
    inputs = [name for name in rows[0] if name not in ("prediction", "probability")]
    table = Table(*inputs, "prediction", "probability")
    for row in rows:
        ranked = sorted(row.get("probability", {}).items(), key=lambda pair: -pair[1])[:SHOWN]
        likely = "\n".join(f"{value:.3f} {name}" for name, value in ranked)
        answer = row["prediction"]
        shown = f"{answer:.4g}" if isinstance(answer, float) else str(answer)
        table.add_row(*(row.get(name, "") for name in inputs), shown, likely)
    return table


def _write(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """One column a class, as tables of any kind can have it."""
    plain = [
        {key: value for key, value in row.items() if key != "probability"}
        | {f"probability {name}": value for name, value in row.get("probability", {}).items()}
        | ({"prediction": "|".join(map(str, row["prediction"]))} if isinstance(row["prediction"], list) else {})
        for row in rows
    ]
    table = pa.Table.from_pylist(plain)
    if file.suffix == ".parquet":
        parquet.write_table(table, file)
    else:
        csv.write_csv(table, file)
