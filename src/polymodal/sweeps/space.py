"""What a sweep keeps and what it varies, in the grammar of Hydra's own sweeps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.errors import ConfigError


@dataclass(frozen=True)
class SweepSpec:
    """What is to be run.

    Args:
        folder: of the sweep; its jobs have numbered folders in it.
        fixed: arguments of every job.
        swept: key -> what its values are.
        monitor: the validation metric that says how good a job is.
        mode: whether that is better when it is larger or smaller.
        retry_failed: jobs that failed are run again.
    """

    folder: Path
    fixed: Sequence[str] = ()
    swept: Mapping[str, Override] = field(default_factory=dict)
    monitor: str = "val/loss"
    mode: Literal["max", "min"] = "min"
    retry_failed: bool = False


def split(
    space: Mapping[str, Any] | None, arguments: Sequence[str]
) -> tuple[list[str], dict[str, Override]]:
    """The arguments that are the same for all jobs, and key -> values of those that are not.

    Args:
        space: key -> value, as text in the grammar of the command line: `bow,transformer`,
            `range(5)`, `interval(0, 1)`, `tag(log, interval(1e-4, 1e-2))`, or one value.
        arguments: of the command line; where both have a key, these count.

    Raises:
        ConfigError: one is no `key=value`, or its values are none, or not the same each time.
        HydraException: one does not follow the grammar.
    """
    if wrong := [a for a in arguments if a.startswith(("-", "repeat=", "resume="))]:
        raise ConfigError(
            f"{wrong[0]}: a sweep takes key=value and group=option, as train.py does (see --help)."
        )
    values = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in (space or {}).items()
    }
    given = [f"{key}={value}" for key, value in values.items()]
    texts = as_hydra_arguments([*given, *arguments], several=True)
    last = {
        override.key_or_group: override
        for override in OverridesParser.create().parse_overrides(texts)
    }
    fixed = [
        _as_hydra_says(override) for override in last.values() if not override.is_sweep_override()
    ]
    swept = {key: override for key, override in last.items() if override.is_sweep_override()}
    for override in swept.values():
        _check_values(override)
    return fixed, swept


def _as_hydra_says(override: Override) -> str:
    """As `train.py -m` has it (`1e-3` is 0.001, `false` False): a resumed sweep has jobs of both,
    in one table.
    """
    if override.is_delete():
        return str(override.input_line)
    return f"{override.get_key_element()}={override.get_value_element_as_str()}"


def _check_values(override: Override) -> None:
    given = f"{override.key_or_group}={override.get_value_string()}"
    if isinstance(override.value(), Glob):
        raise ConfigError(
            f"{given}: a sweep takes the options by their names, as in fusion=sum,concat."
        )
    if getattr(override.value(), "shuffle", False):
        raise ConfigError(f"{given}: a sweep that is resumed later needs one order of its values.")
    if override.is_discrete_sweep() and not any(True for _ in override.sweep_string_iterator()):
        raise ConfigError(f"{given}: there is no value in it.")


def combinations(swept: Mapping[str, Override]) -> list[list[str]]:
    """Every combination of values, the last key changing fastest, as `train.py -m` numbers its
    jobs.

    Raises:
        ConfigError: a key has an interval, of which there are no combinations.
    """
    for key, override in swept.items():
        if not override.is_discrete_sweep():
            raise ConfigError(
                f"{key}={override.get_value_string()}: a grid takes values (a,b or range(3)), no "
                "interval."
            )
    axes = [
        [f"{o.get_key_element()}={value}" for value in o.sweep_string_iterator()]
        for o in swept.values()
    ]
    return [list(values) for values in product(*axes)]


def corners(swept: Mapping[str, Override]) -> tuple[list[str], list[str]]:
    """Two jobs that have no value in common: the first value of each key, and the last."""
    first, last = [], []
    for override in swept.values():
        space = override.value()
        ends = (
            [space.start, space.end]
            if isinstance(space, IntervalSweep)
            else list(override.sweep_string_iterator())
        )
        first.append(f"{override.get_key_element()}={ends[0]}")
        last.append(f"{override.get_key_element()}={ends[-1]}")
    return first, last
