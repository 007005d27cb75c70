"""Refuses choices that cannot work together, before data are loaded and a model is built."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import torch

from polymodal.config.auto_parts import OPTIONS as CHOSEN
from polymodal.config.auto_parts import objective_classes
from polymodal.config.environment import check_started
from polymodal.encoders.shared import Shared
from polymodal.errors import ConfigError, did_you_mean
from polymodal.objectives.base import Objective

Settings = dict[str, Any]
SHARED = f"{Shared.__module__}.{Shared.__qualname__}"


def check_machine(config: Settings) -> None:
    """Refuses devices that are not there.

    Raises:
        ConfigError: names what there is.
    """
    check_started(config["trainer"])
    wanted = config["trainer"].get("accelerator", "auto")
    there = {
        "cpu": True,
        "gpu": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }

    # a device that is not there: what there is, and what to type
    wanted = "gpu" if wanted == "cuda" else wanted
    if wanted in there and not there[wanted]:
        available = (
            f"cpu ({os.cpu_count()} cores)" + ", mps" * there["mps"] + ", gpu" * there["gpu"]
        )
        strategy = config["trainer"].get("strategy")
        instead = "devices=ddp_cpu" if strategy == "ddp" else "devices=cpu"
        if _node(strategy):
            instead = "devices=fsdp trainer.accelerator=cpu trainer.devices=2"
        raise ConfigError(
            f"devices: this machine has no {wanted} that torch can use. There is: {available}.\n"
            f"On its CPU: {instead}"
        )

    # what only a GPU can do
    on_cpu = wanted == "cpu" or (wanted == "auto" and not there["gpu"] and not there["mps"])
    if on_cpu and config["trainer"].get("precision") == "16-mixed":
        raise ConfigError("precision=fp16 needs a GPU; choose precision=bf16.")
    if on_cpu and config["trainer"].get("sync_batchnorm"):
        raise ConfigError("trainer.sync_batchnorm=true needs GPUs. Leave it out.")
    if config.get("compile"):
        _check_compiler(on_cpu)


def _check_compiler(on_cpu: bool) -> None:
    """What torch.compile makes has to be built by another compiler."""
    compilers = (
        ("C++ compiler", "g++ or clang++")
        if on_cpu
        else ("compiler for GPUs", "the package triton")
    )
    found = (
        any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++")))
        if on_cpu
        else find_spec("triton")
    )
    if not found:
        raise ConfigError(
            f"compile: there is no {compilers[0]}. Install {compilers[1]}, or leave compile=false."
        )


def check_choices(config: Settings) -> None:
    """Refuses pairs of choices that cannot work.

    Raises:
        ConfigError: says which two, and what to choose instead.
    """
    if not config["encoder"]:
        raise ConfigError("No modality is left: choose an encoder, such as encoder/image=cnn.")
    objectives = list(objective_classes(config["objective"]))
    _check_fusion(config, objectives)
    if (k := config["trainer"].get("accumulate_grad_batches", 1)) > 1:
        raise ConfigError(
            f"trainer.accumulate_grad_batches={k}: accumulated small batches are not one large "
            "batch, neither for a loss that compares samples nor for a mean over those that have a "
            "label.\n"
            f"Give data.batch_size the size of the large one, and accumulate={k}: it is computed "
            f"in {k} parts, and the loss is that of the whole."
        )
    scaled = config["trainer"].get("precision") == "16-mixed" and config["trainer"].get(
        "gradient_clip_val"
    )
    if scaled and config["optimizer"].get("fused"):
        raise ConfigError(
            "precision=fp16 with trainer.gradient_clip_val needs optimizer.fused=false."
        )
    strategy = str(_node(config["trainer"].get("strategy")).get("_target_"))
    if strategy.endswith((".ShardedStrategy", ".ModelParallelStrategy")):
        _check_sharding(config)


def _check_sharding(config: Settings) -> None:
    """What parameters that are sharded among processes cannot do."""
    precision, strategy = config["trainer"].get("precision"), config["trainer"]["strategy"]
    if precision not in ("32-true", "bf16-mixed", "bf16-true"):
        raise ConfigError(
            "devices=fsdp trains with precision=fp32, bf16 or bf16_true. Choose one of these."
        )
    if strategy["_target_"].endswith(".ModelParallelStrategy"):
        raise ConfigError(
            "Lightning's ModelParallelStrategy keeps the index of a checkpoint as a pickle, and "
            "nothing is unpickled here.\n"
            "Choose devices=fsdp, which is the same with trainer.strategy._target_="
            "polymodal.training.distributed.strategy.ShardedStrategy."
        )
    if cached := next(
        (name for name, settings in config["tuning"].items() if settings.get("cache")), None
    ):
        raise ConfigError(
            f"devices=fsdp: with tuning.{cached}.cache an encoder would run on some processes and "
            "not on others. Leave it out."
        )


def _node(value: Any) -> Settings:
    return value if isinstance(value, dict) else {}


def _check_fusion(config: Settings, objectives: Sequence[type[Objective]]) -> None:
    """An objective that reads Y has a fusion of the right width, and no other has one that would
    never be trained.
    """
    names = " and ".join(objective.__name__ for objective in objectives)
    fusion, head = config["fusion"], config["head"]
    readers = [objective.__name__ for objective in objectives if objective.needs_fusion]
    if not readers:
        for group, node in (("fusion", fusion), ("head", head), ("missing", config["missing"])):
            if node:
                raise ConfigError(
                    f"{names} reads X alone, so {group}= would do nothing. Leave it out."
                )
        return
    if not fusion:
        raise ConfigError(f"{readers[0]} needs one vector a sample: add fusion=concat head=linear.")
    outputs = config["objective"].get("outputs")
    if "outputs" in fusion and head:
        raise ConfigError("This fusion gives the answer itself: add head=none.")
    if "outputs" not in fusion and not head and outputs not in (None, config["dim"]):
        raise ConfigError(
            f"{readers[0]} wants {outputs} values a sample, the fusion gives {config['dim']}: add "
            "head=linear."
        )


OPTIONS = CHOSEN | {"text": "transformer", "vector": "features"}
"""Kind of modality -> an encoder that a message names."""


def check_modalities(
    config: Settings, offered: Sequence[str], kinds: Mapping[str, str], trained: bool = False
) -> None:
    """Refuses encoders that do not go with the modalities of the data.

    Args:
        config: resolved.
        offered: modalities of the data.
        kinds: modality -> image, text, ..., where that is not its name.
        trained: whether the encoders are those of a trained model, which has no others.

    Raises:
        ConfigError: an encoder has no modality, or modalities are compared and one alone has an
            encoder; says which words make it right.
    """
    strays = [name for name in config["encoder"] if name not in offered]
    left = [name for name in offered if name in config["encoder"]]
    without = [name for name in offered if name not in left]
    words = [f"encoder/{name}=none" for name in strays] + [
        _encoder_word(name, kinds) for name in without
    ]
    if strays:
        meant = did_you_mean(strays[0], offered)
        hint = f"Type {' '.join(words)}"
        if trained:
            hint = f"Say where it is: data.columns.{strays[0]}="
        there = f" They have {' and '.join(offered)}.\n{hint}"
        there = meant if "Did you mean" in meant else there
        raise ConfigError(f"encoder.{strays[0]}: these data have no such modality.{there}")
    compares = not any(
        objective.needs_fusion for objective in objective_classes(config["objective"])
    )
    if compares and len(left) == 1 and without:
        raise ConfigError(
            f"{left[0]} alone has an encoder, and modalities are compared with each other.\n"
            f"Type {' '.join(words)}"
        )


def _encoder_word(name: str, kinds: Mapping[str, str]) -> str:
    """What to type so that a modality has an encoder."""
    kind = kinds.get(name, name)
    group = "tabular" if kind == "vector" else kind
    place = group if name == kind else f"{group}@encoder.{name}"
    return f"{'+' * (name != kind)}encoder/{place}={OPTIONS.get(kind, '...')}"


def check_shared(config: Settings, kinds: Mapping[str, str]) -> None:
    """Refuses an encoder that cannot be shared, and a shared one with settings of its own.

    Args:
        config: resolved.
        kinds: modality -> image, text, ..., where that is not its name.

    Raises:
        ConfigError: names it, and what to give instead.
    """
    shared = {
        name: node["of"] for name, node in config["encoder"].items() if node["_target_"] == SHARED
    }
    own = [name for name in config["encoder"] if name not in shared]
    for name, of in shared.items():
        if of not in own:
            problem = (
                "is itself one that is shared" if of in shared else "is no encoder of this run"
            )
            raise ConfigError(f"encoder.{name}.of={of}: that {problem}.{did_you_mean(of, own)}")
        kind, other = kinds.get(name, name), kinds.get(of, of)
        if kind != other:
            raise ConfigError(
                f"encoder.{name}.of={of}: {name} is of the kind {kind}, and {of} is {other}."
            )
        if name in config["tuning"]:
            raise ConfigError(
                f"tuning.{name}: its encoder is that of {of}: give tuning.{of} instead."
            )


def wanted_splits(config: Settings) -> list[str]:
    """The splits that a run reads: training, validation unless it is switched off, and test where
    that is wanted.
    """
    validates = config["trainer"].get("limit_val_batches") != 0
    return ["train", *["val"] * validates, *["test"] * bool(config["test"])]
