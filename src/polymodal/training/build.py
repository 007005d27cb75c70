"""Data, module and trainer of a checked config."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch import Callback, Trainer
from torch import nn

from polymodal.callbacks.data_check import DataCheck
from polymodal.callbacks.epochs import Epochs
from polymodal.callbacks.evaluated import Evaluated
from polymodal.callbacks.expected_time import ExpectedTime
from polymodal.callbacks.summary import Summary
from polymodal.data.datamodule import PairedDataModule
from polymodal.encoders.frozen_cache import FrozenCache
from polymodal.encoders.shared import in_place
from polymodal.errors import ConfigError
from polymodal.files import check_output
from polymodal.model import MultimodalModel
from polymodal.module import MultimodalModule
from polymodal.training.checkpoints.files import load_encoder
from polymodal.training.compatibility import (
    check_choices,
    check_modalities,
    check_shared,
    wanted_splits,
)
from polymodal.training.execution import compile_parts, recompute_blocks
from polymodal.training.metrics import add_metrics
from polymodal.training.monitors import check_monitors
from polymodal.training.trainer import build_trainer
from polymodal.training.tuning import tunings

Settings = dict[str, Any]


def build(
    config: Settings,
    stored: Settings,
    keep: Callable[[Callback], bool] | None = None,
    partial: bool = False,
) -> tuple[PairedDataModule, MultimodalModule, Trainer]:
    """Data, module and trainer of a config.

    Args:
        config: resolved and checked.
        stored: what checkpoints keep of it.
        keep: where the run is only to be tested: which callbacks take part. Then there is no logger
            either.
        partial: whether the data may lack modalities of the model, but not all.
    """
    check_choices(config)
    # cheap, and says whether its modalities and its metrics can be
    objective = make(config["objective"], "objective")
    add_metrics(config.get("metrics"), objective)
    data = make(config["data"], "data")
    data.wanted = wanted_splits(config) if keep is None else ("test",)
    if not partial or not set(config["encoder"]) & set(data.modalities):
        check_modalities(config, data.modalities, data.kinds, keep is not None)
    check_shared(config, data.kinds)
    model = build_model(config)
    if keep is None and not config["resume"]:
        for name, settings in config["tuning"].items():
            if settings.get("weights"):
                checkpoint = load_encoder(model.encoders[name], name, Path(settings["weights"]))
                if any(
                    isinstance(m, nn.Embedding | nn.EmbeddingBag)
                    for m in model.encoders[name].modules()
                ):
                    known = checkpoint.get(data.__class__.__qualname__, {})
                    # ids mean what they did
                    data.load_state_dict({k: v for k, v in known.items() if k == "tokenizer"})
    add_caches(model, config, data.varying)
    module = MultimodalModule(
        model,
        objective,
        make(config["optimizer"], "optimizer", _partial_=True),
        make(config["scheduler"], "scheduler", _partial_=True),
        stored,
        config["monitor"],
        tunings(config),
        config["accumulate"],
        config["monitor_mode"],
    )
    callbacks = _make_all(config, "callbacks")
    if keep is not None:
        chosen = [
            DataCheck(),
            Evaluated(),
            *(callback for callback in callbacks.values() if keep(callback)),
        ]
        return data, module, build_trainer(config, make, chosen, loggers=None)
    check_monitors(config, module, callbacks)
    loggers = list(_make_all(config, "logger").values())
    # in no file of the config: whichever callbacks a user chooses, the terminal says what is
    # trained and how it goes
    told = [DataCheck(), Summary(Path(config["run_dir"])), Epochs(), ExpectedTime(), Evaluated()]
    trainer = build_trainer(config, make, [*told, *callbacks.values()], loggers)
    return data, module, trainer


def make(node: Settings | None, path: str, **arguments: Any) -> Any:
    """What a node of the config describes; None for an empty one.

    Raises:
        ConfigError: the arguments cannot work; says where, and why.
    """
    if not node:
        return None
    try:
        return instantiate(node, _convert_="all", **arguments)
    except InstantiationException as error:
        raise ConfigError(f"{path}: {error.__cause__ or error}") from error


def _make_all(config: Settings, group: str) -> dict[str, Any]:
    return {
        name: make(node, f"{group}.{name}") for name, node in (config[group] or {}).items() if node
    }


def build_model(config: Settings) -> MultimodalModel:
    """Encoders, one that is shared under both names, fusion, head and what stands for missing
    modalities.
    """
    encoders = in_place(
        {name: make(node, f"encoder.{name}") for name, node in config["encoder"].items()}
    )
    fusion, head, missing = (make(config[group], group) for group in ("fusion", "head", "missing"))
    model = MultimodalModel(encoders, fusion, head, missing)
    if config.get("activation_checkpointing"):
        for encoder in model.encoders.values():
            recompute_blocks(encoder)
    if compiled := config.get("compile"):
        compile_parts(model, dynamic=True if compiled == "dynamic" else None)
    return model


def add_caches(model: MultimodalModel, config: Settings, varying: Sequence[str]) -> None:
    """Gives frozen encoders the place where their vectors are kept.

    Raises:
        ConfigError: the encoder is trained, its inputs vary, or the fusion reads sequences.
    """
    for name, settings in config["tuning"].items():
        if not settings.get("cache"):
            continue
        problem = (
            f"it is trained: add tuning.{name}.freeze=true"
            if settings.get("freeze") is not True or settings.get("unfreeze_at")
            else "in training the data change it at random, so there is no one vector to keep"
            if name in varying
            else "the fusion reads its sequence, and vectors are what is kept"
            if model.reads_tokens and hasattr(model.encoders[name], "tokens")
            else ""
        )
        if problem:
            raise ConfigError(f"tuning.{name}.cache: {problem}.")
        check_output(Path(settings["cache"]), f"tuning.{name}.cache")
        rank = int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0)
        model.caches[name] = FrozenCache(Path(settings["cache"]), config["data"], rank)
