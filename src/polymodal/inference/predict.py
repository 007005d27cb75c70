"""Classification and regression of new samples."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from hydra.utils import get_class
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from polymodal.cli.programs import PredictSettings
from polymodal.data.loading.columns import FILE_KINDS
from polymodal.data.loading.splits import SPLITS
from polymodal.data.table.module import TableData
from polymodal.errors import ConfigError, DataError
from polymodal.files import check_output, writing
from polymodal.formatting import readable
from polymodal.inference import arguments
from polymodal.inference.answer_table import ENDINGS, AnswerTable, TableWriter
from polymodal.inference.arguments import Input, inputs_by_name
from polymodal.inference.embed import tolerant, write_all
from polymodal.inference.predictions import NO_ANSWERS, answers
from polymodal.inference.predictor import Predictor
from polymodal.inference.run_predictor import RunPredictor
from polymodal.inference.trained import Trained
from polymodal.objectives.supervised import Supervised

SHOWN = 5
"""Classes that are printed of a sample."""

TOGETHER = 64
"""Samples that are in memory at a time."""

Sample = Mapping[str, Input]


def main(settings: PredictSettings, changes: list[str]) -> None:
    """`python src/predict.py checkpoint=... <modality>=...`."""
    if settings.output and Path(settings.output).suffix not in ENDINGS:
        raise ConfigError(
            f"output={settings.output}: give a name that ends in {' or '.join(ENDINGS)}."
        )
    if settings.output:
        check_output(Path(settings.output))
    with redirect_stdout(sys.stderr) if settings.json else nullcontext():
        if _is_table(settings, changes):
            _answer_table(settings, changes)
            return
        predictor = RunPredictor(Trained(Path(settings.checkpoint), changes))
        inputs = inputs_by_name(settings.inputs, predictor.data, predictor.model.modalities)
        samples = samples_of(inputs, predictor.data.kinds)
        if settings.classes is not None:
            rows = classified(predictor, samples, settings.classes, settings.templates)
        elif settings.templates is not None:
            raise ConfigError("templates= are sentences for classes=: give both.")
        else:
            rows = predicted(predictor, samples)
        shown = [flat(row) for row in rows]
        if settings.output:
            _write(Path(settings.output), rows)
            print(f"{len(rows)} rows in {settings.output}")
    if settings.json:
        print(json.dumps(shown))
    elif not settings.output or settings.classes is not None:
        Console().print(as_table(shown))


def _answer_table(settings: PredictSettings, changes: list[str]) -> None:
    """The rows of a table with their answers, into the output."""
    if settings.inputs or settings.output is None or settings.json:
        raise ConfigError(
            "A table has no inputs beside it, and its answers go to output=answers.csv."
        )
    if settings.classes is not None:
        raise ConfigError(
            "classes= go with files and sentences, such as image='photos/*.png', and not with a "
            "table."
        )
    for change in changes:
        key, _, value = change.partition("=")
        kind = arguments.ENDINGS.get(Path(value).suffix.lower())
        if key == "data.path" and kind:
            raise ConfigError(
                f"{change}: this is one file, and no table: give it as {kind}={value}"
            )
    output = Path(settings.output)
    trained = tolerant(Path(settings.checkpoint), changes)
    is_table = issubclass(get_class(trained.config["data"]["_target_"]), TableData)
    if not is_table and output.suffix == ".jsonl":
        raise ConfigError(
            f"output={output}: of these data the answers are written as .csv or .parquet."
        )
    other = AnswerTable(trained, output) if is_table else None
    write_all(trained, output, SPLITS, vectors=False, other=other)


def _is_table(settings: PredictSettings, changes: Sequence[str]) -> bool:
    """Whether the samples are rows: of other data, or of the run's own with changes."""
    by_hand = bool(settings.inputs)
    return any(
        change.startswith("data=") or (change.startswith("data.") and not by_hand)
        for change in changes
    )


def samples_of(inputs: Mapping[str, Input], kinds: Mapping[str, str]) -> list[dict[str, Input]]:
    """One sample of all inputs; where one is several files, one for each of them.

    Args:
        inputs: modality -> what is given: of files a pattern, a list or a folder too.
        kinds: modality -> image, text and so on, where that is not its name; a text is no pattern
            ("what?").

    Raises:
        ConfigError: a pattern or a folder has no file, or there are several of them.
    """
    several = {}
    for name, given in inputs.items():
        kind = kinds.get(name, name)
        if isinstance(given, str) and kind in FILE_KINDS and arguments.are_several(given, kind):
            several[name] = given, kind
    if len(several) > 1:
        raise ConfigError(
            f"{' and '.join(several)} are patterns of files: write a manifest that says which go "
            "together."
        )
    for name, (given, kind) in several.items():
        return [{**inputs, name: file} for file in arguments.files_of(name, given, kind)]
    return [dict(inputs)]


def classified(
    predictor: Predictor,
    samples: Sequence[Sample],
    classes: Sequence[str],
    templates: Sequence[str] | None,
) -> list[dict[str, Any]]:
    """Each sample of one modality as `predicted` gives it, by names of classes that the model may
    never have seen.

    Raises:
        ConfigError: the model aligns nothing, a file is not there, or several modalities are given.
        DataError: no sample can be read.
    """
    given = dict.fromkeys(name for sample in samples for name in sample)
    modality = next(iter(given), None)
    if modality is None or len(given) > 1:
        names = " or ".join(f"{name}=" for name in predictor.model.modalities)
        raise ConfigError(f"classes= go with one input: {names}")
    said = _each(lambda some: _zero_shot(predictor, modality, some, classes, templates), samples)
    return [
        {**sample, **(one if isinstance(one, dict) else {"prediction": None, "error": str(one)})}
        for sample, one in zip(samples, _unless_all_failed(said), strict=True)
    ]


def _zero_shot(
    predictor: Predictor,
    modality: str,
    samples: Sequence[Sample],
    classes: Sequence[str],
    templates: Sequence[str] | None,
) -> list[dict[str, Any]]:
    said = predictor.classify(
        [sample[modality] for sample in samples], classes, templates, modality
    )
    each = (dict(zip(classes, values, strict=True)) for values in said.probabilities.tolist())
    return [
        {"prediction": name, "probability": one} for name, one in zip(said.names, each, strict=True)
    ]


def predicted(predictor: Predictor, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Each sample with `prediction` and, for classes and tags, `probability` by their names; or
    with its `error`.

    Raises:
        ConfigError: the model answers nothing, has no such input, or a file is not there.
        DataError: no sample can be read.
    """
    objective = supervised_of(predictor)
    y = _unless_all_failed(_each(lambda some: list(_outputs(predictor, some)), samples))
    read = [one for one in y if isinstance(one, Tensor)]
    said = answers(objective, torch.stack(read), predictor.class_names)
    answered: list[dict[str, Any]] = [
        {"prediction": answer} for answer in said.prediction.to_pylist()
    ]
    if said.probability is not None:
        for row, values in zip(answered, said.probability.tolist(), strict=True):
            row["probability"] = dict(zip(said.names, values, strict=True))
    rest = iter(answered)
    return [
        {
            **sample,
            **(next(rest) if isinstance(one, Tensor) else {"prediction": None, "error": str(one)}),
        }
        for sample, one in zip(samples, y, strict=True)
    ]


def _each(ask: Callable[[Sequence[Sample]], list[Any]], samples: Sequence[Sample]) -> list[Any]:
    """What is said of each sample, or the DataError that says why it cannot be read; `TOGETHER` at
    a time.
    """
    parts = (samples[start : start + TOGETHER] for start in range(0, len(samples), TOGETHER))
    return [one for part in parts for one in _tried(ask, part)]


def _tried(ask: Callable[[Sequence[Sample]], list[Any]], samples: Sequence[Sample]) -> list[Any]:
    try:
        return ask(samples)
    except DataError as error:
        if len(samples) == 1:
            return [error]
        return [one for sample in samples for one in _tried(ask, [sample])]


def _unless_all_failed(said: list[Any]) -> list[Any]:
    """The same; if no sample could be read that is the error.

    Raises:
        DataError: the first.
    """
    if said and all(isinstance(one, DataError) for one in said):
        raise said[0]
    return said


def _outputs(predictor: Predictor, samples: Sequence[Sample]) -> Tensor:
    """Y (B, p) of a model with a fusion."""
    y = predictor.outputs(samples).y
    assert y is not None
    return y


def supervised_of(predictor: Predictor) -> Supervised:
    """The objective that says what the answers are.

    Raises:
        ConfigError: there is none.
    """
    objective = predictor.answering
    if objective is None:
        raise ConfigError(NO_ANSWERS)
    return objective


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the values of a table beside the other inputs, by the names of their columns."""
    result: dict[str, Any] = {}
    for key, value in row.items():
        result |= value if isinstance(value, dict) and key != "probability" else {key: value}
    return result


def as_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A row a sample: its inputs, the answer, and how sure the model is of the likeliest
    classes.
    """
    inputs = [name for name in rows[0] if name not in ("prediction", "probability", "error")]
    table = Table(*map(escape, inputs), "prediction", "probability")
    for column in table.columns:
        column.overflow = "fold"
    shown = {name: _short([str(row[name]) for row in rows]) for name in inputs}
    for number, row in enumerate(rows):
        ranked = sorted(row.get("probability", {}).items(), key=lambda pair: -pair[1])[:SHOWN]
        likely = "\n".join(f"{value:.3f} {name}" for name, value in ranked)
        answer = row.get("error", row["prediction"])
        said = readable(answer) if isinstance(answer, float) else str(answer)
        table.add_row(*map(escape, (*(shown[name][number] for name in inputs), said, likely)))
    return table


def _short(values: Sequence[str]) -> list[str]:
    """Several files of one folder by their names; anything else as it is."""
    folders = {str(Path(value).parent) for value in values}
    return (
        [Path(value).name for value in values]
        if len(set(values)) > 1 and len(folders) == 1
        else list(values)
    )


def _write(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """The inputs and the answers beside; one column a class, as tables of any kind can have it."""
    plain = [_columns(row) for row in rows]
    names = sorted({key: None for row in plain for key in row}, key=lambda name: name == "error")
    table = pa.table({name: [row.get(name) for row in plain] for name in names})
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        TableWriter(file.suffix)(file, iter([table]))


def _columns(row: Mapping[str, Any]) -> dict[str, Any]:
    each = {f"probability {name}": value for name, value in row.get("probability", {}).items()}
    return {key: value for key, value in flat(row).items() if key != "probability"} | each
