"""Convolutions over a caption."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polymodal.batch import PAD
from polymodal.outputs import Tokens
from polymodal.types import PositiveInt, Probability


class CNN(nn.Module):
    """Filters of several widths, each with its largest answer over the caption (Kim 2014), then one
    linear map.

    A filter stands once on every real token and sees zeros beyond the ends, so that a caption may
    be shorter than it; where it would stand on padding its answer does not count.

    Args:
        dim: d, the width of the output.
        vocab_size: number of token ids.
        width: of the embeddings.
        filter_widths: tokens that a filter sees; one convolution each.
        filters: number of each width.
        dropout: rate before the linear map.
    """

    def __init__(
        self,
        dim: PositiveInt,
        vocab_size: PositiveInt,
        width: PositiveInt = 128,
        filter_widths: Sequence[PositiveInt] = (3, 4, 5),
        filters: PositiveInt = 100,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width, padding_idx=PAD)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, filters, size, padding=size // 2) for size in filter_widths
        )
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(filters * len(filter_widths), dim)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, d)."""
        return self._project(self._answers(ids).amax(1))

    def tokens(self, ids: Tensor) -> Tokens:
        """(B, T) -> (B, T, d), what the filters say at each token."""
        return Tokens(self._project(self._answers(ids)), ids != PAD)

    def _answers(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, filters of all widths), zero at padding, which no real answer lies
        below.
        """
        real = (ids != PAD)[:, :, None]
        x = self.embedding(ids).masked_fill(~real, 0).transpose(1, 2)
        length = ids.shape[1]  # an even filter would stand once more, beyond the end
        answers = torch.cat(
            [convolution(x)[:, :, :length] for convolution in self.convolutions], 1
        ).transpose(1, 2)
        return answers.relu().masked_fill(~real, 0)

    def _project(self, answers: Tensor) -> Tensor:
        return self.projection(self.dropout(answers))
