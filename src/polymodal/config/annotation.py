"""What an annotation in a source file means as a type of values in a config, as far as no import is
needed.
"""

from __future__ import annotations

import ast
import builtins
import collections.abc
import typing
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import ConfigDict, PlainValidator, Strict, TypeAdapter
from pydantic_core import PydanticCustomError

import polymodal.types

IsClass = Callable[[str], bool]

NAMES: dict[str, Any] = {
    **{name: getattr(builtins, name) for name in ("str", "bool", "list", "tuple", "dict", "set")},
    **{
        name: getattr(typing, name)
        for name in ("Any", "Optional", "Union", "Literal", "List", "Tuple", "Dict")
    },
    **{name: getattr(collections.abc, name) for name in ("Sequence", "Iterable", "Mapping")},
    **{
        name: value
        for name, value in vars(polymodal.types).items()
        if typing.get_origin(value) is typing.Annotated
    },
    "int": polymodal.types.Integer,
    "float": polymodal.types.Finite,
    "Path": str,
}
NOT_IN_YAML = {"Tensor", "timedelta", "ndarray"}
"""Types of which a config file can hold no value: in a union, the others decide."""
LISTS_IN_YAML = (tuple, set, typing.Tuple)  # noqa: UP006  (as written in older sources)
"""Types that a config file writes as lists."""


def adapter(expected: Any) -> TypeAdapter[Any]:
    """Checks values strictly: 64.0 and true are no integers, in a list neither; a list may stand
    for a tuple.
    """
    return TypeAdapter(expected, config=ConfigDict(strict=True))


def type_of(node: ast.expr | None, is_class: IsClass) -> Any:
    """What an annotation means; `Any` where only an import could say it.

    Args:
        node: the annotation.
        is_class: whether a name in the same file is a class, so that a config can only hold a node
            for it.
    """
    if node is None:
        return Any
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return type_of(ast.parse(node.value, mode="eval").body, is_class)
        return type(None) if node.value is None else Any
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([node.left, node.right], is_class)
    if isinstance(node, ast.Subscript):
        return _subscript(node, is_class)
    known = _known(node)
    if known is None:
        return _part(node.id, is_class) if isinstance(node, ast.Name) else Any
    return Annotated[known, Strict(False)] if known in LISTS_IN_YAML else known


def _known(node: ast.expr) -> Any:
    return NAMES.get(ast.unparse(node).rpartition(".")[2])


def _part(name: str, is_class: IsClass) -> Any:
    """A node with a `_target_`, if the name is a class. That is only looked up for a value that is
    no such node.
    """

    def check(value: Any) -> Any:
        is_node = isinstance(value, dict) and "_target_" in value
        if not is_node and is_class(name):
            raise PydanticCustomError("part", f"input should be a {name}, which a _target_ makes")
        return value

    return Annotated[Any, PlainValidator(check)]


def _subscript(node: ast.Subscript, is_class: IsClass) -> Any:
    outer = _known(node.value)
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if outer is typing.Optional:
        return _union([*inner, ast.Constant(None)], is_class)
    if outer is typing.Union:
        return _union(inner, is_class)
    if outer is typing.Literal:
        return typing.Literal[tuple(ast.literal_eval(element) for element in inner)]
    if outer is None:
        return Any
    elements = [
        ... if ast.unparse(element) == "..." else type_of(element, is_class) for element in inner
    ]
    kind = outer[tuple(elements)] if len(elements) > 1 else outer[elements[0]]
    return Annotated[kind, Strict(False)] if outer in LISTS_IN_YAML else kind


def _union(nodes: list[ast.expr], is_class: IsClass) -> Any:
    possible = [node for node in nodes if ast.unparse(node).rpartition(".")[2] not in NOT_IN_YAML]
    members = [type_of(node, is_class) for node in possible]
    return Any if Any in members or not members else typing.Union[tuple(members)]  # noqa: UP007  (built at run time)
