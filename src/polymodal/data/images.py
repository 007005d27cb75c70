"""Pictures of any common format as uint8 squares."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError

from polymodal.data.opened import called, opened
from polymodal.data.skips import BadSampleError
from polymodal.data.svg import is_svg, render_svg
from polymodal.errors import PolymodalError

MAX_PIXELS = 89_478_485
"""A larger picture is refused before it is decoded (Pillow's own limit): a small file may unfold to gigabytes."""


def read_image(source: Path | bytes, size: int, channels: int, name: str | None = None) -> np.ndarray:
    """(channels, size, size) uint8: the middle square, resized with antialiasing (bicubic).

    JPEG, PNG, WebP, the first frame of a GIF, SVG (see `polymodal.data.svg`), and whatever else Pillow reads. A picture
    is turned as its EXIF says; transparent parts show white; 16 bits are cut to 8. A large JPEG is decoded at 1/2, 1/4
    or 1/8 where that leaves twice the wanted size: on average a pixel then differs by 1.5 % of white at most, and by
    0.1 % at 1/2.

    Args:
        source: a file, or what is in it.
        size: side of the result in pixels.
        channels: 1 (grey) or 3 (RGB).
        name: what messages call it; None for the file's path.

    Raises:
        BadSampleError: it is no picture, is damaged, or is too large.
        ConfigError: it is an SVG drawing, and nothing that renders them is installed.
    """
    name, mode = called(source, name), "L" if channels == 1 else "RGB"
    try:
        with _image(source, size, name) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadSampleError("too large", f"{name} has {image.width} x {image.height} pixels.")
            image.draft(mode, (2 * size, 2 * size))
            image.load()
            _turn_upright(image)
            return middle_square(image, size, channels)
    except PolymodalError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise BadSampleError("too large", f"{name}: {error}") from error
    except UnidentifiedImageError as error:
        raise BadSampleError("damaged file", f"{name} is damaged or no picture: its format is unknown.") from error
    except Exception as error:  # decoders raise whatever their formats suggest: SyntaxError, struct.error, IndexError
        raise BadSampleError("damaged file", f"{name} is damaged or no picture: {error}") from error


def middle_square(picture: Image.Image, size: int, channels: int) -> np.ndarray:
    """(channels, size, size) uint8 of a picture of any mode."""
    picture = _in_mode(picture, "L" if channels == 1 else "RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    pixels = np.asarray(picture).reshape(picture.height, picture.width, channels)
    square = torch.from_numpy(pixels[top : top + side, left : left + side].copy()).permute(2, 0, 1)
    # the filter of Pillow's resize, to 1 or 2 of 255, in a sixth of its time on a CPU with AVX2
    return F.interpolate(square[None], (size, size), mode="bicubic", antialias=True)[0].numpy()


def _image(source: Path | bytes, size: int, name: str) -> Image.Image:
    if is_svg(source):
        return render_svg(source, size, name)
    return Image.open(opened(source))


def _turn_upright(image: Image.Image) -> None:
    with contextlib.suppress(Exception):  # damaged EXIF data say nothing; the picture itself is whole
        ImageOps.exif_transpose(image, in_place=True)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip at 255
        deep = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray((deep // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == mode else image.convert(mode)
