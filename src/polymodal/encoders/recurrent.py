"""A recurrent network that does not read padding, for the sequences of every modality."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Recurrent(nn.Module):
    """LSTM (Hochreiter & Schmidhuber 1997) or GRU (Cho et al. 2014); backwards it starts at the last real step.

    Attributes:
        width: of the states, both directions together.

    Raises:
        ValueError: a dropout that a single layer has no place for.
    """

    def __init__(
        self, inputs: int, width: int, layers: int, cell: Literal["gru", "lstm"], bidirectional: bool, dropout: float
    ) -> None:
        super().__init__()
        if dropout and layers == 1:
            raise ValueError(f"dropout={dropout} lies between layers, and layers=1: give layers=2 or dropout=0")
        self.width = width * (2 if bidirectional else 1)
        network = nn.GRU if cell == "gru" else nn.LSTM
        self.network = network(
            inputs, width, layers, batch_first=True, bidirectional=bidirectional, dropout=float(dropout)
        )

    def forward(self, sequence: Tensor, real: Tensor) -> Tensor:
        """(B, n, c), (B, n) bool, True up to each one's length -> states (B, n, w), zeros after it."""
        lengths = real.sum(1).clamp(min=1).cpu()  # packing reads them there
        packed = pack_padded_sequence(sequence, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.network(packed)[0], batch_first=True, total_length=sequence.shape[1])[0]
