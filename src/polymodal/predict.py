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
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from polymodal.answers import answers
from polymodal.by_hand import Asked
from polymodal.config.command import PredictSettings
from polymodal.data.splits import SPLITS
from polymodal.embed import tolerant, write_all
from polymodal.errors import ConfigError, DataError
from polymodal.files import check_output, writing
from polymodal.objectives.supervised import Supervised
from polymodal.trained import Trained, supervised

SHOWN = 5
"""Classes that are printed of a sample."""

WRITTEN = (".csv", ".parquet")
"""Endings of tables that are written."""

TOGETHER = 64
"""Samples that are in memory at a time."""

Sample = Mapping[str, str]


def main(settings: PredictSettings, changes: list[str]) -> None:
    """`python src/predict.py checkpoint=... <modality>=...`."""
    if settings.output and Path(settings.output).suffix not in WRITTEN:
        raise ConfigError(f"output={settings.output}: give a name that ends in {' or '.join(WRITTEN)}.")
    if settings.output:
        check_output(Path(settings.output))
    with redirect_stdout(sys.stderr) if settings.json else nullcontext():
        if _is_table(settings, changes):
            if settings.inputs or settings.output is None or settings.json:
                raise ConfigError("A table has no inputs beside it, and its answers go to output=answers.csv.")
            trained = tolerant(Path(settings.checkpoint), changes)
            write_all(trained, Path(settings.output), SPLITS, vectors=False)
            return
        asked = Asked.opened(Trained(Path(settings.checkpoint), changes))
        rows = predicted(asked, samples_of(settings.inputs, asked.data.kinds))
        if settings.output:
            _write(Path(settings.output), rows)
            print(f"{len(rows)} rows in {settings.output}")
    if settings.json:
        print(json.dumps(rows))
    elif not settings.output:
        Console().print(as_table(rows))


def _is_table(settings: PredictSettings, changes: Sequence[str]) -> bool:
    """Whether the samples are rows: of other data, or of the run's own with changes."""
    by_hand = bool(settings.inputs)
    return any(change.startswith("data=") or (change.startswith("data.") and not by_hand) for change in changes)


def samples_of(inputs: Mapping[str, str], kinds: Mapping[str, str]) -> list[dict[str, str]]:
    """One sample of all inputs; where one is a pattern, one for each of its files.

    Args:
        inputs: modality -> what is given.
        kinds: modality -> image, text and so on, where that is not its name; a text is no pattern ("what?").

    Raises:
        ConfigError: a pattern has no file, or there are several patterns.
    """
    files = {name: given for name, given in inputs.items() if kinds.get(name, name) != "text"}
    patterns = [name for name, given in files.items() if glob.has_magic(given) and not Path(given).exists()]
    if len(patterns) > 1:
        raise ConfigError(
            f"{' and '.join(patterns)} are patterns of files: write a manifest that says which go together."
        )
    for name in patterns:
        if found := sorted(glob.glob(inputs[name], recursive=True)):  # noqa: PTH207  (it may start anywhere)
            return [{**inputs, name: file} for file in found]
        raise ConfigError(f"{name}={inputs[name]}: there is no such file.")
    return [dict(inputs)]


def predicted(asked: Asked, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Each sample with `prediction` and, for classes and tags, `probability` by their names; or with its `error`.

    Raises:
        ConfigError: the model answers nothing, has no such input, or a file is not there.
        DataError: no sample can be read.
    """
    objective = supervised_of(asked)
    y = [one for start in range(0, len(samples), TOGETHER) for one in _tried(asked, samples[start : start + TOGETHER])]
    read = [one for one in y if isinstance(one, Tensor)]
    if not read:
        raise next(one for one in y if isinstance(one, DataError))
    said = answers(objective, torch.stack(read), asked.trained.class_names.get(objective.label))
    answered: list[dict[str, Any]] = [{"prediction": answer} for answer in said.prediction.to_pylist()]
    if said.probability is not None:
        for row, values in zip(answered, said.probability.tolist(), strict=True):
            row["probability"] = dict(zip(said.names, values, strict=True))
    rest = iter(answered)
    return [
        {**sample, **(next(rest) if isinstance(one, Tensor) else {"prediction": None, "error": str(one)})}
        for sample, one in zip(samples, y, strict=True)
    ]


def _tried(asked: Asked, samples: Sequence[Sample]) -> list[Tensor | DataError]:
    """Y (p,) of each sample, or why it cannot be read."""
    try:
        return list(asked.answer(samples))
    except DataError as error:
        if len(samples) == 1:
            return [error]
        return [one for sample in samples for one in _tried(asked, [sample])]


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
    inputs = [name for name in rows[0] if name not in ("prediction", "probability", "error")]
    table = Table(*inputs, "prediction", "probability")
    for row in rows:
        ranked = sorted(row.get("probability", {}).items(), key=lambda pair: -pair[1])[:SHOWN]
        likely = "\n".join(f"{value:.3f} {name}" for name, value in ranked)
        answer = row.get("error", row["prediction"])
        shown = f"{answer:.4g}" if isinstance(answer, float) else str(answer)
        table.add_row(*map(escape, (*(row[name] for name in inputs), shown, likely)))
    return table


def _write(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """One column a class, as tables of any kind can have it."""
    plain = [
        {key: value for key, value in row.items() if key != "probability"}
        | {f"probability {name}": value for name, value in row.get("probability", {}).items()}
        | ({"prediction": "|".join(map(str, row["prediction"]))} if isinstance(row["prediction"], list) else {})
        for row in rows
    ]
    names = sorted({key: None for row in plain for key in row}, key=lambda name: name == "error")
    table = pa.table({name: [row.get(name) for row in plain] for name in names})
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".parquet":
            parquet.write_table(table, file)
        else:
            csv.write_csv(table, file)
