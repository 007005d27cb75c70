"""Predictions for new samples: of files and sentences, or of the rows of a table."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from hydra.utils import get_class
from rich.console import Console
from torch import Tensor

from polymodal.cli.programs import PredictSettings
from polymodal.data.loading.columns import FILE_KINDS
from polymodal.data.loading.splits import SPLITS
from polymodal.data.table.module import TableData
from polymodal.errors import ConfigError, DataError
from polymodal.files import check_output
from polymodal.inference.arguments import KINDS, Input, are_several, files_of, inputs_by_name
from polymodal.inference.embed import tolerant, write_all
from polymodal.inference.predicted_table import PredictedTable
from polymodal.inference.prediction_rows import as_table, flat, write_rows
from polymodal.inference.predictions import NO_PREDICTIONS, predictions_of
from polymodal.inference.predictor import Predictor
from polymodal.inference.run_predictor import RunPredictor
from polymodal.inference.table_file import ENDINGS
from polymodal.inference.trained import Trained
from polymodal.objectives.supervised import Supervised

TOGETHER = 64
"""Samples that are in memory at a time."""

Sample = Mapping[str, Input]
Row = dict[str, Any]


def main(settings: PredictSettings, changes: list[str]) -> None:
    """`python src/predict.py checkpoint=... <modality>=...`."""
    # the output is refused before a model is opened
    if settings.output and Path(settings.output).suffix not in ENDINGS:
        raise ConfigError(
            f"output={settings.output}: give a name that ends in {' or '.join(ENDINGS)}."
        )
    if settings.output:
        check_output(Path(settings.output))
    # JSON alone goes to stdout, so that other programs can read it
    with redirect_stdout(sys.stderr) if settings.json else nullcontext():
        if _is_table(settings, changes):
            _predict_table(settings, changes)
            return
        rows = _predict_inputs(settings, changes)
        if settings.output:
            write_rows(Path(settings.output), rows)
            print(f"{len(rows)} rows in {settings.output}")
    printed = [flat(row) for row in rows]
    if settings.json:
        print(json.dumps(printed))
    elif not settings.output or settings.classes is not None:
        Console().print(as_table(printed))


def _predict_inputs(settings: PredictSettings, changes: list[str]) -> list[Row]:
    """A row for each sample of the command line."""
    predictor = RunPredictor(Trained(Path(settings.checkpoint), changes))
    inputs = inputs_by_name(settings.inputs, predictor.data, predictor.model.modalities)
    samples = samples_of(inputs, predictor.data.kinds)
    if settings.classes is not None:
        return classified(predictor, samples, settings.classes, settings.templates)
    if settings.templates is not None:
        raise ConfigError("templates= are sentences for classes=: give both.")
    return predicted(predictor, samples)


def _predict_table(settings: PredictSettings, changes: list[str]) -> None:
    """Writes the rows of a table with their predictions into the output."""
    # what goes with files and sentences alone
    if settings.inputs or settings.output is None or settings.json:
        raise ConfigError(
            "A table has no inputs beside it, and its predictions go to output=answers.csv."
        )
    if settings.classes is not None:
        raise ConfigError(
            "classes= go with files and sentences, such as image='photos/*.png', and not with a "
            "table."
        )
    # a slip: the path of an image where a table is wanted
    for change in changes:
        key, _, value = change.partition("=")
        kind = KINDS.get(Path(value).suffix.lower())
        if key == "data.path" and kind:
            raise ConfigError(
                f"{change}: this is one file, and no table: give it as {kind}={value}"
            )
    output = Path(settings.output)
    trained = tolerant(Path(settings.checkpoint), changes)
    # a table keeps its own columns; of other data there are only the predictions
    is_table = issubclass(get_class(trained.config["data"]["_target_"]), TableData)
    if not is_table and output.suffix == ".jsonl":
        raise ConfigError(
            f"output={output}: of these data the predictions are written as .csv or .parquet."
        )
    other = PredictedTable(trained, output) if is_table else None
    write_all(trained, output, SPLITS, vectors=False, other=other)


def _is_table(settings: PredictSettings, changes: Sequence[str]) -> bool:
    """Whether the samples are rows: of other data, or of the data of the run with changes."""
    if any(change.startswith("data=") for change in changes):
        return True
    return not settings.inputs and any(change.startswith("data.") for change in changes)


def samples_of(inputs: Mapping[str, Input], kinds: Mapping[str, str]) -> list[dict[str, Input]]:
    """One sample of all inputs; where one of them is several files, one sample a file.

    Args:
        inputs: modality -> sentence, file or values; of files a pattern, a list or a folder too.
        kinds: modality -> image, text and so on, where that is not its name; a text is no pattern
            ("what?").

    Raises:
        ConfigError: a pattern or a folder has no file, or there are several of them.
    """
    several: dict[str, tuple[str, str]] = {}
    for name, value in inputs.items():
        kind = kinds.get(name, name)
        if isinstance(value, str) and kind in FILE_KINDS and are_several(value, kind):
            several[name] = value, kind
    if not several:
        return [dict(inputs)]
    if len(several) > 1:
        raise ConfigError(
            f"{' and '.join(several)} are patterns of files: write a manifest that says which go "
            "together."
        )
    ((name, (value, kind)),) = several.items()
    return [{**inputs, name: file} for file in files_of(name, value, kind)]


def classified(
    predictor: Predictor,
    samples: Sequence[Sample],
    classes: Sequence[str],
    templates: Sequence[str] | None,
) -> list[Row]:
    """Zero-shot: each sample of one modality with `prediction` and `probability` as `predicted`
    gives them, or with its `error`.

    Raises:
        ConfigError: the model aligns nothing, a file is not there, or several modalities are given.
        DataError: no sample can be read.
    """
    names = {name: None for sample in samples for name in sample}
    if len(names) != 1:
        choices = " or ".join(f"{name}=" for name in predictor.model.modalities)
        raise ConfigError(f"classes= go with one input: {choices}")
    (modality,) = names

    def predict(some: Sequence[Sample]) -> list[Row]:
        values = [sample[modality] for sample in some]
        result = predictor.classify(values, classes, templates, modality)
        rows = []
        for name, probabilities in zip(result.names, result.probabilities.tolist(), strict=True):
            by_class = dict(zip(classes, probabilities, strict=True))
            rows.append({"prediction": name, "probability": by_class})
        return rows

    results = _unless_all_failed(_each(predict, samples))
    return [{**sample, **_row(one)} for sample, one in zip(samples, results, strict=True)]


def predicted(predictor: Predictor, samples: Sequence[Sample]) -> list[Row]:
    """Each sample with `prediction` and, for classes and tags, `probability` by their names; or
    with its `error`.

    Raises:
        ConfigError: the model has no Y, no such input, or a file is not there.
        DataError: no sample can be read.
    """
    objective = predictor.supervised
    if objective is None:
        raise ConfigError(NO_PREDICTIONS)

    def predict(some: Sequence[Sample]) -> list[Row]:
        y = predictor.outputs(some).y
        assert y is not None
        return _as_rows(objective, y, predictor.class_names)

    results = _unless_all_failed(_each(predict, samples))
    return [{**sample, **_row(one)} for sample, one in zip(samples, results, strict=True)]


def _as_rows(objective: Supervised, y: Tensor, names: Sequence[str] | None) -> list[Row]:
    """Y (B, p) -> B rows."""
    result = predictions_of(objective, y, names)
    rows: list[Row] = [{"prediction": value} for value in result.prediction.to_pylist()]
    if result.probability is not None:
        for row, values in zip(rows, result.probability.tolist(), strict=True):
            row["probability"] = dict(zip(result.names, values, strict=True))
    return rows


def _row(result: Row | DataError) -> Row:
    return result if isinstance(result, dict) else {"prediction": None, "error": str(result)}


def _each(
    predict: Callable[[Sequence[Sample]], list[Row]], samples: Sequence[Sample]
) -> list[Row | DataError]:
    """The result of each sample, or the error that says why it cannot be read."""
    results: list[Row | DataError] = []
    for start in range(0, len(samples), TOGETHER):
        results += _tried(predict, samples[start : start + TOGETHER])
    return results


def _tried(
    predict: Callable[[Sequence[Sample]], list[Row]], samples: Sequence[Sample]
) -> list[Row | DataError]:
    """All samples in one batch; where one of them cannot be read, each by itself."""
    try:
        return [*predict(samples)]
    except DataError as error:
        if len(samples) == 1:
            return [error]
        return [result for sample in samples for result in _tried(predict, [sample])]


def _unless_all_failed(results: list[Row | DataError]) -> list[Row | DataError]:
    """The same results.

    Raises:
        DataError: no sample could be read; the error of the first.
    """
    if results and all(isinstance(result, DataError) for result in results):
        raise results[0]  # type: ignore[misc]
    return results
