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
from polymodal.encoders.shared import with_shared
from polymodal.errors import ConfigError
from polymodal.files import check_output
from polymodal.model import MultimodalModel
from polymodal.module import MultimodalModule
from polymodal.objectives.base import Objective
from polymodal.training.activation_checkpointing import recompute_blocks
from polymodal.training.checkpoints.files import load_encoder
from polymodal.training.compatibility import (
    check_choices,
    check_machine,
    check_modalities,
    check_shared,
    wanted_splits,
)
from polymodal.training.compile import compile_parts
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
    check_machine(config)
    check_choices(config)
    data = build_data(config, keep is not None, partial)
    objective = build_objective(config)
    model = build_model(config)
    if keep is None and not config["resume"]:
        load_encoders(model, data, config)
    add_caches(model, config, data.varying)
    module = build_module(config, stored, model, objective)
    callbacks = _make_all(config, "callbacks")
    if keep is not None:
        kept = [callback for callback in callbacks.values() if keep(callback)]
        return data, module, build_trainer(config, make, [DataCheck(), Evaluated(), *kept], None)
    check_monitors(config, module, callbacks)
    # in no file of the config: whichever callbacks a user chooses, the terminal says what is
    # trained and how it goes
    always = [DataCheck(), Summary(Path(config["run_dir"])), Epochs(), ExpectedTime(), Evaluated()]
    loggers = list(_make_all(config, "logger").values())
    return data, module, build_trainer(config, make, [*always, *callbacks.values()], loggers)


def build_objective(config: Settings) -> Objective:
    """The loss with its metrics, and those of the config group `metrics`."""
    objective: Objective = make(config["objective"], "objective")
    add_metrics(config.get("metrics"), objective)
    return objective


def build_data(config: Settings, tested: bool, partial: bool) -> PairedDataModule:
    """The data module, which has read nothing yet.

    Args:
        config: resolved and checked.
        tested: whether the run only tests a trained model.
        partial: see `build`.

    Raises:
        ConfigError: encoders do not go with the modalities of the data.
    """
    data: PairedDataModule = make(config["data"], "data")
    data.wanted = ("test",) if tested else wanted_splits(config)
    if not partial or not set(config["encoder"]) & set(data.modalities):
        check_modalities(config, data.modalities, data.kinds, tested)
    check_shared(config, data.kinds)
    return data


def build_module(
    config: Settings, stored: Settings, model: MultimodalModel, objective: Objective
) -> MultimodalModule:
    """What Lightning trains: model, objective, optimizer and schedule."""
    return MultimodalModule(
        model,
        objective,
        optimizer=make(config["optimizer"], "optimizer", _partial_=True),
        scheduler=make(config["scheduler"], "scheduler", _partial_=True),
        config=stored,
        shown=config["monitor"],
        shown_mode=config["monitor_mode"],
        tuning=tunings(config),
        accumulate=config["accumulate"],
    )


def build_model(config: Settings) -> MultimodalModel:
    """Encoders, one that is shared under both names, fusion, head and what stands for missing
    modalities.
    """
    encoders = with_shared(
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


def load_encoders(model: MultimodalModel, data: PairedDataModule, config: Settings) -> None:
    """Gives encoders the weights of an earlier run, `tuning.<encoder>.weights`."""
    for name, settings in config["tuning"].items():
        if not settings.get("weights"):
            continue
        encoder = model.encoders[name]
        checkpoint = load_encoder(encoder, name, Path(settings["weights"]))
        # token ids mean what they meant there: the tokenizer comes along
        if any(isinstance(part, nn.Embedding | nn.EmbeddingBag) for part in encoder.modules()):
            state = checkpoint.get(data.__class__.__qualname__, {})
            data.load_state_dict({key: state[key] for key in state.keys() & {"tokenizer"}})


def add_caches(model: MultimodalModel, config: Settings, varying: Sequence[str]) -> None:
    """Gives frozen encoders the place where their vectors are kept.

    Raises:
        ConfigError: the encoder is trained, its inputs vary, or the fusion reads sequences.
    """
    for name, settings in config["tuning"].items():
        if not settings.get("cache"):
            continue
        problem = ""
        if settings.get("freeze") is not True or settings.get("unfreeze_at"):
            problem = f"it is trained: add tuning.{name}.freeze=true"
        elif name in varying:
            problem = "in training the data change it at random, so no one vector can be kept"
        elif model.reads_tokens and hasattr(model.encoders[name], "tokens"):
            problem = "the fusion reads its sequence, and vectors are what is kept"
        if problem:
            raise ConfigError(f"tuning.{name}.cache: {problem}.")
        check_output(Path(settings["cache"]), f"tuning.{name}.cache")
        rank = int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0)
        model.caches[name] = FrozenCache(Path(settings["cache"]), config["data"], rank)


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
