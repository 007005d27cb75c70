"""Reading sound files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]

from polymodal.data.opened import called, opened
from polymodal.errors import DataError


def read(source: Path | bytes, sample_rate: int, name: str | None = None) -> np.ndarray:
    """The waveform of a WAV, FLAC, OGG or MP3 file: (samples,) float32 in [-1, 1], the mean of its channels.

    Args:
        source: a file, or what is in it.
        sample_rate: in Hz, to which the sound is resampled.
        name: what messages call it; None for the file's path.

    Raises:
        DataError: there is no such file, it is damaged or no sound, or there is nothing in it.
    """
    name = called(source, name)
    if isinstance(source, Path) and not source.is_file():
        raise DataError(f"{name}: there is no such file.")
    try:
        channels, own_rate = soundfile.read(opened(source), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise DataError(f"{name}: not a sound file that can be read ({error.error_string})") from error
    waveform = soxr.resample(channels.mean(1), own_rate, sample_rate)
    if not len(waveform):
        raise DataError(f"{name}: there is no sound in it.")
    if not np.isfinite(waveform).all():
        raise DataError(f"{name}: a sample is not a finite number.")
    return waveform
