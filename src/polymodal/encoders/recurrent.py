"""A recurrent network that does not read padding, for the sequences of every modality."""

from __future__ import annotations

from typing import Literal

import torch
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
        if torch.compiler.is_exporting():
            return self.mirrored(sequence, real)
        lengths = real.sum(1).clamp(min=1).cpu()  # packing reads them there
        packed = pack_padded_sequence(sequence, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.network(packed)[0], batch_first=True, total_length=sequence.shape[1])[0]

    def mirrored(self, sequence: Tensor, real: Tensor) -> Tensor:
        """The same for graphs, which know no packing: backwards, each sequence is mirrored within its own length."""
        steps = torch.arange(sequence.shape[1], device=sequence.device)
        mirror = torch.where(real, real.sum(1, keepdim=True) - 1 - steps, steps)[:, :, None]
        weights = iter(self.network.all_weights)
        for _ in range(self.network.num_layers):
            states = [self._states(sequence, next(weights))]
            if self.network.bidirectional:
                there_and_back = sequence.gather(1, mirror.expand_as(sequence))
                found = self._states(there_and_back, next(weights))
                states.append(found.gather(1, mirror.expand_as(found)))
            sequence = torch.cat(states, dim=2)
        return sequence.masked_fill(~real[:, :, None], 0)

    def _states(self, sequence: Tensor, weights: list[Tensor]) -> Tensor:
        """(B, n, c) -> (B, n, w) of one layer in one direction."""
        start = sequence.new_zeros(1, sequence.shape[0], self.network.hidden_size)
        if isinstance(self.network, nn.GRU):
            return torch.gru(sequence, start, weights, True, 1, 0.0, False, False, True)[0]
        return torch.lstm(sequence, [start, start], weights, True, 1, 0.0, False, False, True)[0]
