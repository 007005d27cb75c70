"""Convolutions over a spectrogram."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polymodal.encoders.audio.log_mel import LogMel
from polymodal.outputs import Tokens, masked_mean
from polymodal.types import PositiveInt


class CNN(nn.Module):
    """Convolutions over the log-mel spectrogram, each halving time and pitch (after Kong et al.
    2020), one linear map of all pitches of a step, the mean over the real steps.

    Everything is normalised within its own step of time: neither padding nor other samples play a
    part, nor does how loud a recording is.

    Args:
        dim: d, the width of the output.
        log_mel: the front end; its `mels` are a multiple of 2 ** number of stages.
        widths: channels of each stage.

    Raises:
        ValueError: the mels cannot be halved so often.
    """

    def __init__(
        self, dim: PositiveInt, log_mel: LogMel, widths: Sequence[PositiveInt] = (32, 64, 128)
    ) -> None:
        super().__init__()
        if log_mel.mels % 2 ** len(widths):
            raise ValueError(
                f"mels={log_mel.mels} is not a multiple of {2 ** len(widths)} (one halving a stage)"
            )
        self.log_mel = log_mel
        self.norm = nn.LayerNorm(log_mel.mels)
        sides = [log_mel.mels // 2**stage for stage in range(1, len(widths) + 1)]
        self.stages = nn.ModuleList(map(Stage, [1, *widths[:-1]], widths, sides))
        self.projection = nn.Linear(widths[-1] * sides[-1], dim)

    def forward(self, waveforms: Tensor) -> Tensor:
        """(B, samples) -> (B, d)."""
        features, real = self._features(waveforms)
        return self.projection(masked_mean(features, real))

    def tokens(self, waveforms: Tensor) -> Tokens:
        """(B, samples) -> a vector (B, steps, d) of each step of time; their mean is `forward`."""
        features, real = self._features(waveforms)
        return Tokens(self.projection(features), real)

    def _features(self, waveforms: Tensor) -> tuple[Tensor, Tensor]:
        """(B, samples) -> (B, steps, channels * pitches), (B, steps) bool."""
        real = self.log_mel.mask(waveforms)
        x = self.norm(self.log_mel(waveforms).transpose(1, 2))[:, None].masked_fill(
            ~real[:, None, :, None], 0
        )
        lengths = real.sum(1)
        for stage in self.stages:
            lengths = (lengths + 1) // 2
            x = stage(x, lengths)
        return x.transpose(1, 2).flatten(2), within(lengths, x)


class Stage(nn.Module):
    """A 3 x 3 convolution at stride 2, a normalisation and a ReLU; zeros at padding, as beyond the
    ends.
    """

    def __init__(self, channels_in: int, channels: int, side: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, channels, kernel_size=3, stride=2, padding=1)
        self.norm = nn.LayerNorm([channels, side])

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, C, 2 steps, 2 side), (B,) steps that are real -> (B, C', steps, side)."""
        x = self.norm(self.convolution(x).transpose(1, 2)).transpose(1, 2).relu()
        return x.masked_fill(~within(lengths, x)[:, None, :, None], 0)


def within(lengths: Tensor, x: Tensor) -> Tensor:
    """(B,) lengths, (B, C, steps, side) -> (B, steps) bool: the steps before the end."""
    return torch.arange(x.shape[2], device=x.device) < lengths[:, None]
