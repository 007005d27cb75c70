"""Reading sound files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]

from polymodal.errors import DataError


def read(path: str | Path, sample_rate: int) -> np.ndarray:
    """The waveform of a WAV, FLAC, OGG or MP3 file: (samples,) float32 in [-1, 1], the mean of its channels.

    Args:
        path: of the file.
        sample_rate: in Hz, to which the sound is resampled.

    Raises:
        DataError: there is no such file, it is damaged or no sound, or there is nothing in it.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: there is no such file.")
    try:
        channels, own_rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise DataError(f"{path}: not a sound file that can be read ({error.error_string})") from error
    waveform = soxr.resample(channels.mean(1), own_rate, sample_rate)
    if not len(waveform):
        raise DataError(f"{path}: there is no sound in it.")
    if not np.isfinite(waveform).all():
        raise DataError(f"{path}: a sample is not a finite number.")
    return waveform
