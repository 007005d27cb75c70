"""A recurrent network over the frames of a spectrogram."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from polymodal.encoders.audio.log_mel import LogMel
from polymodal.encoders.recurrent import Recurrent
from polymodal.outputs import Tokens, masked_mean
from polymodal.types import PositiveInt, Probability


class RNN(nn.Module):
    """The mean state of an LSTM (Hochreiter & Schmidhuber 1997) or GRU (Cho et al. 2014) over the
    log-mel frames, each normalised by itself, then one linear map. Padding is never read.

    Args:
        dim: d, the width of the output.
        log_mel: the front end.
        width: of the states in each direction.
        layers: one upon the other.
        cell: `gru` or `lstm`.
        bidirectional: reads from the end of the sound too.
        dropout: rate between layers.

    Raises:
        ValueError: a dropout with a single layer.
    """

    def __init__(
        self,
        dim: PositiveInt,
        log_mel: LogMel,
        width: PositiveInt = 128,
        layers: PositiveInt = 1,
        cell: Literal["gru", "lstm"] = "gru",
        bidirectional: bool = True,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.log_mel = log_mel
        self.norm = nn.LayerNorm(log_mel.mels)
        self.recurrent = Recurrent(log_mel.mels, width, layers, cell, bidirectional, dropout)
        self.projection = nn.Linear(self.recurrent.width, dim)

    def forward(self, waveforms: Tensor) -> Tensor:
        """(B, samples) -> (B, d)."""
        states, real = self._states(waveforms)
        return self.projection(masked_mean(states, real))

    def tokens(self, waveforms: Tensor) -> Tokens:
        """(B, samples) -> the state (B, frames, d) at each frame; their mean is `forward`."""
        states, real = self._states(waveforms)
        return Tokens(self.projection(states), real)

    def _states(self, waveforms: Tensor) -> tuple[Tensor, Tensor]:
        """(B, samples) -> (B, frames, w), (B, frames) bool."""
        real = self.log_mel.mask(waveforms)
        return self.recurrent(self.norm(self.log_mel(waveforms).transpose(1, 2)), real), real
