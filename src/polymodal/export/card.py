"""README.md of an exported model: what it is, what it was trained on, what it reached, how it is
loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polymodal.export.model import WEIGHTS, ExportedModel
from polymodal.formatting import readable
from polymodal.objectives.classification import Classification
from polymodal.objectives.multilabel import MultiLabel

SHOWN = 40
"""Metrics in the table at most."""

GIVEN = {"text": '["a caption"]', "image": '["a.png"]', "audio": '["a.wav"]'}
"""Kind -> what a person has of it."""


def model_card(
    model: ExportedModel,
    data: Any,
    metrics: Mapping[str, float],
    licence: str,
    files: Sequence[Path],
) -> str:
    """Markdown, with the header that the Hugging Face hub reads.

    Args:
        model: to be described.
        data: the module that it was trained on.
        metrics: what the run reached.
        licence: of the weights.
        files: that lie beside it.
    """
    about, names = model.about, [file.name for file in files]
    # the header that the hub reads
    stated = licence if licence != "not stated" else "unknown"
    lines = ["---", f"license: {json.dumps(stated)}", "library_name: polymodal", "---", ""]
    lines += [f"# {about['name']}", "", f"Licence of the weights: {licence}.", ""]
    # what the model is made of
    parts = dict(about["model"])
    encoders = {f"{name} encoder": node for name, node in parts.pop("encoder").items()}
    lines += ["## Model", "", "| part | class |", "|---|---|"]
    for name, node in (encoders | parts).items():
        if node:
            lines.append(f"| {name} | `{node['_target_']}` |")
    count = sum(parameter.numel() for parameter in model.parameters())
    lines += ["", f"{count:,} parameters; vectors of {about['dim']} numbers.", ""]
    # what it takes and gives
    source = f"{type(data).__module__}.{type(data).__qualname__}"
    lines += ["## Data", "", f"Trained on `{source}`.", ""]
    lines += [f"- `{name}`: {_format(form)}" for name, form in about["inputs"].items()]
    if model.labels:
        lines += ["", f"{_outputs_of(model)}: {', '.join(model.labels)}."]
    lines += ["", "## Metrics", "", *_table(metrics), "", "## Use", "", *_use(model, names)]
    return "\n".join(lines) + "\n"


def _outputs_of(model: ExportedModel) -> str:
    return "Tags" if isinstance(model.supervised, MultiLabel) else "Classes"


def _format(form: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in form.items() if key != "kind")
    return f"{form['kind']} ({settings})" if settings else f"{form['kind']}"


def _table(metrics: Mapping[str, float]) -> list[str]:
    tested = {key: value for key, value in metrics.items() if key.startswith("test/")}
    if not tested:
        return ["There are none: no finished run was evaluated with this checkpoint."]
    rows = [f"| {key} | {readable(value)} |" for key, value in list(tested.items())[:SHOWN]]
    more = [f"and {len(tested) - SHOWN} more"] if len(tested) > SHOWN else []
    return ["| on the test split | |", "|---|---|", *rows, *more]


def _use(model: ExportedModel, names: Sequence[str]) -> list[str]:
    lines = ["```python", *_example(model), "```", ""] if WEIGHTS in names else []
    onnx = [name for name in names if name.endswith(".onnx")]
    programs = [name for name in names if name.endswith(".pt2")]
    if onnx:
        lines += [
            f"`{'`, `'.join(onnx)}`: one graph an encoder, with any number of samples, for any "
            "ONNX runtime.",
            "",
        ]
    if programs:
        lines += [
            f'`torch.export.load("{programs[0]}").module()`: the encoder as a graph of PyTorch.',
            "",
        ]
    if "open_clip_model.safetensors" in names:
        lines += [
            '`open_clip.create_model("local-dir:<this folder>")`: the model within open_clip.',
            "",
        ]
    notes = ["Inputs of graphs are what `config.json` says."] if onnx or programs else []
    if any("mean" in form for form in model.formats.values()):
        notes.append("A pixel p of 0 to 255 becomes (p / 255 - mean) / std.")
    if model.tokenizer is not None:
        notes.append("Captions are cut up by `tokenizer.json`, and padded with 0.")
    return [*lines, " ".join(notes)]


def _example(model: ExportedModel) -> list[str]:
    """Lines of Python: loading, vectors and, of a model that answers, an answer."""
    given = {
        name: GIVEN[form["kind"]] for name, form in model.formats.items() if form["kind"] in GIVEN
    }
    given = given or dict.fromkeys(list(model.formats)[:1], "inputs")
    name = next(
        (name for name in given if model.formats[name]["kind"] == "text"), next(iter(given))
    )
    lines = ["import polymodal", "", 'model = polymodal.load("<this folder>")']
    lines.append(
        f'model.vectors("{name}", {given[name]})  # (1, {model.about["dim"]}), of length 1'
    )
    if model.model.fusion is None:
        return lines
    inputs = ", ".join(f"{name}={value}" for name, value in given.items())
    lines.append(f"output = model({inputs})  # what is left out is missing; output.y is (1, p)")
    if isinstance(model.supervised, Classification):
        lines.append("model.labels[int(output.y[0].argmax())]")
    elif isinstance(model.supervised, MultiLabel):
        lines.append("[name for name, y in zip(model.labels, output.y[0], strict=True) if y > 0]")
    return lines
