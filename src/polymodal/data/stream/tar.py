"""Tar files of samples, as the webdataset library and img2dataset write them."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import IO, Any

import fsspec
from braceexpand import braceexpand
from webdataset.tariterators import base_plus_ext

from polymodal.addresses import shown
from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.loading.hidden import is_hidden_path
from polymodal.data.stream.records import Entry, Record, number_of
from polymodal.errors import ConfigError

BROKEN = (
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    ValueError,
    RecursionError,
)
"""What reading raises where an archive, or the file that it is packed into, is damaged."""

MAX_BYTES = 2**30
"""A larger field is refused: a few bytes may unpack to that many."""

MAX_HEADER = 2**18
"""Bytes of a long name, or of what else stands before a member in its own words (pax), all of which
is kept."""


HEADERS = {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}
HEADERS |= {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}


class TarShards:
    """Samples of tar files, plain or compressed. Members `00012.jpg` and `00012.txt`, side by side,
    are one sample.

    Members are read into memory and nowhere else; neither a decoder nor a command of theirs is run.
    What is not wanted is not read: in a local plain file it is jumped over.

    Args:
        urls: paths, or URLs that fsspec opens.
        fields: endings that are read, in small letters; the others of a sample are only named. None
            for all of them.
        options: of fsspec, for URLs.
    """

    def __init__(
        self,
        urls: Sequence[str],
        fields: set[str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.urls, self.fields, self.options = urls, fields, options or {}

    def name(self, shard: int) -> str:
        """Its path, or its URL without secrets."""
        return shown(self.urls[shard])

    def entries(self, shard: int) -> Iterator[Entry]:
        """The samples of a shard.

        Raises:
            BadSampleError: it is missing, is no tar file, or ends before its end.
        """
        try:
            with _opened(self.urls[shard], self.options) as tar:
                for position, (key, members) in enumerate(
                    groupby(_files(tar), key=lambda file: file[0])
                ):
                    name = f"{self.name(shard)}, {key}"
                    load = partial(self._load, tar, members, number_of(shard, position), name, key)
                    yield (entry := Entry(name, key, load))
                    if (
                        isinstance(entry.loaded, BadSampleError)
                        and entry.loaded.reason == "damaged shard"
                    ):
                        raise entry.loaded  # nothing can follow
        except FileNotFoundError as error:
            raise BadSampleError("missing file", "there is no such file.") from error
        except BROKEN as error:
            # further lines name each format that it is not
            reason = str(error).partition("\n")[0].rstrip(":")
            raise BadSampleError(
                "damaged shard", f"it cannot be read on: {shown(reason)}"
            ) from error

    def _load(
        self, tar: tarfile.TarFile, members: Iterator[Any], number: int, name: str, key: str
    ) -> Record:
        if PurePosixPath(key).is_absolute() or ".." in PurePosixPath(key).parts:
            raise BadSampleError("bad name", "it lies outside of the shard.")
        fields: dict[str, bytes | None] = {}
        try:
            for _, field, member in members:
                if field in fields:
                    raise BadSampleError("bad name", f"there are two members {field}.")
                is_read = self.fields is None or field in self.fields
                if is_read and member.size > MAX_BYTES:
                    raise BadSampleError("too large", f"{field} has {member.size} bytes.")
                fields[field] = tar.extractfile(member).read() if is_read else None  # type: ignore[union-attr]
        except BROKEN as error:
            raise BadSampleError("damaged shard", f"it cannot be read on: {error}") from error
        return Record(number, name, key, fields)


class _WholeTar(tarfile.TarInfo):
    """A header; where there is none although the archive has not ended, that is no end but an
    error.

    So is one of more than `MAX_HEADER`.
    """

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> _WholeTar:
        if bytes(buf) == bytes(tarfile.BLOCKSIZE):
            return super().frombuf(buf, encoding, errors)  # the mark of the end
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error}, where a member or the end should be") from error

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in HEADERS and self.size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes; {MAX_HEADER:,} are allowed")
        return super()._proc_member(tar)  # type: ignore[misc]

    def _block(self, count: int) -> int:
        if count < 0:  # older versions of Python would read the same header for ever
            raise tarfile.ReadError("a member of a negative size")
        return super()._block(count)  # type: ignore[misc]


@contextmanager
def _opened(url: str, options: Mapping[str, Any]) -> Iterator[tarfile.TarFile]:
    local = "://" not in url
    stream: IO[bytes]
    with (
        Path(url).open("rb") if local else fsspec.open(url, "rb", **options) as stream,
        tarfile.open(fileobj=stream, mode="r:*" if local else "r|*", tarinfo=_WholeTar) as tar,
    ):
        yield tar


def _files(tar: tarfile.TarFile) -> Iterator[tuple[str, str, tarfile.TarInfo]]:
    """Key, ending and header of each regular file with an ending; hidden ones may stand between
    others.
    """
    for member in tar:
        tar.members, tar.pax_headers = [], {}  # type: ignore[attr-defined]  # it would keep all headers
        key, field = base_plus_ext(member.name)
        if member.isreg() and key is not None and not is_hidden_path(member.name):
            yield key, field.lower(), member


def expanded(path: str | Sequence[str]) -> list[str]:
    """`shards/{000..127}.tar`, or several such patterns -> a path or URL each.

    Raises:
        ConfigError: it is a command, or there is nothing.
    """
    patterns = [path] if isinstance(path, str) else list(path)
    urls = [url for pattern in patterns for url in braceexpand(pattern)]
    if commands := [url for url in urls if url.startswith("pipe:")]:
        raise ConfigError(
            f"data.path={commands[0]}: no command is run to get data. Give a file or a URL."
        )
    if not urls:
        raise ConfigError("data.path names no shard. Such as: data.path='shards/{000..127}.tar'")
    return urls


def not_there(urls: Sequence[str]) -> list[str]:
    """Those of `expanded` that are paths without a file; whether a URL can be read is seen when it
    is.
    """
    return [url for url in urls if "://" not in url and not Path(url).is_file()]
