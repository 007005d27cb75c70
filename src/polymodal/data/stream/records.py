"""Samples of a stream before anything is decoded: fields of bytes, text and numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from polymodal.data.loading.bad_samples import BadSampleError


@dataclass
class Record:
    """The fields of one sample.

    Attributes:
        number: of its own in the whole data set, below 2^48; the same wherever the sample is read.
        name: how messages call it.
        key: its name in its shard.
        fields: name -> bytes, a path, text, a number, a list or a mapping; None where it was not
            read.
    """

    number: int
    name: str
    key: str
    fields: Mapping[str, Any]
    parsed: dict[str, Any] = field(default_factory=dict)

    def find(self, names: str) -> tuple[str, Any] | None:
        """The first field of several that is there, and what it holds; NaN is nothing.

        Args:
            names: with ";" between them. `json.caption` is a field of this name, or the key of a
                mapping or of JSON.

        Raises:
            BadSampleError: a field is no JSON.
        """
        for name in names.split(";"):
            outer, *path = name.split(".")
            value = self.fields.get(name)
            if value is None and path:
                value = self.mapping(outer)
                for part in path:
                    value = value.get(part) if isinstance(value, Mapping) else None
            if value is not None and not (isinstance(value, float) and math.isnan(value)):
                return name, value
        return None

    def names(self) -> list[str]:
        """All names that `find` knows, but for what is deeper than a key of a field."""
        try:
            inner = [
                f"{name}.{key}" for name in self.fields for key in self.mapping(name, "json") or {}
            ]
        except BadSampleError:
            inner = []
        return [*self.fields, *inner]

    def mapping(self, name: str, *only: str) -> Any:
        """What a field holds that is a mapping, or JSON of one; else None.

        Args:
            name: of the field.
            only: the fields whose text or bytes may be JSON; all of them, if none is given.

        Raises:
            BadSampleError: it is no JSON.
        """
        value = self.fields.get(name)
        if not isinstance(value, bytes | str) or (only and name not in only):
            return value if isinstance(value, Mapping) else None
        if name not in self.parsed:
            try:
                self.parsed[name] = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise BadSampleError("bad value", f"{name} is no JSON: {error}") from error
        return self.parsed[name] if isinstance(self.parsed[name], Mapping) else None


class Entry:
    """A sample that is there, read when it is asked for, and before the next one is.

    Args:
        name: how messages call it.
        key: its name in its shard.
        load: reads it.
    """

    def __init__(self, name: str, key: str, load: Callable[[], Record]) -> None:
        self.name, self.key, self.load = name, key, load
        self.loaded: Record | BadSampleError | None = None

    @property
    def record(self) -> Record:
        """The record; it is read once.

        Raises:
            BadSampleError: it cannot be used.
        """
        if self.loaded is None:
            try:
                self.loaded = self.load()
            except BadSampleError as error:
                self.loaded = error
        if isinstance(self.loaded, BadSampleError):
            raise self.loaded
        return self.loaded


class Source(Protocol):
    """Shards, each a stream of samples in an order that never changes."""

    def name(self, shard: int) -> str:
        """How messages call a shard."""

    def entries(self, shard: int) -> Iterator[Entry]:
        """The samples of a shard.

        Raises:
            BadSampleError: it is missing, or damaged from some place on.
        """


def number_of(shard: int, position: int) -> int:
    """The number of a sample by its place: up to 2^16 shards of 2^32 samples."""
    return shard << 32 | position


def place_of(number: int) -> tuple[int, int]:
    """The shard and the position in it of a sample's number."""
    return number >> 32, number & (1 << 32) - 1
