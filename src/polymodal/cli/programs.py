"""Programs that use a trained model: their own settings, and changes to the config that the model
came with.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from polymodal.cli.overrides import split_at_commas
from polymodal.config.command_line import check_given_once, home
from polymodal.config.messages import groups, is_group, readable_errors
from polymodal.config.schema import Config
from polymodal.errors import ConfigError, did_you_mean
from polymodal.types import PositiveInt


def _listed(value: Any) -> Any:
    """`[a,b]` -> a and b; anything else is one."""
    if not isinstance(value, str):
        return value
    parts = (
        [part.strip() for part in value[1:-1].split(",")]
        if value[:1] + value[-1:] == "[]"
        else [value]
    )
    return [home(part) for part in parts]


def _named(value: Any) -> Any:
    """`[cat,"a dog, brown"]` -> both names; a .txt file has one a line; other text is names with
    commas between.
    """
    if not isinstance(value, str):
        return value
    file = Path(home(value))
    if file.suffix == ".txt":
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            raise ValueError(
                f"this file cannot be read ({getattr(error, 'strerror', None) or error})"
            ) from error
        return [line.strip() for line in lines if line.strip()]
    inner = value[1:-1] if value[:1] + value[-1:] == "[]" else value
    parts = [part.strip() for part in split_at_commas(inner)]
    return [
        part[1:-1] if part[:1] == part[-1:] and part[:1] in "\"'" else part
        for part in parts
        if part
    ]


Chosen = TypeVar(
    "Chosen",
    "EvalSettings",
    "EmbedSettings",
    "SearchSettings",
    "PredictSettings",
    "DemoSettings",
    "ExportSettings",
)


@dataclass(frozen=True, kw_only=True)
class EvalSettings:
    """Of eval.py."""

    checkpoint: Annotated[list[str], BeforeValidator(_listed)]
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class EmbedSettings:
    """Of embed.py."""

    checkpoint: str
    output: str
    split: Literal["all", "train", "val", "test"] = "all"


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """Of search.py."""

    checkpoint: str
    index: str
    query: str
    by: str | None = None
    find: str | None = None
    top: PositiveInt = 10
    exact: bool | None = None
    output: str | None = None
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """Of predict.py; what is neither one of these nor a setting of the run is an input."""

    checkpoint: str
    inputs: dict[str, str] = field(default_factory=dict)
    classes: Annotated[list[str], BeforeValidator(_named)] | None = None
    templates: Annotated[list[str], BeforeValidator(_named)] | None = None
    output: str | None = None
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """Of demo.py."""

    checkpoint: str = "last"
    port: PositiveInt = 8501
    samples: PositiveInt = 6000
    upload_mb: PositiveInt = 10


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """Of export.py."""

    checkpoint: str
    output: str
    format: Annotated[
        list[Literal["safetensors", "onnx", "torch_export", "open_clip"]], BeforeValidator(_listed)
    ] = field(default_factory=lambda: ["safetensors"])
    licence: str = "not stated"


def command(text: str | None, start: str, settings: type[Any]) -> None:
    """Checks the command line, and only then imports what does the work.

    Args:
        text: what `--help` prints.
        start: `package.module.function`, which is called with the settings and the changes.
        settings: which there are.
    """
    given = sys.argv[1:]
    needed = any(
        part.default is MISSING and part.default_factory is MISSING for part in fields(settings)
    )
    if (needed and not given) or {"-h", "--help"} & set(given):
        print(text)
        sys.exit(0 if given else 2)
    with readable_errors():
        chosen, changes = parsed(given, settings)
        module, _, function = start.rpartition(".")
        getattr(import_module(module), function)(chosen, changes)


def parsed(arguments: Sequence[str], settings: type[Chosen]) -> tuple[Chosen, list[str]]:
    """The settings of the program, and the arguments that change the config of the model.

    Args:
        arguments: `key=value` each; `--json` is json=true.
        settings: the keys that are the program's own. With a field `inputs` it takes keys that
            nobody knows.

    Raises:
        ConfigError: a key is unknown, missing, given twice, or has a wrong value.
    """
    check_given_once(arguments)
    own: dict[str, Any] = {}
    inputs: dict[str, str] = {}
    changes: list[str] = []
    known: set[str] = {own_field.name for own_field in fields(settings)}
    for argument in arguments:
        key, equals, value = (
            ("json", "=", "true") if argument == "--json" else argument.partition("=")
        )
        if not equals:
            meant = (
                did_you_mean(argument, ["--json", "--help"]) if argument.startswith("--") else ""
            )
            raise ConfigError(f"{argument}: arguments are key=value. --help lists them.{meant}")
        root = re.split(r"[./@]", key.lstrip("+~"))[0]
        if key in known - {"inputs"}:
            own[key] = home(value)
        # a column of many tables; a run that is asked needs none
        elif "inputs" in known and key == "name":
            inputs[key] = home(value)
        # hydra, too: Lightning gives it to other processes
        elif root in Config.model_fields or is_group(root):
            changes.append(argument)
        elif "inputs" in known and not re.search(r"^[-+~]|[/@]", key):
            inputs[key] = home(value)
        else:
            raise ConfigError(
                f"Unknown key {key!r}.{did_you_mean(key, [*known, *Config.model_fields, *groups()])}"
            )
    try:
        return TypeAdapter(settings).validate_python(
            own | ({"inputs": inputs} if inputs else {})
        ), changes
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        key = str(detail["loc"][0])
        if "missing" in detail["type"]:
            raise ConfigError(
                f"No value for {key}. Give one on the command line: {key}=..."
            ) from error
        problem = detail["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{key}={detail['input']}: {problem[0].lower()}{problem[1:]}.") from error
