"""How each encoder is trained: frozen as a whole or in part, for some steps, with a rate of its
own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from torch import nn

from polymodal.encoders.blocks import blocks_of
from polymodal.errors import ConfigError, did_you_mean

Settings = dict[str, Any]


@dataclass(frozen=True)
class Tuning:
    """Settings of one encoder.

    Attributes:
        freeze: True for the whole encoder; n for everything up to and with its first n blocks; one
            or several patterns of parameter names, such as `stages.0.*`.
        unfreeze_at: the optimizer step at which the frozen part begins to train; None for never.
        lr: learning rate of the encoder; None for the optimizer's.
        weight_decay: of the encoder; None for the optimizer's.
    """

    freeze: bool | int | str | list[str] = False
    unfreeze_at: int | None = None
    lr: float | None = None
    weight_decay: float | None = None

    def is_frozen(self, step: int) -> bool:
        """Whether the frozen part stands still at an optimizer step."""
        return self.freeze is not False and (self.unfreeze_at is None or step < self.unfreeze_at)


def frozen_parameters(encoder: nn.Module, freeze: bool | int | str | list[str]) -> list[str]:
    """Names of the parameters that `freeze` means.

    Raises:
        ConfigError: there are not so many blocks, or a pattern fits no parameter.
    """
    names = [name for name, _ in encoder.named_parameters()]
    if isinstance(freeze, bool):
        return names if freeze else []
    if isinstance(freeze, int):
        return names[: _end_of_block(encoder, names, freeze)]
    freeze = [freeze] if isinstance(freeze, str) else freeze
    for pattern in freeze:
        if not any(fnmatch(name, pattern) for name in names):
            some = ", ".join(names[:: max(1, len(names) // 6)][:6])
            raise ConfigError(
                f"freeze: no parameter of {type(encoder).__name__} fits {pattern!r}; it has "
                f"{some}, ..."
            )
    return [name for name in names if any(fnmatch(name, pattern) for pattern in freeze)]


def _end_of_block(encoder: nn.Module, names: list[str], count: int) -> int:
    """Index of the first parameter after block number `count` (from 1), in the order of
    registration.
    """
    blocks = blocks_of(encoder)
    if count > len(blocks):
        raise ConfigError(f"freeze={count}: {type(encoder).__name__} has {len(blocks)} blocks.")
    prefixes = tuple(f"{block}." for block in blocks[:count])
    return max(index + 1 for index, name in enumerate(names) if name.startswith(prefixes))


def hold_still(encoder: nn.Module, frozen: set[str]) -> None:
    """Puts what is frozen into evaluation mode: batch norms keep their statistics, dropout does
    nothing.
    """
    for path, module in encoder.named_modules():
        prefix = f"{path}." if path else ""
        own = [name for name, _ in module.named_parameters()]
        if own and all(f"{prefix}{name}" in frozen for name in own):
            module.eval()


def parameter_groups(module: nn.Module, tuning: Mapping[str, Tuning]) -> list[dict[str, Any]]:
    """Trainable parameters in groups: vectors and scalars (norms, biases, scales) are not decayed;
    an encoder with settings of its own has groups of its own, and so has the objective, which stays
    whole where the model is sharded: optimizers do not mix the two. Each has a name: `model`,
    `encoder.image`, `objective_no_decay`.

    Args:
        module: with the encoders at `model.encoders.<name>` and the objective at `objective`.
        tuning: encoder -> its settings.
    """
    special = {
        f"model.encoders.{n}": t
        for n, t in tuning.items()
        if t.lr is not None or t.weight_decay is not None
    }
    paths = (*special, "objective")
    owner = {
        parameter: path for path in paths for parameter in module.get_submodule(path).parameters()
    }
    owned: dict[str, list[nn.Parameter]] = {path: [] for path in ("model", *paths)}
    for (
        parameter
    ) in module.parameters():  # a shared encoder has paths under both its names: they do not tell
        if parameter.requires_grad:
            owned[owner.get(parameter, "model")].append(parameter)
    return [
        group
        for path, own in owned.items()
        for group in _groups(path, own, special.get(path, Tuning()))
    ]


def _groups(path: str, parameters: list[nn.Parameter], tuning: Tuning) -> Iterator[dict[str, Any]]:
    # loggers call the learning rate so: lr-AdamW/<name>
    name = path.replace("model.encoders.", "encoder.")
    rate = {} if tuning.lr is None else {"lr": tuning.lr}
    decay = {} if tuning.weight_decay is None else {"weight_decay": tuning.weight_decay}
    if matrices := [parameter for parameter in parameters if parameter.ndim > 1]:
        yield {"params": matrices, **rate, **decay, "name": name}
    if vectors := [parameter for parameter in parameters if parameter.ndim <= 1]:
        yield {"params": vectors, **rate, "weight_decay": 0.0, "name": f"{name}_no_decay"}


def tunings(config: Settings) -> dict[str, Tuning]:
    """Encoder -> how it is trained.

    Raises:
        ConfigError: settings of an encoder that the run does not have, or that contradict each
            other.
    """
    result = {}
    for name, settings in config["tuning"].items():
        if name not in config["encoder"]:
            raise ConfigError(
                f"tuning.{name}: this run has no such encoder.{did_you_mean(name, config['encoder'])}"
            )
        if settings.get("unfreeze_at") and not settings.get("freeze"):
            raise ConfigError(
                f"tuning.{name}.unfreeze_at: nothing is frozen. Add tuning.{name}.freeze=true."
            )
        known = {key: value for key, value in settings.items() if key not in {"weights", "cache"}}
        result[name] = Tuning(**known)
    return result
