"""A transformer over patches of a spectrogram."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polymodal.encoders.attention import Block, sinusoids
from polymodal.encoders.audio.log_mel import LogMel
from polymodal.outputs import Tokens, masked_mean
from polymodal.types import PositiveInt, Probability


class Transformer(nn.Module):
    """Square patches of the log-mel spectrogram as words (AST, Gong et al. 2021), the mean over the
    real ones, one linear map.

    Unlike AST the patches do not overlap, and positions in time are sinusoids, so that a sound may
    be of any length.

    Args:
        dim: d, the width of the output.
        log_mel: the front end; its `mels` are a multiple of `patch_size`.
        patch_size: side of a patch in bands and in frames.
        width: w, the width of the blocks, a multiple of `heads`.
        layers: number of blocks.
        heads: attention heads a block.
        dropout: rate on both residual branches.

    Raises:
        ValueError: the mels cannot be cut into patches, or the width not be shared by the heads.
    """

    def __init__(
        self,
        dim: PositiveInt,
        log_mel: LogMel,
        patch_size: PositiveInt = 16,
        width: PositiveInt = 128,
        layers: PositiveInt = 2,
        heads: PositiveInt = 4,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        if log_mel.mels % patch_size:
            raise ValueError(f"mels={log_mel.mels} is not a multiple of patch_size={patch_size}")
        self.log_mel, self.patch_size = log_mel, patch_size
        self.norm_in = nn.LayerNorm(log_mel.mels)
        self.patches = nn.Conv2d(1, width, kernel_size=patch_size, stride=patch_size)
        self.pitches = nn.Parameter(torch.randn(log_mel.mels // patch_size, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, dim)

    def forward(self, waveforms: Tensor) -> Tensor:
        """(B, samples) -> (B, d)."""
        states, real = self._states(waveforms)
        return self.projection(masked_mean(states, real))

    def tokens(self, waveforms: Tensor) -> Tokens:
        """(B, samples) -> a vector (B, steps * pitches, d) of each patch; their mean is
        `forward`.
        """
        states, real = self._states(waveforms)
        return Tokens(self.projection(states), real)

    def _states(self, waveforms: Tensor) -> tuple[Tensor, Tensor]:
        """(B, samples) -> (B, n, w), (B, n) bool, the pitches of a step side by side."""
        real = self.log_mel.mask(waveforms)
        frames = self.norm_in(self.log_mel(waveforms).transpose(1, 2)).masked_fill(
            ~real[:, :, None], 0
        )
        rest = -frames.shape[1] % self.patch_size
        # (B, steps, pitches, w)
        grid = self.patches(F.pad(frames, (0, 0, 0, rest))[:, None]).permute(0, 2, 3, 1)
        steps, pitches, width = grid.shape[1:]
        x = (grid + self.pitches + sinusoids(steps, width, grid)[:, None]).flatten(1, 2)
        real = (
            F.pad(real, (0, rest))
            .unflatten(1, (steps, -1))
            .any(2)
            .repeat_interleave(pitches, dim=1)
        )
        for block in self.blocks:
            x = block(x, real[:, None, None, :])
        return self.norm(x), real
