"""Every fusion of configs/fusion in each of its ways, read from the constructors: a new one is
there by itself."""

import inspect
import re
import typing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from polymodal.outputs import FusionOutput, Tokens

CONFIGS = Path(__file__).parents[2] / "configs" / "fusion"
NAMES = [file.stem for file in sorted(CONFIGS.glob("*.yaml")) if file.stem not in ("none", "auto")]
DIM = 8
COUNTS = [1, 2, 3, 6]
LAST = "the last modality"

SMALLER: dict[str, dict[str, Any]] = {"tensor": {"width": 3}}
"""Arguments without which six modalities do not fit."""


@cache
def config(name: str) -> Any:
    return OmegaConf.load(CONFIGS / f"{name}.yaml")


@cache
def arguments(name: str) -> dict[str, Any]:
    """Argument -> type, without those that all fusions have."""
    hints = typing.get_type_hints(get_class(config(name)._target_).__init__)
    return {key: hint for key, hint in hints.items() if key not in {"dim", "modalities", "return"}}


def ways(name: str) -> list[dict[str, Any]]:
    """No argument, each value of each choice, and the last modality wherever one can be named."""
    result: list[dict[str, Any]] = [{}]
    for key, hint in arguments(name).items():
        if typing.get_origin(hint) is typing.Literal:
            result += [
                {key: value} for value in typing.get_args(hint) if value != config(name).get(key)
            ]
        elif hint == str | None:
            result.append({key: LAST})
    return result


WAYS = [(name, way) for name in NAMES for way in ways(name)]
IDS = ["-".join([name, *map(str, way.values())]).replace(" ", "_") for name, way in WAYS]


def build(name: str, m: int, seed: int = 0, **given: Any) -> torch.nn.Module:
    """A fusion of m modalities in evaluation and double precision, from its file."""
    torch.manual_seed(seed)
    given = {
        key: f"m{m - 1}" if value == LAST else value
        for key, value in {**SMALLER.get(name, {}), **given}.items()
    }
    root = {"dim": DIM, "outputs": DIM, "encoder": {f"m{i}": {} for i in range(m)}}
    root["fusion"] = OmegaConf.merge(config(name), given)
    return instantiate(OmegaConf.create(root).fusion, _convert_="all").double().eval()


def refusal(name: str, m: int, **given: Any) -> str:
    """What the constructor's ValueError says."""
    with pytest.raises(InstantiationException) as error:
        build(name, m, **given)
    assert isinstance(error.value.__cause__, ValueError)
    return str(error.value.__cause__)


def masks(m: int, count: int = 16) -> torch.Tensor:
    """(count, m): the first row has nothing, the second all, and each modality is absent from a
    later one."""
    mask = torch.rand(count, m) > 0.3
    mask[0], mask[1] = False, True
    for i in range(m):
        mask[2 + i, i] = False
    return mask


def sequences(mask: torch.Tensor) -> list[Tokens]:
    """For each of the m modalities, 1, 2, 3, 1, ... tokens, the first of which is real where the
    mask says so."""
    result = []
    for i in range(mask.shape[1]):
        length = i % 3 + 1
        real = torch.rand(len(mask), length) > 0.3
        real[:, 0] = True
        result.append(Tokens(torch.randn(len(mask), length, DIM).double(), real & mask[:, i, None]))
    return result


def run(
    fusion: torch.nn.Module, x: torch.Tensor, mask: torch.Tensor, tokens: list[Tokens] | None
) -> FusionOutput:
    """The output, with the same draws each time."""
    torch.manual_seed(0)
    return fusion(x, mask) if tokens is None else fusion(x, mask, tokens)


def inputs_of(fusion: torch.nn.Module, mask: torch.Tensor) -> list[list[Tokens] | None]:
    """What a fusion may be given beside x: nothing, and sequences if it reads them."""
    return [None, sequences(mask)] if getattr(fusion, "reads_tokens", False) else [None]


def documented(name: str, field: str) -> str | None:
    """The expression after `field:` in the docstring of the class."""
    found = re.search(
        rf"^{field}: (.+)$", inspect.getdoc(get_class(config(name)._target_)) or "", re.MULTILINE
    )
    return found.group(1) if found else None


def names_in_docstring(name: str, m: int, given: dict[str, Any]) -> dict[str, Any]:
    """What an expression in a docstring is made of: m, d, and the constructor's arguments."""
    signature = inspect.signature(get_class(config(name)._target_))
    defaults = {key: parameter.default for key, parameter in signature.parameters.items()}
    return {**defaults, "outputs": DIM, **SMALLER.get(name, {}), **given, "m": m, "d": DIM}
