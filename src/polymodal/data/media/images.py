"""Images of any common format as uint8 squares."""

from __future__ import annotations

import contextlib
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError

from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.media.bit_depth import as_8_bits, check_deep_colour, is_deep_colour
from polymodal.data.media.source import called, opened
from polymodal.data.media.svg import is_svg, render_svg
from polymodal.errors import PolymodalError

MAX_PIXELS = 89_478_485
"""A larger image is refused before it is decoded (Pillow's own limit): a small file may unfold to
gigabytes."""


LEFT_OUT = {"EPS"}
"""Formats of Pillow's that are no images but programs, which another program would run."""

MAX_SCANS = 100
"""A JPEG of more scans is refused: each of some bytes takes as long as the whole image."""


def read_image(
    source: Path | bytes,
    size: int,
    channels: int,
    name: str | None = None,
    image_max: float | None = None,
) -> np.ndarray:
    """(channels, size, size) uint8: the middle square, resized with antialiasing (bicubic).

    JPEG, PNG, WebP, the first frame of a GIF, SVG (see `polymodal.data.media.svg`), and whatever
    else Pillow reads. An image is turned as its EXIF says; transparent parts show white; more than
    8 bits are cut to 8 (see `polymodal.data.media.bit_depth`). A large JPEG is decoded at 1/2, 1/4
    or 1/8 where that leaves twice the wanted size: on average a pixel then differs by 1.5 % of
    white at most, and by 0.1 % at 1/2.

    Args:
        source: a file, or what is in it.
        size: side of the result in pixels.
        channels: 1 (grey) or 3 (RGB).
        name: what messages call it; None for the file's path.
        image_max: the value that is white in more than 8 bits; None: by their type.

    Raises:
        BadSampleError: it is no image, is damaged, is too large, or its numbers do not say what
            is white.
        ConfigError: it is an SVG drawing, and nothing that renders them is installed.
    """
    name, mode = called(source, name), "L" if channels == 1 else "RGB"
    try:
        with _image(source, size, name) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadSampleError(
                    "too large", f"{name} has {image.width} x {image.height} pixels."
                )
            if getattr(image, "layers", 0) and image.info.get("progressive"):
                _check_scans(source, name)
            image.draft(mode, (2 * size, 2 * size))
            deep_colour = is_deep_colour(image)
            image.load()
            if deep_colour:
                check_deep_colour(image, image_max, name)
            _turn_upright(image)
            return middle_square(image, size, channels, image_max, name)
    except PolymodalError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise BadSampleError("too large", f"{name}: {error}") from error
    except UnidentifiedImageError as error:
        raise BadSampleError(
            "damaged file", f"{name} is damaged or no image: its format is unknown."
        ) from error
    # decoders raise whatever their formats suggest: SyntaxError, struct.error, IndexError
    except Exception as error:
        raise BadSampleError("damaged file", f"{name} is damaged or no image: {error}") from error


def middle_square(
    picture: Image.Image,
    size: int,
    channels: int,
    image_max: float | None = None,
    name: str = "The image",
) -> np.ndarray:
    """(channels, size, size) uint8 of an image of any mode; see `read_image`."""
    picture = _in_mode(as_8_bits(picture, image_max, name), "L" if channels == 1 else "RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    pixels = np.asarray(picture).reshape(picture.height, picture.width, channels)
    square = torch.from_numpy(pixels[top : top + side, left : left + side].copy()).permute(2, 0, 1)
    # the filter of Pillow's resize, to 1 or 2 of 255, in a sixth of its time on a CPU with AVX2
    return F.interpolate(square[None], (size, size), mode="bicubic", antialias=True)[0].numpy()


def _image(source: Path | bytes, size: int, name: str) -> Image.Image:
    if is_svg(source):
        return render_svg(source, size, name)
    try:
        return Image.open(opened(source), formats=_formats())
    except UnidentifiedImageError:
        if _start(source).startswith(b"\x93NUMPY"):
            raise BadSampleError(
                "damaged file",
                f"{name} is a NumPy array, no image: save it as PNG or TIFF, or name it as a "
                "vector.",
            ) from None
        raise


@cache
def _formats() -> list[str]:
    """What Pillow reads, the most usual ones first."""
    Image.preinit()
    Image.init()
    return [format for format in Image.ID if format not in LEFT_OUT]


def _start(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:6]
    with source.open("rb") as stream:
        return stream.read(6)


def _check_scans(source: Path | bytes, name: str) -> None:
    content = source if isinstance(source, bytes) else source.read_bytes()
    if (scans := content.count(b"\xff\xda")) > MAX_SCANS:
        raise BadSampleError(
            "too large", f"{name} is drawn in {scans} scans; {MAX_SCANS} are allowed."
        )


def _turn_upright(image: Image.Image) -> None:
    # damaged EXIF data say nothing; the image itself is whole
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == mode else image.convert(mode)
