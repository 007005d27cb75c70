"""Errors that a person reads: what was given, what is allowed, what to type."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


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


def did_you_mean(
    name: str,
    names: Iterable[str],
    most: int = 3,
    all_of: int = 30,
    quoted: bool = False,
    cutoff: float = 0.6,
) -> str:
    """What a message adds to a wrong name: "Did you mean a or b?", or what there is instead.

    Args:
        name: what was given.
        names: what could have been meant; private ones are left out.
        most: how many of the closest are named.
        all_of: where none is close, all are named if they are no more than this.
        quoted: whether names may hold blanks.
        cutoff: how alike a name must be, from 0 to 1.

    Returns:
        the sentence with a blank before it; or nothing.
    """
    public = sorted({str(each) for each in names if not str(each).startswith(("_", "*"))})
    if close := get_close_matches(str(name), public, n=most, cutoff=cutoff):
        return f" Did you mean {' or '.join(map(repr, close) if quoted else close)}?"
    return f" There are: {', '.join(public)}." if 0 < len(public) <= all_of else ""
