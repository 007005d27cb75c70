"""A file is what its content says, and nothing else is taken."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from polymodal.demo import uploads
from polymodal.demo.uploads import RATE, SIDE, Upload
from polymodal.errors import DataError
from tests.data.manifests import bomb

MOST = 100_000


def png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(stream, "PNG")
    return stream.getvalue()


def flac(seconds: float, rate: int = 8000, loudness: float = 0.25) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.full((round(rate * seconds), 2), loudness), rate, format="FLAC")
    return stream.getvalue()


def test_a_picture_and_a_sound_are_decoded_and_kept_as_they_are() -> None:
    picture, sound = Upload.checked(png(), "image", MOST), Upload.checked(flac(0.5), "audio", MOST)
    assert picture.shown.shape == (SIDE, SIDE, 3)
    assert picture.shown[0, 0].tolist() == [255, 0, 0]
    assert sound.shown.shape == (RATE // 2,)
    with picture.file() as path:
        assert Path(path).read_bytes() == png()
    assert not Path(path).exists()


@pytest.mark.parametrize("kind", ["image", "audio"])
@pytest.mark.parametrize(
    "content", [b"", b"<html><script>", b"PK\x03\x04" + bytes(100), b"\x80\x04cos\nsystem\n"]
)
def test_what_is_neither_is_refused(kind: str, content: bytes) -> None:
    with pytest.raises(DataError, match="The file"):
        Upload.checked(content, kind, MOST)


def test_one_is_not_taken_for_the_other() -> None:
    with pytest.raises(DataError, match="no sound"):
        Upload.checked(png(), "audio", MOST)
    with pytest.raises(DataError, match="no image"):
        Upload.checked(flac(0.1), "image", MOST)


def test_what_is_too_large_or_would_become_so_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"40 are allowed"):
        Upload.checked(png(), "image", 40)
    with pytest.raises(DataError, match="10000 x 10000"):
        Upload.checked(bomb(10_000, 10_000), "image", MOST)
    monkeypatch.setattr(uploads, "MAX_SAMPLES", 8000)
    with pytest.raises(DataError, match="16,000 samples"):
        Upload.checked(flac(1), "audio", MOST)


def test_a_sound_that_would_last_for_hours_is_refused() -> None:
    with pytest.raises(DataError, match=r"lasts 301 seconds; 300 are allowed"):
        Upload.checked(flac(301, rate=8000), "audio", 10 * MOST)
    with pytest.raises(DataError, match=r"lasts 20,000 seconds"):
        Upload.checked(flac(20_000, rate=1), "audio", MOST)
    with pytest.raises(DataError, match=r"its sample rate is 50 Hz"):
        Upload.checked(flac(1, rate=50), "audio", MOST)


def test_silence_is_said() -> None:
    with pytest.raises(DataError, match="The sound is silent"):
        Upload.checked(flac(0.5, loudness=0.0), "audio", MOST)


def test_what_is_white_in_a_deep_picture_is_what_the_data_say() -> None:
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8), 4095, dtype=np.uint16)).save(stream, "PNG")
    with pytest.raises(DataError, match="The file has 16 bits"):
        Upload.checked(stream.getvalue(), "image", MOST)
    assert Upload.checked(stream.getvalue(), "image", MOST, 4095).shown.min() == 255
