"""What a page shows of items: images, sounds, rows in the units of the table."""

import base64
import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from polymodal.data.manifest import Manifest
from polymodal.report import media
from polymodal.report.media import Contents, Sound, image_uri, spectrogram

RATE = 8000
COLUMNS = {"audio": "sound", "text": "caption", "tabular": ["age", "city"], "label": "price"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Twelve samples of a sound, a caption and a row, with a value."""
    folder = tmp_path_factory.mktemp("sounds")
    rows = []
    for number in range(12):
        seconds = np.arange(RATE // 2 + 100 * number) / RATE
        soundfile.write(
            folder / f"{number}.wav", 0.5 * np.sin(2 * np.pi * (200 + 100 * number) * seconds), RATE
        )
        split = ("train", "train", "val", "test")[number % 4]
        rows.append(
            [
                f"{number}.wav",
                f"tone {number}",
                20 + number,
                ("Bern", "Oslo")[number % 2],
                1000 * number,
                split,
            ]
        )
    with (folder / "table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["sound", "caption", "age", "city", "price", "part"], *rows])
    made = Manifest(
        path=str(folder / "table.csv"),
        columns=COLUMNS | {"split": "part"},
        label_kind="value",
        sample_rate=RATE,
        numeric=1,
        cardinalities=[2],
        vocab_size=300,
        batch_size=4,
    )
    made.prepare_data()
    made.setup()
    return made


def test_a_sound_is_in_the_page_once_and_is_the_clip(data: Manifest) -> None:
    contents = Contents(data)
    cells = [contents.cell("audio", item) for item in (3, 7, 3)]
    assert [cell["sound"] for cell in cells] == ["audio 3", "audio 7", "audio 3"]
    assert list(contents.sounds) == ["audio 3", "audio 7"]
    start, encoded = contents.sounds["audio 7"].split(",")
    assert start == "data:audio/flac;base64"
    heard, rate = soundfile.read(io.BytesIO(base64.b64decode(encoded)))
    seconds = np.arange(RATE // 2 + 700) / RATE
    assert rate == RATE
    assert heard == pytest.approx(0.5 * np.sin(2 * np.pi * 900 * seconds), abs=1e-4)
    assert cells[1]["seconds"] == pytest.approx(len(seconds) / RATE)


def test_sounds_have_a_limit_together_and_each(
    data: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "SECONDS", 0.25)
    contents = Contents(data)
    contents.cell("audio", 0)
    content = base64.b64decode(contents.sounds["audio 0"].split(",")[1])
    assert len(soundfile.read(io.BytesIO(content))[0]) == RATE // 4
    contents.room = 10
    cell = contents.cell("audio", 1)
    assert "sound" not in cell
    assert cell["image"].startswith("data:image/webp")
    assert list(contents.sounds) == ["audio 0"]


def test_a_spectrogram_is_bright_where_the_tone_is() -> None:
    seconds = np.arange(2 * RATE) / RATE
    tone = np.sin(2 * np.pi * 1000 * seconds).astype(np.float32)
    pixels = spectrogram(Sound(tone, RATE), width=100, height=80).sum(2)
    rows = pixels.mean(1)
    # low frequencies are at the bottom
    assert abs(int(rows.argmax()) - 80 * (1 - 1000 / (RATE / 2))) <= 2
    assert spectrogram(Sound(tone[:5], RATE)).shape == (64, 192, 3)


def test_a_row_is_shown_in_the_units_of_the_table(data: Manifest) -> None:
    contents = Contents(data)
    assert contents.cell("tabular", 5) == {"rows": [["age", "25"], ["city", "Oslo"]], "more": 0}
    assert contents.describe("tabular", 4) == "age 24, city Bern"
    assert contents.cell("text", 2) == {"text": "tone 2"}


def test_a_value_that_is_missing_is_said() -> None:
    assert [media.shown(value) for value in (None, "x", 20042.00003, 0.5, 1234567)] == [
        "missing",
        "x",
        "20,042",
        "0.5",
        "1,234,570",
    ]


def test_a_small_image_keeps_its_pixels_and_a_large_one_is_small() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    encoded = re.fullmatch(r"data:image/webp;base64,(.*)", image_uri(pixels))[1]
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))) == pixels).all()
    large = image_uri(np.zeros((800, 400), np.uint8)).split(",")[1]
    assert Image.open(io.BytesIO(base64.b64decode(large))).size == (56, 112)


def test_a_file_is_in_the_page_only_as_what_it_holds(data: Manifest, tmp_path: Path) -> None:
    assert str(tmp_path.parent) not in str(Contents(data).cell("audio", 0))
