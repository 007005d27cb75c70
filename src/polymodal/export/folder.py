"""A checkpoint -> a folder with everything that is needed to use the model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from polymodal import __version__
from polymodal.cli.programs import ExportSettings
from polymodal.config.check import check_config
from polymodal.config.trust import at_rest
from polymodal.data.datamodule import PairedDataModule
from polymodal.errors import ConfigError, StorageError
from polymodal.export.card import model_card
from polymodal.export.graphs import write_graphs
from polymodal.export.model import (
    CONFIG,
    TOKENIZER,
    VERSION,
    WEIGHTS,
    ExportedModel,
    load,
    weights_of,
)
from polymodal.export.named import write_named
from polymodal.export.open_clip import write_open_clip
from polymodal.files import check_output, read_json, write_whole
from polymodal.inference.trained import class_names_of, compose_stored
from polymodal.training.build import make
from polymodal.training.checkpoints.files import find_checkpoint, load_checkpoint

PARTS = ("encoder", "fusion", "head", "missing", "objective")


def main(settings: ExportSettings, changes: list[str]) -> None:
    """`python src/export.py checkpoint=<run folder or file> output=<folder> [key=value ...]`."""
    if changes:
        raise ConfigError(
            f"{changes[0]}: a model is exported as it was trained. --help lists what can be given."
        )
    export(settings.checkpoint, settings.output, settings.format, settings.licence)


def export(checkpoint: str, output: str, formats: Sequence[str], licence: str) -> None:
    """Writes the folder, whole or not at all, and says what is in it.

    Args:
        checkpoint: a run folder (its best checkpoint is taken) or a checkpoint file.
        output: a folder that is not there yet.
        formats: some of safetensors, onnx, torch_export and open_clip.
        licence: of the weights, for the model card.

    Raises:
        ConfigError: the checkpoint cannot be used, the model cannot be written so, or a graph gives
            other vectors.
        StorageError: the folder cannot be written.
    """
    folder = Path(output)
    check_output(folder)
    if folder.exists():
        raise ConfigError(f"output={folder} exists already. Give a folder that does not.")
    file = find_checkpoint(Path(checkpoint))
    stored = load_checkpoint(file)
    model, data = restored(stored)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
            part = Path(temporary) / folder.name
            part.mkdir()
            write_base(model, part)
            if "safetensors" in formats:
                save_file(weights_of(model), part / WEIGHTS, {"format": "pt"})
                load(part)  # what is given away can be read
            for name in ("onnx", "torch_export"):
                if name in formats:
                    write_graphs(model, name, part)
            if "open_clip" in formats:
                write_open_clip(model, part)
            write_whole(
                part / "README.md",
                model_card(model, data, _metrics(file), licence, sorted(part.iterdir())),
            )
            part.rename(folder)
    except OSError as error:
        raise StorageError(f"output={folder} cannot be written: {error}") from error
    for written in sorted(folder.iterdir()):
        print(f"{written.stat().st_size / 1e6:9.3f} MB  {written}")


def restored(stored: dict[str, Any]) -> tuple[ExportedModel, PairedDataModule]:
    """The model of a checkpoint, and its data module, which is not set up: it knows what inputs
    look like.

    Raises:
        ConfigError: the checkpoint's config no longer fits this version.
    """
    config = check_config(compose_stored(at_rest(stored["config"]), ["run_dir=."]))
    data = make(config["data"], "data")
    data.load_state_dict(stored.get(type(data).__qualname__, {}))
    formats = data.formats()
    about = {
        "format": "polymodal",
        "version": VERSION,
        "polymodal": __version__,
        "name": config["name"],
        "dim": config["dim"],
        "model": {group: _without_downloads(config[group]) for group in PARTS},
        "inputs": {name: formats[name] for name in config["encoder"]},
        "templates": list(data.templates),
    }
    model = ExportedModel(
        about, data.tokenizer if any(f["kind"] == "text" for f in formats.values()) else None
    )
    if model.supervised is not None:
        about["labels"] = class_names_of(stored, data).get(model.supervised.label)
    about["labels"] = model.labels  # complete, for those who read the file without this package
    model.load_state_dict(stored["state_dict"])
    return model, data


def write_base(model: ExportedModel, folder: Path) -> None:
    """config.json and tokenizer.json, and what encoders are built of besides."""
    write_named(model, folder)
    write_whole(folder / CONFIG, json.dumps(model.about, indent=2, ensure_ascii=False))
    if model.tokenizer is not None:
        write_whole(folder / TOKENIZER, model.tokenizer.to_json())


def _without_downloads(node: Any) -> Any:
    """A part without the weights that it began with: they are replaced anyway."""
    if isinstance(node, list):
        return [_without_downloads(item) for item in node]
    if not isinstance(node, dict):
        return node
    result = {key: _without_downloads(value) for key, value in node.items()}
    if "pretrained" in node:
        result["pretrained"] = False if isinstance(node["pretrained"], bool) else None
    return result


def _metrics(file: Path) -> dict[str, float]:
    """The metrics of a finished run, if it was evaluated with this checkpoint: the best, or else
    the last one.
    """
    folder = file.absolute().parents[1]
    metrics = folder / "metrics.json"
    if not metrics.is_file() or find_checkpoint(folder) != file.absolute():
        return {}
    return read_json(metrics)
