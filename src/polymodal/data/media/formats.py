"""How files are read: images, sounds, videos and ready vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.media import audio
from polymodal.data.media.images import read_image
from polymodal.data.media.npy import read_array
from polymodal.data.media.source import called
from polymodal.data.media.video import read_video
from polymodal.errors import DataError


@dataclass(frozen=True)
class MediaFormat:
    """How files are read.

    Attributes:
        image_shape: (C, S, S) of images.
        image_cache: folder where decoded images are kept, or None.
        image_cache_gb: so much of them at most.
        sample_rate: of sounds, in Hz.
        max_seconds: of sounds.
        frames: T of a video.
        image_max: the value that is white in images of more than 8 bits; None: by their type.
    """

    image_shape: tuple[int, int, int]
    image_cache: str | None
    image_cache_gb: float
    sample_rate: int
    max_seconds: float
    frames: int
    image_max: float | None = None

    def described(self, kind: str) -> dict[str, Any]:
        """The same as plain data, as far as it is of one kind."""
        channels, size, _ = self.image_shape
        if kind == "audio":
            return {"sample_rate": self.sample_rate, "max_seconds": self.max_seconds}
        frames = {"frames": self.frames} if kind == "video" else {}
        white = {} if self.image_max is None else {"image_max": self.image_max}
        return (
            {"size": size, "channels": channels} | white | frames
            if kind in ("image", "video")
            else {}
        )

    def reader(self, kind: str) -> tuple[Callable[..., np.ndarray], np.ndarray]:
        """How a file of kind image, video, audio or vector is read, and what stands where there is
        none.

        The blank of a vector or a sound is one number, since its length is not known.
        """
        channels, size, _ = self.image_shape
        if kind == "audio":
            load = partial(read_sound, sample_rate=self.sample_rate, max_seconds=self.max_seconds)
            return load, np.zeros(1, dtype=np.float32)
        if kind == "vector":
            return read_vector, np.zeros(1, dtype=np.float32)
        if kind == "video":
            load = partial(
                read_video,
                frames=self.frames,
                size=size,
                channels=channels,
                image_max=self.image_max,
            )
            return load, np.zeros((self.frames, *self.image_shape), dtype=np.uint8)
        load = partial(read_image, size=size, channels=channels, image_max=self.image_max)
        return load, np.zeros(self.image_shape, dtype=np.uint8)


def read_sound(
    source: Path | bytes, sample_rate: int, max_seconds: float, name: str | None = None
) -> np.ndarray:
    """(samples,) float32, no longer than `max_seconds`.

    Raises:
        BadSampleError: see `polymodal.data.media.audio.read`.
    """
    try:
        return audio.read(source, sample_rate, name, max_seconds)
    except DataError as error:
        raise BadSampleError("damaged file", str(error)) from error


def read_vector(
    source: Path | bytes, width: int | None = None, name: str | None = None
) -> np.ndarray:
    """(D,) float32 from an .npy file.

    Raises:
        BadSampleError: it holds anything else than D finite numbers.
    """
    name = called(source, name)
    try:
        with np.errstate(over="ignore"):  # what is too large is infinite, and said below
            values = np.asarray(read_array(source), dtype=np.float32)
    except (OSError, ValueError, TypeError, EOFError, OverflowError) as error:
        raise BadSampleError(
            "damaged file", f"{name} is no .npy file of numbers: {error}"
        ) from error
    if values.ndim != 1 or (width is not None and len(values) != width):
        wanted = "one dimension" if width is None else f"{width} numbers, as the first one"
        raise BadSampleError(
            "bad value", f"{name} holds an array of shape {values.shape} instead of {wanted}."
        )
    if not np.isfinite(values).all():
        raise BadSampleError(
            "bad number", f"{name}: a number is NaN, infinite or above 3.4e38, where float32 ends."
        )
    return values
