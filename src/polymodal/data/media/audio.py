"""Reading sound files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from math import ceil
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]

from polymodal.data.media.source import called, opened
from polymodal.errors import DataError

RATES = (100, 1_000_000)
"""Samples a second that a file may have. Resampled from one a second, a small file would unfold to
hours."""

BLOCK = 65_536
"""Samples that are read at a time: a file may have hundreds of channels, of which the mean alone is
kept."""

MARGIN = 1.0
"""Seconds that are read beyond the last wanted one: what is resampled depends on what is near."""


def read(
    source: Path | bytes,
    sample_rate: int,
    name: str | None = None,
    max_seconds: float | None = None,
) -> np.ndarray:
    """The waveform of a WAV, FLAC, OGG or MP3 file: (samples,) float32 in [-1, 1], the mean of its
    channels.

    Args:
        source: a file, or what is in it.
        sample_rate: in Hz, to which the sound is resampled.
        name: what messages call it; None for the file's path.
        max_seconds: of the result; what comes later in the file is not read. None for all of it.

    Raises:
        DataError: there is no such file, it is damaged or no sound, there is nothing in it, or its
            sample rate is none of a sound.
    """
    name = called(source, name)
    if isinstance(source, Path) and not source.is_file():
        raise DataError(f"{name}: there is no such file.")

    # only as much is read as is kept: a small file may be hours long
    try:
        with soundfile.SoundFile(opened(source)) as file:
            own_rate = file.samplerate
            if not RATES[0] <= own_rate <= RATES[1]:
                raise DataError(
                    f"{name}: its sample rate is {own_rate:,} Hz; {RATES[0]} to {RATES[1]:,} is a "
                    "sound."
                )
            parts = list(
                _mixed(
                    file, None if max_seconds is None else ceil((max_seconds + MARGIN) * own_rate)
                )
            )
    except soundfile.LibsndfileError as error:
        raise DataError(
            f"{name}: not a sound file that can be read ({error.error_string})"
        ) from error

    # resampled first, then cut: the filter needs what comes after
    waveform = (
        soxr.resample(np.concatenate(parts), own_rate, sample_rate)
        if parts
        else np.zeros(0, np.float32)
    )
    if max_seconds is not None:
        waveform = waveform[: round(max_seconds * sample_rate)]

    # what cannot be learned from is said here, and not by a loss that is NaN
    if not len(waveform):
        raise DataError(f"{name}: there is no sound in it.")
    if not np.isfinite(waveform).all():
        raise DataError(f"{name}: a sample is not a finite number.")
    return waveform


def _mixed(file: soundfile.SoundFile, samples: int | None) -> Iterator[np.ndarray]:
    """The means of the channels, block by block; what the head of the file says of its length is
    not believed.
    """
    left = sys.maxsize if samples is None else samples
    while left and len(block := file.read(min(BLOCK, left), "float32", always_2d=True)):
        yield block.mean(1)
        left -= len(block)
