"""A trained model that stands alone: built from plain data, without Hydra, Lightning, or the data
it was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from polymodal.config.moved import as_today
from polymodal.config.places import settled
from polymodal.config.signature import SPECIAL
from polymodal.config.trust import OF_MODELS, check_trust
from polymodal.data.media.formats import read_sound
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.encoders.shared import with_shared
from polymodal.errors import ConfigError
from polymodal.inference.pixels import pixels
from polymodal.inference.predictor import Predictor
from polymodal.model import MultimodalModel

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
VERSION = 1
"""Of the layout of the folder."""

HERE = "./"
"""What names of folders within the exported one start with."""


class ExportedModel(Predictor):
    """An exported model, and what turns images, captions and sounds into its inputs.

    Args:
        about: what config.json holds: `model` (the `_target_` of each part), `inputs`
            (`PairedDataModule.formats`) and `labels` (names of the classes or tags that Y has, if
            any); `templates` of captions, if there are any.
        tokenizer: of a model that reads text.

    Raises:
        ConfigError: a part is not to be trusted, or cannot be built.
    """

    def __init__(self, about: Mapping[str, Any], tokenizer: Tokenizer | None = None) -> None:
        check_trust(about["model"], OF_MODELS)
        parts = as_today(about["model"])
        settled(parts)
        encoders = with_shared({name: built(node) for name, node in parts["encoder"].items()})
        rest = (built(parts[group] or None) for group in ("fusion", "head", "missing"))
        super().__init__(MultimodalModel(encoders, *rest), built(parts["objective"]))
        self.about, self.tokenizer = about, tokenizer
        self.formats = about["inputs"]
        self.templates = _sentences(about.get("templates", []))

    @property
    def class_names(self) -> Sequence[str] | None:  # type: ignore[override]
        """Of the label that Y stands for."""
        return self.about.get("labels")

    def read(self, modality: str, values: list[Any]) -> Tensor:
        """Captions, images as paths, bytes or Pillow has them, sounds as paths or bytes.

        Raises:
            ConfigError: the model can take these only as a tensor.
            BadSampleError: a file cannot be read; names it.
        """
        about = self.formats[modality]
        kind = about["kind"]
        if kind == "text" and self.tokenizer is None:
            raise ConfigError(f"{modality}: this model has no tokenizer: give token ids (N, T).")
        if kind == "text":
            return torch.from_numpy(self.tokenizer(values))  # type: ignore[misc]
        if kind == "image" and "size" in about:
            return pixels(values, about)
        if kind == "audio" and "sample_rate" in about:
            return pad_sequence([_sound(value, about) for value in values], batch_first=True)
        raise ConfigError(f"{modality}: give a tensor (N, ...), as the encoder takes it.")


def load(path: str | Path) -> ExportedModel:
    """The model that `src/export.py format=safetensors` wrote into a folder. Nothing in the folder
    is run.

    Raises:
        ConfigError: the folder is none of ours, is damaged, or names what is not to be trusted.
    """
    folder = Path(path)
    try:
        if not (folder / CONFIG).is_file():  # a pipe would be waited for
            raise ValueError(f"there is no {CONFIG}")

        # the config names classes: only those of models are built
        about = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if about["format"] != "polymodal" or about["version"] > VERSION:
            raise ValueError(f"{CONFIG} is of another format, or of a newer version")
        about["model"] = _located(about["model"], folder)

        # the tokenizer, where the model reads text
        file = folder / TOKENIZER
        length = max(
            (part.get("context_length", 0) for part in about["inputs"].values()), default=0
        )
        tokenizer = (
            Tokenizer.from_json(file.read_text(encoding="utf-8"), length)
            if file.is_file()
            else None
        )
        model = ExportedModel(about, tokenizer)

        # tensors alone are read, and they must be those of this model
        weights = load_file(folder / WEIGHTS)
        if differing := weights.keys() ^ weights_of(model).keys():
            raise ValueError(
                f"{WEIGHTS} is of another model: {min(differing)} is in one of them only"
            )
        model.load_state_dict(
            weights, strict=False
        )  # names that share a tensor are in the file once
    except (
        OSError,
        ImportError,
        LookupError,
        TypeError,
        ValueError,
        RuntimeError,
        AttributeError,
        SafetensorError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"{folder} holds no exported model, or a damaged one: {reason}"
        ) from error
    return model


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """The state of a model for a file: a tensor that has several names is there once, under the
    first of them.
    """
    first = {name for name, _ in chain(model.named_parameters(), model.named_buffers())}
    return {name: value.contiguous() for name, value in model.state_dict().items() if name in first}


def built(node: Any) -> Any:
    """A node with a `_target_` -> the object that it describes, after `check_trust`; anything else
    as it is.

    Raises:
        ConfigError: the arguments cannot work; says of what.
    """
    if isinstance(node, list):
        return [built(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "_target_" not in node:
        return {key: built(value) for key, value in node.items()}
    arguments = {key: built(value) for key, value in node.items() if key not in SPECIAL}
    positional = built(node.get("_args_", []))
    module, _, name = node["_target_"].rpartition(".")
    part = getattr(import_module(module), name)
    try:
        return (
            partial(part, *positional, **arguments)
            if node.get("_partial_")
            else part(*positional, **arguments)
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{node['_target_']}: {error}") from error


def _located(node: Any, folder: Path) -> Any:
    """A node with the places of the folders that it names."""
    if isinstance(node, dict):
        return {key: _located(value, folder) for key, value in node.items()}
    if isinstance(node, list):
        return [_located(value, folder) for value in node]
    for start in (HERE, f"local-dir:{HERE}"):
        if isinstance(node, str) and node.startswith(start):
            return f"{start.removesuffix(HERE)}{folder / node.removeprefix(start)}"
    return node


def _sound(value: Any, about: Mapping[str, Any]) -> Tensor:
    """A path or bytes -> (samples,) float32."""
    source = Path(value) if isinstance(value, str) else value
    wave = read_sound(source, about["sample_rate"], max_seconds=about.get("max_seconds", 1e9))
    return torch.from_numpy(wave)


def _sentences(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("templates are no list of sentences")
    return value
