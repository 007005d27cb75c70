"""What a person sees and hears of an item: an image, a sentence, a row of values, or a sound with
its spectrogram.
"""

from __future__ import annotations

import base64
import io
from typing import Any, NamedTuple

import numpy as np
import soundfile  # type: ignore[import-untyped]
import torch
from matplotlib import colormaps
from PIL import Image
from torch.utils.data import IterableDataset

from polymodal.data.datamodule import PairedDataModule
from polymodal.formatting import in_table

SIDE = 112
"""Pixels of an image within the page, at most."""
SECONDS = 10.0
"""Of a sound, at most: the rest is not in the page."""
LIMIT = 8_000_000
"""Bytes of all sounds of a page together, at most; further ones have their spectrogram alone."""
LONGEST = 300
"""Characters of a sentence."""
COLUMNS = 12
"""Columns of a row of a table."""

Cell = dict[str, Any]
"""As JSON: `text`; or `image`, a data URI; or `rows`, pairs of a name and a value; of a sound also
`sound`, its key in `Contents.sounds`, and `seconds`. Empty where there is nothing to show."""


class Sound(NamedTuple):
    """A waveform (samples,) float32 in [-1, 1], and its samples per second."""

    waveform: np.ndarray
    rate: int


class Contents:
    """The items of a data module, as the report shows them.

    Attributes:
        is_quick: whether many items can be shown: a stream reads a shard again for each.
        sounds: key -> data URI of each sound that was shown; one that is shown twice is in it once.
    """

    def __init__(self, data: PairedDataModule) -> None:
        self.data = data
        self.kinds = {name: data.kinds.get(name, name) for name in data.modalities}
        self.formats = data.formats()
        self.is_quick = not isinstance(getattr(data, "test_set", None), IterableDataset)
        self.sounds: dict[str, str] = {}
        self.room = LIMIT

    def describe(self, modality: str, item: int) -> Any:
        """For a static plot: a sentence, a uint8 image (of a sound its spectrogram), or None."""
        content = self.content(modality, item)
        if isinstance(content, Sound):
            return spectrogram(content)
        if isinstance(content, dict):
            return ", ".join(f"{name} {shown(value)}" for name, value in content.items())
        return content

    def cell(self, modality: str, item: int) -> Cell:
        """For the page."""
        content = self.content(modality, item)
        if isinstance(content, Sound):
            return self._heard(f"{modality} {item}", content)
        if isinstance(content, np.ndarray):
            return {"image": image_uri(content)}
        if isinstance(content, dict):
            rows = [[name, shown(value)] for name, value in list(content.items())[:COLUMNS]]
            return {"rows": rows, "more": max(0, len(content) - COLUMNS)}
        return {} if content is None else {"text": cut(str(content))}

    def words(self, modality: str, item: int) -> str:
        """A sentence of an item; "" where it has none."""
        content = (
            self.data.describe(modality, item)
            if self.kinds.get(modality) in ("text", "tabular")
            else None
        )
        return cut(content) if isinstance(content, str) else ""

    def content(self, modality: str, item: int) -> Any:
        """A `Sound`, or what the data give: a sentence, a uint8 image, a row (column -> value), or
        None.
        """
        content = self.data.content(modality, item)
        if self.kinds.get(modality) == "audio" and isinstance(content, np.ndarray):
            return Sound(content, int(self.formats[modality]["sample_rate"]))
        return content

    def _heard(self, key: str, sound: Sound) -> Cell:
        cell: Cell = {
            "image": image_uri(spectrogram(sound), SIDE * 2),
            "seconds": len(sound.waveform) / sound.rate,
        }
        if key not in self.sounds:
            uri = sound_uri(sound)
            if len(uri) > self.room:
                return cell
            self.sounds[key] = uri
            self.room -= len(uri)
        return cell | {"sound": key}


def shown(value: float | str | None) -> str:
    """A value of a table."""
    if value is None:
        return "missing"
    return value if isinstance(value, str) else in_table(value)


def cut(text: str) -> str:
    """A sentence that is not too long."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def image_uri(pixels: np.ndarray, side: int = SIDE) -> str:
    """(H, W) or (H, W, 3) uint8 -> a data URI; small images keep their size, so that pixels stay
    sharp.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((side, side))
    # few pixels are kept exactly; of many, nobody sees the loss
    exact = image.width * image.height <= 64 * 64
    return uri_of(image, lossless=exact)


def uri_of(image: Image.Image, lossless: bool = False) -> str:
    """An image -> a data URI."""
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "WEBP", quality=80, lossless=lossless)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"


def sound_uri(sound: Sound) -> str:
    """At most `SECONDS` of a sound -> a data URI of a FLAC file, 16 bits a sample."""
    stream = io.BytesIO()
    waveform = np.clip(sound.waveform[: round(SECONDS * sound.rate)], -1, 1)
    soundfile.write(stream, waveform, sound.rate, format="FLAC", subtype="PCM_16")
    return f"data:audio/flac;base64,{base64.b64encode(stream.getvalue()).decode()}"


def spectrogram(sound: Sound, width: int = 192, height: int = 64) -> np.ndarray:
    """(height, width, 3) uint8: decibels below the loudest, time from left to right, low
    frequencies at the bottom.
    """
    waveform = torch.from_numpy(np.asarray(sound.waveform, dtype=np.float32))
    size = 512 if sound.rate >= 8000 else 256
    if len(waveform) < size:
        waveform = torch.nn.functional.pad(waveform, (0, size - len(waveform)))
    hop = max(1, len(waveform) // width)
    power = (
        torch.stft(waveform, size, hop, window=torch.hann_window(size), return_complex=True).abs()
        ** 2
    )
    decibels = 10 * torch.log10(power / power.max().clamp(min=1e-12) + 1e-12)
    levels = ((decibels + 70) / 70).clamp(0, 1).flip(0).numpy()
    colours = (colormaps["magma"](levels)[:, :, :3] * 255).astype(np.uint8)
    return np.asarray(Image.fromarray(colours).resize((width, height), Image.Resampling.BILINEAR))
