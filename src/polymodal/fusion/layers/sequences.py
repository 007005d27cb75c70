"""What fusions over sequences read: the tokens of each modality, or its one vector as the only
token.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polymodal.outputs import Tokens


def as_sequences(x: Tensor, mask: Tensor, tokens: Sequence[Tokens] | None) -> list[Tokens]:
    """The m sequences of B samples, with zeros where a token or its whole modality is absent.

    Args:
        x: (B, m, d); read only without `tokens`.
        mask: (B, m) bool.
        tokens: the m sequences, or None: each row of x is one token.
    """
    if tokens is None:
        tokens = [Tokens(x[:, i, None], mask[:, i, None]) for i in range(x.shape[1])]
    there = [real & mask[:, i, None] for i, (_, real) in enumerate(tokens)]
    return [
        Tokens(t.values.masked_fill(~real[:, :, None], 0), real)
        for t, real in zip(tokens, there, strict=True)
    ]


def joined(sequences: Sequence[Tokens]) -> Tokens:
    """Several sequences, one after the other: (B, n_1 + n_2 + ..., d)."""
    values, masks = zip(*sequences, strict=True)
    return Tokens(torch.cat(values, dim=1), torch.cat(masks, dim=1))


def by_modality(shares: Tensor, sequences: Sequence[Tokens]) -> Tensor:
    """(B, n_1 + n_2 + ...), a share for each joined token -> (B, m), the sum over each modality."""
    parts = shares.split([sequence.mask.shape[1] for sequence in sequences], dim=1)
    return torch.stack([part.sum(1) for part in parts], dim=1)


class Labelled(nn.Module):
    """The m sequences, to whose tokens a learned vector of their modality is added.

    Tokens come from encoders, which put the position into them; here only the modality is lacking.

    Parameters: m*d

    Args:
        count: m.
        dim: d.
    """

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.labels = nn.Parameter(torch.randn(count, dim) * 0.02)

    def forward(
        self, x: Tensor, mask: Tensor, tokens: Sequence[Tokens] | None = None
    ) -> list[Tokens]:
        """(B, m, d), (B, m) bool, m sequences -> m sequences."""
        sequences = as_sequences(x, mask, tokens)
        return [
            Tokens(values + label, real)
            for (values, real), label in zip(sequences, self.labels, strict=True)
        ]
