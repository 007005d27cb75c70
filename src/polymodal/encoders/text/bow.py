"""A bag of words."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polymodal.batch import PAD
from polymodal.outputs import Tokens, masked_mean
from polymodal.types import PositiveInt


class BagOfWords(nn.Module):
    """The mean of the token embeddings, whatever their order, through one linear map.

    Args:
        dim: d, the width of the output.
        vocab_size: number of token ids; `PAD` does not count.
        width: of the embeddings.
    """

    def __init__(self, dim: PositiveInt, vocab_size: PositiveInt, width: PositiveInt = 256) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, width, mode="mean", padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.projection = nn.Linear(width, dim)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, d)."""
        # graphs of the embedding bag are for more than one caption only
        if torch.compiler.is_exporting():
            return self.projection(masked_mean(*self._words(ids)))
        return self.projection(self.embedding(ids))

    def tokens(self, ids: Tensor) -> Tokens:
        """(B, T) -> a vector (B, T, d) of each token, by itself; their mean is `forward`."""
        values, real = self._words(ids)
        return Tokens(self.projection(values), real)

    def _words(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) -> (B, T, w), (B, T) bool."""
        return F.embedding(ids, self.embedding.weight, PAD), ids != PAD
