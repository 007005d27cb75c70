"""Files of a visitor: checked before they are used, and never shown as they came."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile  # type: ignore[import-untyped]

from polymodal.data.media.audio import read
from polymodal.data.media.images import read_image
from polymodal.errors import DataError

SIDE = 192
"""Of an image that is shown back, in pixels."""
RATE = 16_000
"""Samples a second of a sound that is played back."""
MAX_SAMPLES = 30_000_000
"""Of a sound, over all channels: a small file may unfold to hours."""
MAX_SECONDS = 300
"""Of a sound."""
SILENCE = 1e-4
"""Where a sound is no louder than this at any place, it is silent; 1 is the loudest."""


class Upload(NamedTuple):
    """A file that was found to be an image or a sound by its content; its name does not matter.

    Attributes:
        content: of the file.
        shown: (SIDE, SIDE, 3) uint8, or (samples,) float32 at RATE: decoded, so that a browser gets
            nothing else.
    """

    content: bytes
    shown: np.ndarray

    @classmethod
    def checked(
        cls, content: bytes, kind: str, most: int, image_max: float | None = None
    ) -> Upload:
        """A file of at most so many bytes.

        Args:
            content: of the file.
            kind: image or audio.
            most: bytes.
            image_max: the value that is white in images of more than 8 bits; None: by their type.

        Raises:
            DataError: it is larger, or not of this kind, damaged, or silent.
        """
        if len(content) > most:
            raise DataError(f"The file has {len(content):,} bytes; {most:,} are allowed.")
        if kind == "image":
            return cls(
                content, read_image(content, SIDE, 3, "The file", image_max).transpose(1, 2, 0)
            )
        try:
            about = soundfile.info(io.BytesIO(content))
        except soundfile.LibsndfileError as error:
            raise DataError(f"The file is damaged or no sound: {error.error_string}") from error
        if about.frames * about.channels > MAX_SAMPLES:
            raise DataError(
                f"The sound has {about.frames * about.channels:,} samples; {MAX_SAMPLES:,} are "
                "allowed."
            )
        if about.frames > MAX_SECONDS * about.samplerate:
            raise DataError(
                f"The sound lasts {about.duration:,.0f} seconds; {MAX_SECONDS} are allowed."
            )
        wave = read(content, RATE, "The file", MAX_SECONDS)
        if abs(wave).max() < SILENCE:
            raise DataError("The sound is silent: there is nothing to hear in it.")
        return cls(content, wave)

    @contextmanager
    def file(self) -> Iterator[str]:
        """The path of a file with this content, for as long as it is needed."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "upload"
            path.write_bytes(self.content)
            yield str(path)
