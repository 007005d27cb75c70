"""Images of more than 8 bits as 8 bits: what is white follows from the type, never from what one
image holds.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from polymodal.data.loading.bad_samples import BadSampleError

SIXTEEN = 2**16 - 1
"""White in 16 bits."""

NARROW = 2**14
"""16 bits that stay below this are taken for 12 or 14 bits that were stored in 16: next to black,
if they were not."""

BITS, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0
"""Tags of a TIFF file, and a value of the second."""


def is_deep_colour(image: Image.Image) -> bool:
    """Whether it has colours of 16 bits, of which Pillow reads the upper 8; known before it is
    loaded.
    """
    return image.mode[0] not in "IF" and any(
        ";16" in str(tile[3]) for tile in getattr(image, "tile", [])
    )


def check_deep_colour(image: Image.Image, image_max: float | None, name: str) -> None:
    """Colours of 16 bits must fill them: of fewer bits the upper 8 are not what was meant.

    Args:
        image: loaded; its upper 8 bits.
        image_max: as for `as_8_bits`.
        name: what messages call it.

    Raises:
        BadSampleError: they do not, or `image_max` says so.
    """
    colours = [
        band
        for band, letter in zip(image.split(), image.getbands(), strict=True)
        if letter not in "Aa"
    ]
    largest = max(int(np.asarray(band).max()) for band in colours)
    narrow = image_max is None and 0 < largest < NARROW // 256
    if narrow or image_max not in (None, SIXTEEN):
        raise BadSampleError(
            "bad value",
            f"{name} has colours of 16 bits that do not fill them. Save it with 8 bits; or, if it "
            f"is as dark as that, say data.image_max={SIXTEEN}.",
        )


def as_8_bits(image: Image.Image, image_max: float | None, name: str) -> Image.Image:
    """A grey image of 16 bits, of 32-bit whole numbers or of floats as 8 bits; another one as it
    is.

    White is 65535 in 16 bits, or what a TIFF of fewer bits can hold; 255 in whole numbers of 32
    bits; 1.0 in floats. So two images of one set stay comparable. Fractions of a grey level are
    cut.

    Args:
        image: of any mode.
        image_max: the value that is white, whatever the type; None for the rule.
        name: what messages call it.

    Raises:
        BadSampleError: a number is below 0, beyond white, or not finite; or 16 bits hold 14 or
            fewer.
    """
    if image.mode[0] not in "IF":
        return image
    tags = getattr(image, "tag_v2", {})
    # its header says what is white: Pillow made that 65535
    is_scaled = image.format == "PPM" and image.mode != "F"
    white = (
        float(SIXTEEN)
        if is_scaled
        else image_max or _white(image.mode, int(tags.get(BITS, (16,))[0]))
    )
    values = np.asarray(image).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low + high):
        raise BadSampleError("bad number", f"{name}: a number in it is NaN or infinite.")
    level = white / 255
    if low <= -level:
        raise BadSampleError(
            "bad value",
            f"{name} holds numbers from {low:.6g} on, and black is 0. Save it as numbers from 0 "
            "on.",
        )
    if high >= white + level:
        raise BadSampleError(
            "bad value",
            f"{name} holds numbers from {low:.6g} to {high:.6g}, and 0 to {white:.6g} is black to "
            "white. Say what is white: data.image_max=<number>.",
        )
    if white == SIXTEEN and image_max is None and not is_scaled and 0 < high < NARROW:
        raise BadSampleError(
            "bad value",
            f"{name} has 16 bits, and its largest number is {high:.0f}. Say what is white: "
            f"data.image_max=4095 for 12 bits, or {SIXTEEN} if it is as dark as that.",
        )
    transparent = values == image.info.get("transparency", -1)
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = white - values
    values = values * np.float32(255 / white) + np.float32(1e-3)  # 254.9999 is 255
    values[transparent] = 255
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def _white(mode: str, bits: int) -> float:
    if mode == "F":
        return 1.0
    return 255.0 if mode == "I" else 2.0**bits - 1
