"""Readers take a path, or the bytes of such a file with a name for messages."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.media.formats import read_sound, read_vector
from polymodal.data.media.images import read_image


def save_picture(file: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(
        file, "PNG"
    )


def save_sound(file: Path) -> None:
    soundfile.write(file, np.sin(np.arange(800) / 5), 8000, format="WAV")


def save_vector(file: Path) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.arange(5.0))


READERS = {
    "image": (save_picture, partial(read_image, size=8, channels=3)),
    "audio": (save_sound, partial(read_sound, sample_rate=8000, max_seconds=1)),
    "vector": (save_vector, partial(read_vector, width=5)),
}


@pytest.mark.parametrize("kind", READERS)
def test_bytes_are_read_as_their_file_is(kind: str, tmp_path: Path) -> None:
    save, read = READERS[kind]
    save(tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    np.testing.assert_array_equal(read(content), read(tmp_path / "file"))


@pytest.mark.parametrize("kind", READERS)
def test_messages_name_the_file_or_what_it_is_called(kind: str, tmp_path: Path) -> None:
    _, read = READERS[kind]
    (tmp_path / "file").write_bytes(b"nothing of the kind")
    with pytest.raises(BadSampleError, match=str(tmp_path / "file")):
        read(tmp_path / "file")
    with pytest.raises(BadSampleError, match=r"^shard\.tar, 007 "):
        read(b"nothing of the kind", name="shard.tar, 007 ")
    with pytest.raises(BadSampleError, match="^the file"):
        read(b"nothing of the kind")
