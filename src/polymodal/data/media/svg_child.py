"""Renders one drawing, as a program: what a drawing asks for, in time or memory, ends this process
and no other.

    python svg_child.py <font> <module paths> <size> <meet or slice> <seconds> <bytes>  < drawing >
    PNG

Nothing of the package is imported: starting takes a hundredth of a second. Exit code 2: the drawing
is damaged; 3: it is too large; both with the reason on stderr.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
import os
import re
import sys
import threading
from typing import Any
from xml.etree import ElementTree

SECONDS = 5
"""Of the processor, not of the clock: a busy machine takes longer."""

MEMORY = 2 * 2**30
"""Bytes that a drawing may take."""

MAX_EMBEDDED = 16_000_000
"""Pixels of an image within a drawing; a larger one is refused."""

STACK = 256 * 2**20
"""Bytes of stack for the renderer, of which only those that are used are ever taken: it descends
into groups within groups by recursion, up to a limit of its own that an ordinary stack does not
reach."""

DAMAGED, TOO_LARGE = 2, 3
PIXELS = {
    "": 1,
    "px": 1,
    "pt": 4 / 3,
    "pc": 16,
    "mm": 96 / 25.4,
    "cm": 96 / 2.54,
    "in": 96,
    "em": 16,
    "ex": 8,
}
SVG = "{http://www.w3.org/2000/svg}svg"
LENGTH = re.compile(r"\s*([0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(px|pt|pc|mm|cm|in|em|ex|)\s*")
RASTER = re.compile(r"\s*data:image/(?:png|jpe?g|gif|webp);base64,")


class TooLargeError(Exception):
    """A drawing asks for more than it may."""


def main(font: str, paths: str, size: str, fit: str, seconds: str, memory: str) -> int:
    """The exit code; the PNG goes to stdout."""
    limit(int(seconds), int(memory))
    sys.path += paths.split(os.pathsep)
    try:
        sys.stdout.buffer.write(deep(sys.stdin.buffer.read(), font, int(size), fit))
    except (TooLargeError, MemoryError) as error:
        sys.stderr.write(str(error) or "it takes too much memory")
        return TOO_LARGE
    except Exception as error:  # of the parser, of the renderer
        sys.stderr.write(str(error))
        return DAMAGED
    return 0


def limit(seconds: int, memory: int) -> None:
    """What ends this process: so many seconds, or more bytes."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock alone
        return
    for what, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):  # not every system has each of them
            resource.setrlimit(what, (most, most))


def deep(content: bytes, font: str, size: int, fit: str) -> bytes:
    """`render` in a thread with much stack."""
    results: list[bytes | BaseException] = []

    def call() -> None:
        try:
            results.append(render(content, font, size, fit))
        except BaseException as error:  # a panic of the renderer is no Exception
            results.append(error)

    threading.stack_size(STACK)
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    if isinstance(results[0], bytes):
        return results[0]
    raise results[0] if isinstance(results[0], Exception) else ValueError("the renderer gives up")


def render(content: bytes, font: str, size: int, fit: str) -> bytes:
    """The PNG of a drawing."""
    from resvg_py import svg_to_bytes

    root = ElementTree.fromstring(content)  # expands no outer entity, and inner ones to a limit
    if root.tag not in {SVG, "svg"}:
        raise ValueError(f"it holds {root.tag[:80]}")
    frame(root, size, fit)
    close(root)
    kinds = ("font", "serif", "sans_serif", "cursive", "fantasy", "monospace")
    families: dict[str, Any] = {f"{kind}_family": "DejaVu Sans" for kind in kinds}
    text = ElementTree.tostring(root, encoding="unicode")
    return svg_to_bytes(
        svg_string=text, background="white", skip_system_fonts=True, font_files=[font], **families
    )


def frame(root: ElementTree.Element, size: int, fit: str) -> None:
    """Sets the size, and how the middle fits it; one without a size is 300 x 150, as in
    CSS.
    """
    if "viewBox" not in root.attrib:
        sides = [LENGTH.fullmatch(root.get(key, "")) for key in ("width", "height")]
        width, height = (
            float(side[1]) * PIXELS[side[2]] if side else usual
            for side, usual in zip(sides, (300, 150), strict=True)
        )
        root.set("viewBox", f"0 0 {width} {height}")
    root.attrib |= {
        "width": str(size),
        "height": str(size),
        "preserveAspectRatio": f"xMidYMid {fit}",
    }


def close(root: ElementTree.Element) -> None:
    """Drops every reference to something outside, and looks at the images within."""
    for element in root.iter():
        for key in [key for key in element.attrib if key.rpartition("}")[2] == "href"]:
            value = element.attrib[key].lstrip()
            if raster := RASTER.match(value):
                check_embedded(value[raster.end() :])
            elif not value.startswith("#"):
                del element.attrib[key]


def check_embedded(text: str) -> None:
    """Refuses an image of too many pixels, before it is decoded."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(base64.b64decode(text))) as image:
            width, height = image.size
    except (OSError, binascii.Error, SyntaxError, ValueError):
        return  # the renderer leaves out what it cannot read
    except Image.DecompressionBombError:
        width = height = MAX_EMBEDDED
    if width * height > MAX_EMBEDDED:
        raise TooLargeError(f"an image in it has {width} x {height} pixels")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
