"""What a person types -> Hydra's grammar: any path and any text can be a value, without quotes for
Hydra.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from polymodal.config.command_line import home
from polymodal.config.messages import groups as groups_of_configs
from polymodal.config.messages import is_group
from polymodal.errors import ConfigError, PolymodalError
from polymodal.runs.repeat import options_of
from polymodal.runs.resume import find_run

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

FOR_ANY_RUN = ("devices", "precision")
"""Groups that only set arguments of the trainer: they can be chosen anew for a run that is stored
as plain values."""

SINGLE = re.compile(
    r"(data|fusion|missing|head|objective|optimizer|scheduler|trainer|devices|precision|encoder/.+)"
)
"""Groups of which one option is chosen: two would be merged into something that neither of them
is."""

PLAIN = re.compile(r"[A-Za-z0-9_./+-]*")
"""A value that Hydra takes as it stands, which most are: nothing has to be parsed."""

WITH_VALUE = {
    "--config-path",
    "-cp",
    "--config-name",
    "-cn",
    "--config-dir",
    "-cd",
    "--package",
    "-p",
    "--cfg",
    "-c",
}
WITH_VALUE |= {"--shell-completion", "-sc", "--info", "-i", "--experimental-rerun"}
SWEEP = {"-m", "--multirun"}
CLOSING = {"[": "]", "{": "}", "(": ")"}


def as_hydra_arguments(
    arguments: Sequence[str], stored: Sequence[str] = (), several: bool = False
) -> list[str]:
    """What a person types -> what Hydra takes.

    `key=value` becomes `++key=value`: any argument of a `_target_` can be given, whether its YAML
    file lists it or not, and the check that follows knows which exist. Values that Hydra's grammar
    has no place for are quoted, and `~/` is the home. `repeat=<run folder>` becomes the options
    that load its config; `resume=<run folder>` too, and the run's folder is that one.

    Args:
        arguments: of the command line.
        stored: they change the stored config of a run, of which these groups can be chosen anew.
        several: `a,b` are two values, of two jobs of a sweep; else it is one text. With `-m` it is
            so anyway.

    Raises:
        ConfigError: a group is given what is no option, or a folder holds no run.
    """
    # a run that is resumed has its config: only what changes it is given
    resumed = [a.removeprefix("resume=") for a in arguments if a.startswith("resume=")]
    if resumed:
        return _resumed(home(resumed[-1]), [a for a in arguments if not a.startswith("resume=")])

    # the options of a repeated run come first, so that what is typed replaces them
    several = several or bool(SWEEP & set(arguments))
    repeated = [home(a.removeprefix("repeat=")) for a in arguments if a.startswith("repeat=")]
    for folder in repeated:
        if not (Path(folder) / "config.yaml").is_file():
            raise PolymodalError(
                f"repeat={folder}: there is no config.yaml in this folder. Give the folder of a "
                "run."
            )
    result = [option for folder in repeated for option in options_of(Path(folder), arguments)]

    # Hydra wants `++` before a setting, and quotes around what is no plain word
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if argument.startswith("repeat="):
            continue
        key, equals, value = argument.partition("=")
        if not equals or before in WITH_VALUE or key[:1] in {"-", "~"}:
            result.append(argument)
        elif "/" in key or is_group(key.lstrip("+")):
            result.append(_group(argument, stored or FOR_ANY_RUN * bool(repeated), several))
        elif key.startswith("hydra"):
            result.append(f"{key}={as_value(value)}")
        else:
            result.append(
                f"{key if key.startswith('+') else f'++{key}'}={as_value(value, several)}"
            )
    return result


def _resumed(which: str, arguments: list[str]) -> list[str]:
    """The options that resume a run."""
    if SWEEP & set(arguments) or any(
        a.startswith(("repeat=", "hydra.run.dir=")) for a in arguments
    ):
        raise ConfigError(
            "resume= continues one run, in its own folder: leave -m, repeat= and hydra.run.dir= "
            "out."
        )
    experiment = next((a.partition("=")[2] for a in arguments if a.startswith("experiment=")), None)
    folder = find_run(which, experiment)
    changes = as_hydra_arguments(
        [a for a in arguments if not a.startswith("experiment=")], FOR_ANY_RUN
    )
    own = [f"hydra.run.dir={quoted(folder)}", f"++resume={quoted(folder)}"]
    return [*options_of(folder, arguments), *changes, *own]


def _group(argument: str, stored: Sequence[str], several: bool) -> str:
    """`group=option`; nothing at all (`null`, `[]`) is the option `none`, where a group has it."""
    key, _, option = argument.partition("=")
    if key.startswith("+"):  # of Hydra's own grammar
        return f"{key}={_option(argument, option, several)}"
    if stored and key not in stored:
        groups = " and ".join(f"{group}=" for group in stored)
        raise ConfigError(
            f"{argument}: a stored run takes key=value, {groups}. For other parts start a new run."
        )
    if option.lower() in {"null", "[]", ""}:
        options = groups_of_configs().get(key, [])
        if "none" not in options:
            raise ConfigError(f"{argument}: one of these is needed: {', '.join(options)}.")
        option = "none"
    return f"{'+' if stored else ''}{key}={_option(argument, option, several)}"


def _option(argument: str, option: str, several: bool) -> str:
    """Refuses for a group what can be no name of an option, and two names where one part is
    chosen.
    """
    from hydra.core.override_parser.types import Glob, QuotedString

    # what a message says there is
    key = argument.partition("=")[0].lstrip("+").partition("@")[0]
    options = ", ".join(groups_of_configs().get(key, []))
    choices = f"It is one of: {options}." if options else "Give the name of an option."
    if "${" in option:
        raise ConfigError(f"{argument}: this is no name of an option. {choices}")

    # several options are a sweep, and only with -m
    parsed = _parsed(option)
    if parsed is None:
        return as_value(option, several)  # Hydra says that there is no such option
    if parsed.is_sweep_override():
        if not several:
            example = f", or {key}=[{option}] for all of them at once" * (not SINGLE.fullmatch(key))
            raise ConfigError(f"{argument}: several options are a sweep: add -m{example}.")
        if isinstance(parsed.value(), Glob):
            return option
        values = list(getattr(parsed.value(), "list", [None]))  # a range has numbers
    else:
        values = [parsed.value()]

    # one name for one part
    for value in values:
        names = value if isinstance(value, list) else [value]
        if not all(isinstance(name, str | QuotedString) for name in names):
            raise ConfigError(f"{argument}: this is no name of an option. {choices}")
        if len(names) > 1 and SINGLE.fullmatch(key):
            raise ConfigError(f"{argument}: one option is chosen, not {len(names)}. {choices}")
    return option


def as_value(text: str, several: bool = False) -> str:
    """A value in Hydra's grammar. What follows it is left as it is, anything else is text and is
    quoted.

    Args:
        text: numbers, lists, `{key: value}`, `${references}`, `"quoted"`, sweeps; or a path or text
            of any signs.
        several: `a,b` are two values.
    """
    text = home(text)
    if PLAIN.fullmatch(text):
        return text
    parsed = _parsed(text)
    if parsed is not None:
        joined = parsed.is_choice_sweep() and getattr(parsed.value(), "simple_form", False)
        return quoted(text) if joined and not several else text
    if several and len(parts := split_at_commas(text)) > 1:
        return ",".join(as_value(part.strip()) for part in parts)
    if text[0] in "[{" and _closes_at_its_end(text):
        return _container(text)
    return quoted(text)


def _container(text: str) -> str:
    """A list or `{key: value}` some of whose values are to be quoted."""
    parts = [part.strip() for part in split_at_commas(text[1:-1])]
    if text[0] == "[":
        return f"[{','.join(as_value(part) for part in parts)}]"
    pairs = [part.partition(":") for part in parts]
    if not all(colon for _, colon, _ in pairs):
        return quoted(text)  # such as a pattern of names: {0..3}
    return f"{{{','.join(f'{key}:{as_value(value.strip())}' for key, _, value in pairs)}}}"


def quoted(value: object) -> str:
    """A value for Hydra's grammar, whatever signs it holds."""
    # late: scripts without Hydra's start are quick
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(str(value), Quote.double).with_quotes()


def _parsed(value: str) -> Override | None:
    """What Hydra's grammar makes of a value; None where the value does not follow it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(f"key={value}")
    except HydraException:
        return None


def split_at_commas(text: str) -> list[str]:
    """Parts between the commas that stand outside of brackets and quotes. A quote opens at the
    start of a part only.
    """
    parts, start, closing, quote = [], 0, "", ""
    for index, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote and text[index - 1] != "\\" else quote
        elif sign in "\"'" and text[:index].rstrip()[-1:] in {"", ",", ":", "[", "{", "("}:
            quote = sign
        elif sign in CLOSING:
            closing = CLOSING[sign] + closing
        elif closing and sign == closing[0]:
            closing = closing[1:]
        elif sign == "," and not closing:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _closes_at_its_end(text: str) -> bool:
    """Whether the bracket that a text begins with is closed by its last sign: not so in `[a]/b` and
    in `{a}.tar`.
    """
    closing = ""
    for index, sign in enumerate(text):
        if sign in CLOSING:
            closing = CLOSING[sign] + closing
        elif closing and sign == closing[0]:
            closing = closing[1:]
        if not closing:
            return index == len(text) - 1
    return False
