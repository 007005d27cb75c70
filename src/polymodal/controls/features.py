"""Simple features of samples, by kind of modality: what a linear model reads."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import Tensor

from polymodal.batch import PAD
from polymodal.encoders.audio.log_mel import LogMel

SIDE, CELLS, ANGLES = 32, 4, 9
"""Images are looked at with 32 x 32 pixels, in 4 x 4 cells, with gradients in 9 directions."""

MELS, PARTS = 40, 4
"""Sounds are looked at in 40 bands and 4 parts of their length."""

TOPICS = 256
"""Widths of captions after latent semantic analysis."""


def image_features(images: Tensor) -> Tensor:
    """(B, C, H, W) uint8 or float -> (B, 16 C + 16 * 9 + 64): colours, oriented gradients (Dalal &
    Triggs 2005), a thumbnail.
    """
    pixels = images.float() / (255 if images.dtype == torch.uint8 else 1)
    pixels = F.interpolate(pixels, (SIDE, SIDE), mode="area")
    grey = pixels.mean(1, keepdim=True)
    # each pixel's gradient counts for its direction, whichever side is the brighter one
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    dx = padded[:, 0, 1:-1, 2:] - padded[:, 0, 1:-1, :-2]
    dy = padded[:, 0, 2:, 1:-1] - padded[:, 0, :-2, 1:-1]
    angle = (torch.atan2(dy, dx) % torch.pi / torch.pi * ANGLES).long().clamp(max=ANGLES - 1)
    strength = F.one_hot(angle, ANGLES).permute(0, 3, 1, 2) * torch.hypot(dx, dy)[:, None]
    gradients = F.adaptive_avg_pool2d(strength, CELLS)
    gradients = (gradients / gradients.sum((1, 2, 3), keepdim=True).clamp(min=1e-6)).sqrt()
    colours = F.adaptive_avg_pool2d(pixels, CELLS)
    thumbnail = F.adaptive_avg_pool2d(grey, 2 * CELLS)
    return torch.cat([part.flatten(1) for part in (colours, gradients, thumbnail)], dim=1)


def video_features(frames: Tensor) -> Tensor:
    """(B, T, C, H, W) -> the mean of the features of its frames."""
    return image_features(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).mean(1)


def audio_features(waveforms: Tensor, sample_rate: int) -> Tensor:
    """(B, samples) -> (B, 40 * 6): means and deviations of log-mel bands, and means of four parts
    of the sound.
    """
    log_mel = LogMel(sample_rate, MELS)
    spectra, real = log_mel(waveforms), log_mel.mask(waveforms)
    rows = []
    for spectrum, frames in zip(spectra, real.sum(1).tolist(), strict=True):
        own = spectrum[:, :frames]
        parts = F.adaptive_avg_pool1d(own[None], PARTS)[0]
        rows.append(torch.cat([own.mean(1), own.std(1, correction=0), parts.flatten()]))
    return torch.stack(rows)


class Numbers:
    """Vectors, standardised; a missing number counts as the mean, and a column of its own says so.

    Args:
        codes: how many of the last columns are numbers of categories.
    """

    def __init__(self, codes: int = 0) -> None:
        self.codes = codes
        self.scaler = StandardScaler()
        self.categories = OneHotEncoder(
            handle_unknown="ignore", max_categories=50, sparse_output=False
        )

    def fit(self, rows: Sequence[np.ndarray]) -> Numbers:
        """Learns means, deviations and categories from the training samples, N vectors."""
        values, codes = self._parts(rows)
        self.scaler.fit(values)
        self.sometimes = np.isnan(values).any(0)
        if self.codes:
            self.categories.fit(codes)
        self.width = self(rows[:1]).shape[1]
        return self

    def __call__(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """N vectors -> (N, width) float64."""
        values, codes = self._parts(rows)
        missing = np.isnan(values)
        parts = [np.where(missing, 0, self.scaler.transform(values)), missing[:, self.sometimes]]
        if self.codes:
            parts.append(self.categories.transform(codes))
        return np.concatenate(parts, axis=1)

    def _parts(self, rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        table = np.stack(rows).astype(np.float64)
        width = table.shape[1] - self.codes
        return table[:, :width], table[:, width:]


class Captions:
    """TF-IDF of tokens and of pairs of them, as latent semantic analysis (Deerwester et al.
    1990).
    """

    def __init__(self) -> None:
        self.weights = TfidfVectorizer(analyzer=_pieces, sublinear_tf=True)

    def fit(self, rows: Sequence[np.ndarray]) -> Captions:
        """Learns the weights from the training captions, N rows of token ids."""
        table = self.weights.fit_transform(rows)
        self.width = max(1, min(TOPICS, table.shape[0] - 1, table.shape[1] - 1))
        self.topics = TruncatedSVD(self.width, random_state=0)
        self.topics.fit(table)
        return self

    def __call__(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """N rows of ids -> (N, width) float64."""
        return self.topics.transform(self.weights.transform(rows))


def _pieces(ids: np.ndarray) -> list[str]:
    """Token ids, and pairs of neighbours, as the words of a document."""
    words = [str(number) for number in ids.tolist() if number != PAD]
    return [*words, *(f"{left} {right}" for left, right in pairwise(words))]
