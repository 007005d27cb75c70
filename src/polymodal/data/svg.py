"""Drawings in SVG as pixels, without harm from what is in them."""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import re
import threading
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from PIL import Image

from polymodal.data.skips import BadSampleError
from polymodal.errors import ConfigError

MAX_BYTES = 20_000_000
"""A larger drawing is refused, before it is unpacked further."""

MAX_EMBEDDED = 16_000_000
"""Pixels of a picture within a drawing; a larger one is refused."""

STACK = 256 * 2**20
"""Bytes of stack for the renderer, of which only those that are used are ever taken: it descends into groups within
groups by recursion, up to a limit of its own that an ordinary stack does not reach."""

PIXELS = {"": 1, "px": 1, "pt": 4 / 3, "pc": 16, "mm": 96 / 25.4, "cm": 960 / 25.4, "in": 96, "em": 16, "ex": 8}
SVG = "{http://www.w3.org/2000/svg}svg"
LENGTH = re.compile(r"\s*([0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(px|pt|pc|mm|cm|in|em|ex|)\s*")
RASTER = re.compile(r"\s*data:image/(?:png|jpe?g|gif|webp);base64,")


def is_svg(source: Path | bytes) -> bool:
    """Whether a file is a drawing by its name, or bytes by how they begin."""
    if isinstance(source, Path):
        return source.suffix.lower() in {".svg", ".svgz"}
    start = source[:1000].lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"<") and (b"<svg" in source[:20_000] or b":svg" in source[:20_000])


def render_svg(source: Path | bytes, size: int, name: str, whole: bool = False) -> Image.Image:
    """The middle square, or a square with the `whole` drawing, on white and `size` pixels wide (resvg, in `resvg_py`).

    Nothing outside of the drawing is read: references to other files and addresses are dropped. Text is drawn in
    DejaVu Sans, on every machine.

    Args:
        source: an .svg or .svgz file, or what is in it.
        size: side of the result in pixels.
        name: what messages call it.
        whole: nothing is cut off.

    Raises:
        ConfigError: resvg_py is not installed.
        BadSampleError: it is no SVG, is damaged, or is too large.
    """
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise ConfigError(f"{name} is an SVG drawing, which resvg_py renders: pip install 'polymodal[svg]'") from None
    try:
        root = ElementTree.fromstring(_content(source, name))  # expands no outer entity, and inner ones to a limit
        if root.tag not in {SVG, "svg"}:
            raise BadSampleError("damaged file", f"{name} is no SVG drawing: it holds {root.tag[:80]}.")
        _frame(root, size, "meet" if whole else "slice")
        _close(root, name)
        text = ElementTree.tostring(root, encoding="unicode")
        return Image.open(io.BytesIO(_deep(lambda: svg_to_bytes(svg_string=text, background="white", **_fonts()))))
    except (ElementTree.ParseError, ValueError, RecursionError, OSError, EOFError, zlib.error) as error:
        raise BadSampleError("damaged file", f"{name} is damaged or no SVG drawing: {error}") from error


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


def _frame(root: ElementTree.Element, size: int, fit: str) -> None:
    """Sets the size, and how the middle fits it; what tells no size of its own is 300 x 150, as in CSS."""
    if "viewBox" not in root.attrib:
        sides = [LENGTH.fullmatch(root.get(key, "")) for key in ("width", "height")]
        width, height = (
            float(side[1]) * PIXELS[side[2]] if side else usual for side, usual in zip(sides, (300, 150), strict=True)
        )
        root.set("viewBox", f"0 0 {width} {height}")
    root.attrib |= {"width": str(size), "height": str(size), "preserveAspectRatio": f"xMidYMid {fit}"}


def _close(root: ElementTree.Element, name: str) -> None:
    """Drops every reference to something outside, and looks at the pictures within."""
    for element in root.iter():
        for key in [key for key in element.attrib if key.rpartition("}")[2] == "href"]:
            value = element.attrib[key].lstrip()
            if raster := RASTER.match(value):
                _check_embedded(value[raster.end() :], name)
            elif not value.startswith("#"):
                del element.attrib[key]


def _check_embedded(text: str, name: str) -> None:
    try:
        with Image.open(io.BytesIO(base64.b64decode(text))) as image:
            width, height = image.size
    except (OSError, binascii.Error, SyntaxError, ValueError):
        return  # the renderer leaves out what it cannot read
    except Image.DecompressionBombError:
        width = height = MAX_EMBEDDED
    if width * height > MAX_EMBEDDED:
        raise BadSampleError("too large", f"{name}: a picture in it has {width} x {height} pixels.")


@cache
def _fonts() -> dict[str, Any]:
    """One font for every family, so that text looks the same on all machines."""
    import matplotlib  # here, since few drawings are read

    kinds = ("font", "serif", "sans_serif", "cursive", "fantasy", "monospace")
    file = str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
    families = {f"{kind}_family": "DejaVu Sans" for kind in kinds}
    return {"skip_system_fonts": True, "font_files": [file], **families}


def _deep(function: Callable[[], bytes]) -> bytes:
    """Calls a function in a thread with much stack."""
    results: list[bytes | Exception] = []

    def call() -> None:
        try:
            results.append(function())
        except Exception as error:
            results.append(error)

    before = threading.stack_size(STACK)
    try:
        thread = threading.Thread(target=call)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0]
