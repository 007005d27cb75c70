"""What a `_target_` accepts, read from its source file: nothing is imported, so torch's seconds are
not spent.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from polymodal.errors import ConfigError, did_you_mean

Definition = ast.ClassDef | ast.FunctionDef
SPECIAL: dict[str, typing.Any] = {
    "_target_": str,
    "_partial_": bool,
    "_convert_": typing.Literal["none", "partial", "object", "all"],
    "_recursive_": bool,
    "_args_": list[typing.Any],
}
"""Keys of a node that are no arguments, and what they can be."""


@dataclass(frozen=True)
class Signature:
    """Parameters of a class or function.

    Attributes:
        types: name -> what the annotation means, `Any` where that cannot be told without importing.
        required: names without a default.
        open: whether any further keyword is taken.
    """

    types: dict[str, Any]
    required: frozenset[str]
    open: bool


@cache
def find_signature(target: str) -> Signature:
    """The signature of `package.module.Name`.

    Raises:
        ConfigError: there is no such package, module or name; says the nearest one.
    """
    file, definition = find_definition(target)
    return _signature(file, definition, target)


def find_definition(target: str) -> tuple[Path, Definition]:
    """The file and the class or function that `package.module.Name` leads to.

    Raises:
        ConfigError: there is none; says the nearest name.
    """
    module, _, name = target.rpartition(".")
    return _find(module, name, target)


def _find(module: str, name: str, target: str) -> tuple[Path, Definition]:
    """The definition that `from module import name` leads to, through re-exports."""
    file = _module_file(module, target)
    statements = list(_statements(_parse(file).body))
    for statement in reversed(statements):  # the last definition counts, as in Python
        if isinstance(statement, Definition) and statement.name == name:
            return file, statement
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    return _find(_absolute(statement, module, file), alias.name, target)
    for star in (s for s in statements if isinstance(s, ast.ImportFrom) and s.names[0].name == "*"):
        try:
            return _find(_absolute(star, module, file), name, target)
        except ConfigError:
            continue
    names = [statement.name for statement in statements if isinstance(statement, Definition)]
    imported = [
        a.asname or a.name for s in statements if isinstance(s, ast.ImportFrom) for a in s.names
    ]
    raise ConfigError(
        f"_target_={target}: {module} has no {name}.{did_you_mean(name, names + imported)}"
    )


def _module_file(module: str, target: str) -> Path:
    first, *rest = module.split(".")
    spec = importlib.util.find_spec(first) if first else None
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"_target_={target}: there is no package {first or target!r}. Write "
            "package.module.Name."
        )
    folder = Path(spec.submodule_search_locations[0])
    for index, part in enumerate(rest):
        if (folder / part).is_dir():
            folder = folder / part
        elif (folder / f"{part}.py").is_file() and index == len(rest) - 1:
            return folder / f"{part}.py"
        else:
            names = [f.stem for f in folder.iterdir() if f.suffix == ".py" or f.is_dir()]
            where = ".".join([first, *rest[:index]])
            raise ConfigError(
                f"_target_={target}: {where} has no module {part!r}.{did_you_mean(part, names)}"
            )
    return folder / "__init__.py"


@cache
def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module, those under `if` and `try` too."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try):
            yield from _statements(statement.body)
            yield from _statements(statement.orelse)


def _absolute(statement: ast.ImportFrom, module: str, file: Path) -> str:
    if not statement.level:
        return statement.module or ""
    parts = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    parts = parts[: len(parts) - statement.level + 1]
    return ".".join([*parts, *([statement.module] if statement.module else [])])


def _signature(file: Path, definition: Definition, target: str) -> Signature:
    if isinstance(definition, ast.FunctionDef):
        return _of_arguments(definition.args, file, skip_first=False)
    for member in reversed(definition.body):
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            own = _of_arguments(member.args, file, skip_first=True)
            call = _handing_on(member)
            return own if call is None else _joined(own, _of_base(file, definition, target), call)
    return _of_base(file, definition, target)  # no constructor of its own


def _of_base(file: Path, definition: ast.ClassDef, target: str) -> Signature:
    """What the first base takes."""
    for base in definition.bases:
        name = ast.unparse(base).split("[")[0]
        try:
            return _signature(*_find(module_of(file), name, target), target)
        # a base that cannot be read, such as one written in C: it may take anything
        except ConfigError:
            return Signature({}, frozenset(), open=True)
    return Signature({}, frozenset(), open=False)


def _handing_on(constructor: ast.FunctionDef) -> ast.Call | None:
    """The call `super().__init__(..., **options)`, if that is where the constructor's own
    `**options` go.
    """
    for node in ast.walk(constructor):
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "super().__init__"
            and constructor.args.kwarg
        ):
            rest = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg is None]
            if rest == [constructor.args.kwarg.arg]:
                return node
    return None


def _joined(own: Signature, base: Signature, call: ast.Call) -> Signature:
    """A class's own arguments, and those of its base that the call leaves open."""
    given = {*list(base.types)[: len(call.args)], *(keyword.arg for keyword in call.keywords)}
    inherited = {name: kind for name, kind in base.types.items() if name not in given}
    # own arguments come first: a call by position means those
    return Signature({**own.types, **inherited}, own.required | (base.required - given), base.open)


def module_of(file: Path) -> str:
    """The dotted name of a source file's module."""
    parts = [] if file.name == "__init__.py" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)


def _of_arguments(arguments: ast.arguments, file: Path, skip_first: bool) -> Signature:
    # pydantic: help and completion do not wait for it
    from polymodal.config.annotation import type_of

    positional = [*arguments.posonlyargs, *arguments.args]
    without_default = len(positional) - len(arguments.defaults)
    required = {argument.arg for argument in positional[:without_default]}
    required |= {
        a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is None
    }
    named = [*positional[skip_first:], *arguments.kwonlyargs]
    types = {
        argument.arg: type_of(argument.annotation, partial(is_class, file)) for argument in named
    }
    defaults = dict(
        zip([a.arg for a in positional][without_default:], arguments.defaults, strict=True)
    )
    defaults |= {
        a.arg: d
        for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if d is not None
    }
    for name, default in defaults.items():
        if name in types and isinstance(default, ast.Constant) and default.value is None:
            types[name] = types[name] | None  # in older sources the annotation does not say so
    return Signature(types, frozenset(required & types.keys()), arguments.kwarg is not None)


def is_class(file: Path, name: str) -> bool:
    """Whether a name in a source file leads to a class of which a config can only hold a node with
    a `_target_`.
    """
    try:
        _, definition = _find(module_of(file), name, name)
    except ConfigError:
        return False
    of_values = {
        "Enum",
        "TypedDict",
        "NamedTuple",
        "Protocol",
        "str",
        "int",
        "float",
        "dict",
        "list",
        "tuple",
    }
    return isinstance(definition, ast.ClassDef) and not any(
        of_values & set(re.split(r"\W", ast.unparse(base))) or "Enum" in ast.unparse(base)
        for base in definition.bases
    )
