"""How the synthetic data show one signal as images, words, sounds, films and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

KINDS = ("image", "text", "audio", "video", "tabular")
TAGS = ("red", "tall", "quiet")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FILLERS = ("", "look at", "here is", "once more", "somebody drew", "this must be")
CORNERS = np.array([[-0.75, -0.75], [-0.75, 0.75], [0.75, -0.75]], dtype=np.float32)
"""Where an image shows its tags: y and x, from -1 to 1."""


class Signal(NamedTuple):
    """What every modality of N samples shows.

    Attributes:
        label: (N,) int64, the class.
        value: (N,) float32 in [0, 1].
        tags: (N, 3) int64 of 0 and 1.
        names: of the classes.
    """

    label: np.ndarray
    value: np.ndarray
    tags: np.ndarray
    names: Sequence[str]

    @property
    def turn(self) -> np.ndarray:
        """(N,) float32 in [0, 1): the class as a part of the whole."""
        return (self.label / len(self.names)).astype(np.float32)


def spelled(number: int) -> str:
    """12 -> "one two"."""
    return " ".join(DIGITS[int(digit)] for digit in str(number))


def captions(signal: Signal, random: np.random.Generator) -> list[str]:
    """N sentences such as "look at the red tall seven at 43 percent"."""
    starts = random.integers(len(FILLERS), size=len(signal.label)).tolist()
    rows = zip(
        starts, signal.label.tolist(), signal.tags.tolist(), signal.value.tolist(), strict=True
    )
    return [
        " ".join(
            [
                f"{FILLERS[start]} the".strip(),
                *(word for word, shown in zip(TAGS, tags, strict=True) if shown),
                f"{signal.names[label]} at {100 * value:.0f} percent",
            ]
        )
        for start, label, tags, value in rows
    ]


def videos(signal: Signal, random: np.random.Generator, size: int, frames: int) -> np.ndarray:
    """(N, T, 1, S, S) uint8: a bar at the angle of the class moves across; its brightness is the
    value, the lights in three corners are the tags. A single frame has the bar anywhere near the
    middle.
    """
    count = len(signal.label)
    y, x = np.meshgrid(*[np.linspace(-1, 1, size, dtype=np.float32)] * 2, indexing="ij")
    lights = (np.hypot(y - CORNERS[:, :1, None], x - CORNERS[:, 1:, None]) < 0.2).astype(np.float32)
    lights = np.einsum("nt,tyx->nyx", signal.tags.astype(np.float32), lights)
    cos, sin = (part(np.pi * signal.turn)[:, None, None] for part in (np.cos, np.sin))
    across, along = x * cos + y * sin, y * cos - x * sin
    start = random.uniform(-0.2, 0.2, size=(count, 1, 1)).astype(np.float32)
    brightness = (0.4 + 0.6 * signal.value)[:, None, None]
    result = np.empty((count, frames, 1, size, size), dtype=np.uint8)
    for frame, place in enumerate(np.linspace(-0.3, 0.3, frames) if frames > 1 else [0.0]):
        bar = np.clip(2 - np.abs(across - start - np.float32(place)) / 0.08, 0, 1) * (
            np.abs(along) < 0.6
        )
        noise = random.normal(0, 0.1, size=bar.shape).astype(np.float32)
        result[:, frame, 0] = 255 * np.clip(np.maximum(bar * brightness, lights) + noise, 0, 1)
    return result


def waveforms(
    signal: Signal, random: np.random.Generator, sample_rate: int, seconds: float
) -> np.ndarray:
    """(N, samples) float32: a tone whose pitch is the class, over three octaves; the loudness of
    its fifth is the value, three whistles above are the tags. Each ends somewhere in the second
    half; after that are zeros.
    """
    count, samples = len(signal.label), max(2, round(seconds * sample_rate))
    time = np.arange(samples, dtype=np.float32)
    pitch = 2 ** (3 * signal.turn[:, None]) / 32  # in cycles a sample, at most a quarter
    phase = 2 * np.pi * (pitch * time + random.random((count, 1), dtype=np.float32))
    whistles = np.sin(2 * np.pi * np.array([[0.40], [0.43], [0.46]], dtype=np.float32) * time)
    sound = 0.3 * np.sin(phase) + 0.3 * signal.value[:, None] * np.sin(1.5 * phase)
    sound += 0.1 * signal.tags.astype(np.float32) @ whistles
    sound += random.normal(0, 0.02, size=sound.shape).astype(np.float32)
    ends = random.integers(samples // 2, samples + 1, size=(count, 1))
    return np.where(time < ends, sound, 0).astype(np.float32)


def tables(
    signal: Signal, random: np.random.Generator, numeric: int, cardinalities: Sequence[int]
) -> np.ndarray:
    """(N, columns) float32: first `numeric` random mixtures of class, value and tags, then a code a
    further column, the class modulo its cardinality; a tenth of the numbers is missing (NaN), a
    tenth of the codes unknown (-1).
    """
    count = len(signal.label)
    classes = np.eye(len(signal.names))[signal.label]
    shown = np.concatenate([classes, 4 * signal.value[:, None], signal.tags], axis=1)
    numbers = shown @ random.normal(size=(shown.shape[1], numeric)) + random.normal(
        0, 0.3, size=(count, numeric)
    )
    numbers -= numbers.mean(0)
    numbers[random.random(numbers.shape) < 0.1] = np.nan
    codes = signal.label[:, None] % np.array(cardinalities, dtype=np.int64).reshape(1, -1)
    codes[random.random(codes.shape) < 0.1] = -1
    return np.concatenate([numbers, codes], axis=1).astype(np.float32)
