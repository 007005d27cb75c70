"""What a shell makes of a command before any program sees it: `~`, and words that it has taken
apart.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

from polymodal.config.environment import is_first_process
from polymodal.config.messages import is_group
from polymodal.errors import ConfigError, did_you_mean

NOT_OF_THE_USER = ("++run_dir=", "++resume=", "hydra.")
"""What a run, and Lightning, add to the command of further processes, where it counts more than
what is there."""

PLACES = ("path", "checkpoint", "output", "index")
"""Settings that name files, whatever they look like."""

JOINED = ("metrics", "callbacks", "logger")
"""Groups of which several options take part."""


def home(text: str) -> str:
    """`~` and `~/...` with the home folder in its place: after `key=` most shells leave it
    alone.
    """
    whole = re.match(r"~[\w.-]*(/|$)", text)
    return os.path.expanduser(text) if whole else text  # noqa: PTH111  (it leaves the home of nobody alone)


def check_words(arguments: Sequence[str], with_value: Iterable[str] = ()) -> None:
    """Refuses a word that is neither key=value nor an option: most often a shell has taken a value
    apart.

    Args:
        arguments: of the command line.
        with_value: options whose value is the next word.

    Raises:
        ConfigError: names the word, or the key that has two values.
    """
    for before, argument in zip(["", *arguments], arguments, strict=False):
        key = argument.lstrip("+~").partition("=")[0]
        if key and ("=" in argument or argument[:1] in {"-", "~"} or before in with_value):
            continue
        whole = (
            f" Quote what belongs together: '{before} {argument}'"
            if "=" in before
            else " --help lists them."
        )
        raise ConfigError(f"{argument}: arguments are key=value.{whole}")
    check_given_once(arguments)


def check_options(arguments: Sequence[str]) -> None:
    """Refuses an option that Hydra does not have, or that lacks its value.

    Args:
        arguments: of the command line of train.py.

    Raises:
        ConfigError: names the nearest option.
    """
    from hydra._internal.utils import get_args_parser  # late: not every program is one of Hydra's

    def refuse(message: str) -> NoReturn:
        raise ConfigError(f"{message}. --help lists what there is.")

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    options, others = parser.parse_known_args(arguments)
    for other in others:
        if other.startswith("-"):
            known = [name for action in parser._actions for name in action.option_strings]
            raise ConfigError(
                f"There is no option {other}.{did_you_mean(other.partition('=')[0], known)}"
            )
    if options.multirun and (options.cfg or options.info or options.run):
        raise ConfigError("-m starts a sweep: leave --cfg, --info and --run out.")
    if options.experimental_rerun:
        raise ConfigError(
            "--experimental-rerun reads a pickle, which can run code. Use repeat=<run folder>."
        )


def check_no_run_dir(arguments: Sequence[str], setting: str = "hydra.run.dir") -> None:
    """Refuses the folder where a run writes, given by the name that other programs have for it.

    Raises:
        ConfigError: says how it is chosen here.
    """
    for argument in arguments:
        key, equals, folder = argument.removeprefix("+").partition("=")
        if equals and key == "run_dir":
            raise ConfigError(f"{argument}: the folder is chosen by {setting}={folder}")


def in_order(arguments: Sequence[str], with_value: Iterable[str] = ()) -> list[str]:
    """Options and their values behind all other words: `a=1 -m b=2` is an error to argparse."""
    words: list[str] = []
    options: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        (options if argument.startswith("-") or before in with_value else words).append(argument)
    return [*words, *options]


def check_given_once(arguments: Sequence[str]) -> None:
    """Refuses the words that a shell makes of a pattern which is not quoted: a key with several
    paths or numbers.

    A script may append a setting to others: of several plain values the last one counts, and that
    is said.

    Raises:
        ConfigError: names the key and its values.
    """
    given: dict[str, list[tuple[int, str]]] = {}
    for place, argument in enumerate(arguments):
        key, equals, value = argument.partition("=")
        if equals and not key.startswith("-") and not argument.startswith(NOT_OF_THE_USER):
            given.setdefault(key.lstrip("+"), []).append((place, value))
    for key, found in given.items():
        values = [value for _, value in found]
        if len(set(values)) == 1:
            continue
        side_by_side = found[-1][0] - found[0][0] == len(found) - 1
        times = f"{key}= is given {len(values)} times"
        is_place = key.rpartition(".")[2] in PLACES or _are_paths(values)
        if is_place or _are_names(key, values) or (side_by_side and _are_counted(values)):
            raise ConfigError(f"{times}, as {_short(values)}. {_hint(key, values)}")
        if is_first_process():
            print(f"{times}: the last one counts, {values[-1]}.", file=sys.stderr)


def _are_paths(values: Sequence[str]) -> bool:
    return all("/" in value or re.search(r"\.[A-Za-z]\w*$", value) for value in values)


def _are_names(key: str, values: Sequence[str]) -> bool:
    """Whether they are options that could take part together."""
    return key in JOINED and is_group(key) and all(re.fullmatch(r"\w+", value) for value in values)


def _are_counted(values: Sequence[str]) -> bool:
    """Whether they are numbers that follow each other, as `{0..3}` gives them."""
    if not all(value.isdecimal() for value in values):
        return False
    numbers = [int(value) for value in values]
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _short(values: Sequence[str]) -> str:
    names = list(dict.fromkeys(values))
    return " and ".join(names) if len(names) <= 2 else f"{names[0]}, {names[1]}, ... {names[-1]}"


def _hint(key: str, values: Sequence[str]) -> str:
    """What to type instead: all options of a group, the pattern that a shell took apart, or one
    value.
    """
    names = list(dict.fromkeys(values))
    if key in JOINED and is_group(key):
        return f"For all of them: {key}=[{','.join(names)}]"
    return (
        f"If a shell has taken a pattern apart, quote it: '{key}={_pattern(names)}'. Else give it "
        "once."
    )


def _pattern(names: Sequence[str]) -> str:
    """`{first..last}` or `{a,b}` between what all names have in common."""
    start = os.path.commonprefix(names)
    end = os.path.commonprefix([name[len(start) :][::-1] for name in names])[::-1]
    middles = [name[len(start) : len(name) - len(end)] for name in names]
    if all(middle.isdecimal() for middle in middles):
        bare = start.rstrip("0123456789")  # a digit that all numbers share is one of theirs
        shared = start[len(bare) :]
        return f"{bare}{{{shared}{middles[0]}..{shared}{middles[-1]}}}{end}"
    shown = middles if len(middles) <= 4 else [*middles[:2], "..."]
    return f"{start}{{{','.join(shown)}}}{end}"
