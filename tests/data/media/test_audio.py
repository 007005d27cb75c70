"""Sound files of each format, resampled; and files that are none."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from polymodal.data.media.audio import read
from polymodal.errors import DataError


def tone(rate: int, hertz: float = 440, seconds: float = 0.5) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


@pytest.mark.parametrize(
    ("ending", "tolerance"), [("wav", 1e-4), ("flac", 1e-4), ("ogg", 0.05), ("mp3", 0.05)]
)
def test_every_format_gives_the_waveform_back(
    tmp_path: Path, ending: str, tolerance: float
) -> None:
    soundfile.write(tmp_path / f"tone.{ending}", tone(16_000), 16_000)
    waveform = read(tmp_path / f"tone.{ending}", 16_000)
    assert waveform.dtype == np.float32
    assert waveform.shape == (8000,)
    np.testing.assert_allclose(waveform[1000:-1000], tone(16_000)[1000:-1000], atol=tolerance)


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
def test_a_tone_sounds_the_same_at_any_rate(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(16_000), 16_000)
    waveform = read(tmp_path / "tone.wav", rate)
    assert waveform.shape == (rate // 2,)
    inner = slice(rate // 10, -rate // 10)
    np.testing.assert_allclose(waveform[inner], tone(rate)[inner], atol=1e-3)


def test_what_the_lower_rate_cannot_hold_is_filtered_out(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "high.wav", tone(16_000, hertz=6000), 16_000)
    assert np.abs(read(tmp_path / "high.wav", 8000)[400:-400]).max() < 1e-3


def test_channels_are_averaged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "two.wav", np.stack([tone(8000), 0 * tone(8000)], axis=1), 8000)
    np.testing.assert_allclose(read(tmp_path / "two.wav", 8000), tone(8000) / 2, atol=1e-4)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    soundfile.write(
        tmp_path / "nan.wav", np.full(10, np.nan, dtype=np.float32), 8000, subtype="FLOAT"
    )
    (tmp_path / "text.wav").write_text("not a sound")
    soundfile.write(tmp_path / "tone.flac", tone(8000), 8000)
    (tmp_path / "cut.flac").write_bytes((tmp_path / "tone.flac").read_bytes()[:20])
    for name, message in [
        ("none.wav", "no such file"), ("empty.wav", "no sound in it"), ("nan.wav", "not a finite number"),
        ("text.wav", "not a sound file"), ("cut.flac", "not a sound file"),
    ]:  # fmt: skip
        with pytest.raises(DataError, match=f"{name}: .*{message}"):
            read(tmp_path / name, 8000)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_bytes_are_read_as_their_file_is(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"tone.{ending}"
    soundfile.write(file, tone(16_000), 16_000)
    assert np.array_equal(read(file.read_bytes(), 16_000), read(file, 16_000))
    with pytest.raises(DataError, match="^call 7: not a sound"):
        read(b"no sound", 16_000, name="call 7")
