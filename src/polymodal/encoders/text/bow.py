"""A bag of words."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polymodal.batch import PAD
from polymodal.tokens import Tokens, masked_mean
from polymodal.types import PositiveInt, Probability


class BagOfWords(nn.Module):
    """The mean of the token embeddings, whatever their order, through one linear map.

    Args:
        dim: d, the width of the output.
        vocab_size: number of token ids; `PAD` does not count.
        width: of the embeddings.
        dropout: share of the tokens that are lost in training (Iyyer et al. 2015).
    """

    def __init__(
        self, dim: PositiveInt, vocab_size: PositiveInt, width: PositiveInt = 256, dropout: Probability = 0.0
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.embedding = nn.EmbeddingBag(vocab_size, width, mode="mean", padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.projection = nn.Linear(width, dim)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, d)."""
        ids = self._kept(ids)
        if torch.compiler.is_exporting():  # graphs of the embedding bag are for more than one caption only
            return self.projection(masked_mean(*self._words(ids)))
        return self.projection(self.embedding(ids))

    def tokens(self, ids: Tensor) -> Tokens:
        """(B, T) -> a vector (B, T, d) of each token, by itself; their mean is `forward`."""
        values, real = self._words(self._kept(ids))
        return Tokens(self.projection(values), real)

    def _kept(self, ids: Tensor) -> Tensor:
        """(B, T) -> the same; in training some of them are `PAD`."""
        if not self.training or not self.dropout:
            return ids
        return ids.masked_fill(torch.rand(ids.shape, device=ids.device) < self.dropout, PAD)

    def _words(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) -> (B, T, w), (B, T) bool."""
        return F.embedding(ids, self.embedding.weight, PAD), ids != PAD
