"""Errors that a person reads: what was given, what is allowed, what to type."""

from collections.abc import Sequence


class PolymodalError(Exception):
    """An error whose message is meant for the user; the command line shows it without a stack
    trace.
    """


class ConfigError(PolymodalError):
    """The configuration cannot work: an unknown name, a wrong type, two choices that exclude each
    other.
    """


class DataError(PolymodalError):
    """The data cannot be used: a file is missing or damaged, a split is empty, a caption has no
    text.
    """


class NumericError(PolymodalError, ValueError):
    """NaN or infinity where a metric would be made of it."""


class StorageError(PolymodalError):
    """A file of the run cannot be written."""


class ProcessError(PolymodalError):
    """A process of the run, one that trains or one that loads data, was killed from outside."""


class FollowedError(PolymodalError):
    """Another process of the run has failed first, and has shown its error."""


def named(names: Sequence[str], most: int = 12) -> str:
    """Names for a message, each in quotation marks, so that blanks and numbers are seen; the first
    ones of many.
    """
    more = len(names) - most
    return ", ".join(map(repr, names[:most])) + (f" and {more} more" if more > 0 else "")
