"""Files of an archive as a data set holds them: each whole or not at all, and none made twice."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
from PIL import Image, ImageOps
from pyarrow import parquet
from rich.progress import track

from polymodal.data.media.images import MAX_PIXELS
from polymodal.data.media.svg import render_svg
from polymodal.errors import ConfigError
from polymodal.files import replacing


class UnreadableError(Exception):
    """A file that is left out; says which, and why."""


def converted(
    title: str, jobs: list[tuple[Path, Path]], convert: Callable[[Path, Path], None]
) -> set[Path]:
    """Makes each target from its source where it is not there yet; gives the targets that cannot be
    made.
    """

    def run(job: tuple[Path, Path]) -> bool:
        source, target = job
        if target.exists():
            return True
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"part_{target.name}")
        try:
            convert(source, part)
        except UnreadableError as problem:
            part.unlink(missing_ok=True)
            print(f"left out: {problem}")
            return False
        part.rename(target)
        return True

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        done: Iterable[bool] = track(threads.map(run, jobs), title, len(jobs), transient=True)
        return {target for (_, target), good in zip(jobs, done, strict=True) if not good}


def square(source: Path, target: Path, size: int) -> None:
    """A PNG or SVG drawing -> size x size PNG: all of it, in the middle, on white.

    Raises:
        UnreadableError: it is damaged or too large.
    """
    try:
        drawn = source.suffix == ".svg"
        with (
            render_svg(source, 2 * size, str(source), whole=True)
            if drawn
            else Image.open(source) as image
        ):
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableError(f"{source} has {image.width} x {image.height} pixels.")
            drawing = image.convert("RGBA")
    except UnreadableError:
        raise
    except (
        ConfigError
    ) as error:  # there is no renderer: the set would be another one without its drawings
        sys.exit(f"error: {error}")
    except Exception as error:  # decoders raise whatever their formats suggest
        raise UnreadableError(f"{source} is damaged or no picture: {error}") from error
    white = Image.new("RGBA", drawing.size, "white")
    picture = Image.alpha_composite(white, drawing).convert("RGB")
    ImageOps.pad(picture, (size, size), Image.Resampling.BICUBIC, "white").save(target, "PNG")


def write(table: pa.Table, file: Path) -> None:
    """A Parquet file, whole or not at all."""
    with replacing(file) as part:
        parquet.write_table(table, part)
