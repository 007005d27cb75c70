"""A recurrent network over a caption."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from polymodal.batch import PAD
from polymodal.encoders.recurrent import Recurrent
from polymodal.outputs import Tokens, masked_mean
from polymodal.types import PositiveInt, Probability


class RNN(nn.Module):
    """The mean state of an LSTM (Hochreiter & Schmidhuber 1997) or GRU (Cho et al. 2014), then one
    linear map.

    Args:
        dim: d, the width of the output.
        vocab_size: number of token ids; `PAD`, which stands at the end only, is never read.
        width: of the embeddings, and of the states in each direction.
        layers: one upon the other.
        cell: `gru` or `lstm`.
        bidirectional: reads the caption from its last token too.
        dropout: rate between layers.

    Raises:
        ValueError: a dropout with a single layer.
    """

    def __init__(
        self,
        dim: PositiveInt,
        vocab_size: PositiveInt,
        width: PositiveInt = 128,
        layers: PositiveInt = 1,
        cell: Literal["gru", "lstm"] = "lstm",
        bidirectional: bool = True,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width, padding_idx=PAD)
        self.recurrent = Recurrent(width, width, layers, cell, bidirectional, dropout)
        self.projection = nn.Linear(self.recurrent.width, dim)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, d)."""
        return self.projection(masked_mean(self._states(ids), ids != PAD))

    def tokens(self, ids: Tensor) -> Tokens:
        """(B, T) -> the state (B, T, d) at each token; their mean is `forward`."""
        return Tokens(self.projection(self._states(ids)), ids != PAD)

    def _states(self, ids: Tensor) -> Tensor:
        return self.recurrent(self.embedding(ids), ids != PAD)
