"""Drawings in SVG as pixels, without harm from what is in them."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import zlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.media import svg_child
from polymodal.errors import ConfigError

MAX_BYTES = 20_000_000
"""A larger drawing is refused, before it is unpacked further."""

PATIENCE = 120
"""Seconds of the clock that a drawing may take: for machines without a limit of the processor's
time."""


def is_svg(source: Path | bytes) -> bool:
    """Whether a file is a drawing by its name, or bytes by how they begin."""
    if isinstance(source, Path):
        return source.suffix.lower() in {".svg", ".svgz"}
    start = source[:1000].lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"<") and (b"<svg" in source[:20_000] or b":svg" in source[:20_000])


def render_svg(source: Path | bytes, size: int, name: str, whole: bool = False) -> Image.Image:
    """The middle square, or a square with the `whole` drawing, on white and `size` pixels wide
    (resvg, in `resvg_py`).

    Nothing outside of the drawing is read: references to other files and addresses are dropped.
    Text is drawn in DejaVu Sans, on every machine. A process of its own renders
    (`polymodal.data.media.svg_child`), in 5 seconds and 2 GB at most: a line of text may ask for
    hours, and what renders it can neither be interrupted nor be limited from within.

    Args:
        source: an .svg or .svgz file, or what is in it.
        size: side of the result in pixels.
        name: what messages call it.
        whole: nothing is cut off.

    Raises:
        ConfigError: resvg_py is not installed.
        BadSampleError: it is no SVG, is damaged, or is too large.
    """
    if find_spec("resvg_py") is None:
        raise ConfigError(
            f"{name} is an SVG drawing, which resvg_py renders: pip install 'polymodal[svg]'"
        )
    try:
        content = _content(source, name)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(name, str(error)) from error
    limits = (str(svg_child.SECONDS), str(svg_child.MEMORY))
    words = [_font(), os.pathsep.join(sys.path), str(size), "meet" if whole else "slice", *limits]
    command = [sys.executable, "-I", "-S", svg_child.__file__, *words]
    try:
        # a session of its own: Ctrl-C is for this process, which may want to end its step
        done = subprocess.run(
            command, input=content, capture_output=True, timeout=PATIENCE, start_new_session=True
        )
    except subprocess.TimeoutExpired as error:
        raise BadSampleError(
            "too large", f"{name}: it takes more than {PATIENCE} seconds to be drawn."
        ) from error
    message = done.stderr.decode(errors="replace").strip()
    if done.returncode == svg_child.TOO_LARGE:
        raise BadSampleError("too large", f"{name}: {message}.")
    if done.returncode < 0:  # ended by a limit
        seconds, memory = svg_child.SECONDS, svg_child.MEMORY // 2**30
        raise BadSampleError(
            "too large", f"{name}: it takes more than {seconds} seconds or {memory} GB to be drawn."
        )
    if done.returncode:
        raise _damaged(name, message[-300:])
    return Image.open(io.BytesIO(done.stdout))


def _damaged(name: str, reason: str) -> BadSampleError:
    return BadSampleError("damaged file", f"{name} is damaged or no SVG drawing: {reason}")


def _content(source: Path | bytes, name: str) -> bytes:
    """The text of a drawing, unpacked where it is compressed."""
    packed = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    with packed:
        content = packed.read(MAX_BYTES + 1)
    if content.startswith(b"\x1f\x8b"):
        with gzip.open(io.BytesIO(content)) as stream:
            content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise BadSampleError("too large", f"{name} has more than {MAX_BYTES // 10**6} MB of SVG.")
    return content


@cache
def _font() -> str:
    """One font for every family, so that text looks the same on all machines."""
    import matplotlib  # here, since few drawings are read

    return str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
