"""A recurrent network that does not read padding, for the sequences of every modality."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Recurrent(nn.Module):
    """LSTM (Hochreiter & Schmidhuber 1997) or GRU (Cho et al. 2014); backwards it starts at the
    last real step.

    Attributes:
        width: of the states, both directions together.

    Raises:
        ValueError: a dropout that a single layer has no place for.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        layers: int,
        cell: Literal["gru", "lstm"],
        bidirectional: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        if dropout and layers == 1:
            raise ValueError(
                f"dropout={dropout} lies between layers, and layers=1: give layers=2 or dropout=0"
            )
        self.width = width * (2 if bidirectional else 1)
        network = nn.GRU if cell == "gru" else nn.LSTM
        self.network = network(
            inputs,
            width,
            layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=float(dropout),
        )

    def forward(self, sequence: Tensor, real: Tensor) -> Tensor:
        """(B, n, c), (B, n) bool, True up to each one's length -> states (B, n, w), zeros after it.

        On CPUs autocast does not reach it: the kernel of equal lengths needs a CPU with bf16, and
        the one of different lengths would give fp32. States are fp32 in both cases.
        """
        if torch.compiler.is_exporting():
            return self.mirrored(sequence, real)
        if sequence.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return self._packed(sequence.to(next(self.network.parameters()).dtype), real)
        return self._packed(sequence, real)

    def _packed(self, sequence: Tensor, real: Tensor) -> Tensor:
        lengths = real.sum(1).clamp(min=1).cpu()  # packing reads them there
        packed = pack_padded_sequence(sequence, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(
            self.network(packed)[0], batch_first=True, total_length=sequence.shape[1]
        )[0]

    def mirrored(self, sequence: Tensor, real: Tensor) -> Tensor:
        """The same for graphs, which know no packing: backwards, each sequence is mirrored within
        its own length.
        """
        steps = torch.arange(sequence.shape[1], device=sequence.device)
        mirror = torch.where(real, real.sum(1, keepdim=True) - 1 - steps, steps)[:, :, None]
        weights = iter(self.network.all_weights)
        for _ in range(self.network.num_layers):
            states = [self._states(sequence, *next(weights))]
            if self.network.bidirectional:
                backwards = self._states(
                    sequence.gather(1, mirror.expand_as(sequence)), *next(weights)
                )
                states.append(backwards.gather(1, mirror.expand_as(backwards)))
            sequence = torch.cat(states, dim=2)
        return sequence.masked_fill(~real[:, :, None], 0)

    def _states(
        self, sequence: Tensor, of_input: Tensor, of_state: Tensor, *biases: Tensor
    ) -> Tensor:
        """(B, n, c) -> (B, n, w) of one layer in one direction: a loop of the graph, not one step
        of it a step.
        """
        from torch._higher_order_ops import scan  # here: only graphs need it

        def gru(h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            (reset, update, new) = x.chunk(3, -1)
            own = F.linear(h, of_state, biases[1]).chunk(3, -1)
            new = (new + (reset + own[0]).sigmoid() * own[2]).tanh()
            h = new + (update + own[1]).sigmoid() * (h - new)
            return h, h.clone()

        def lstm(state: tuple[Tensor, Tensor], x: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
            take, keep, new, show = (x + F.linear(state[0], of_state, biases[1])).chunk(4, -1)
            cell = keep.sigmoid() * state[1] + take.sigmoid() * new.tanh()
            h = show.sigmoid() * cell.tanh()
            return (h, cell), h.clone()

        inputs = F.linear(sequence, of_input, biases[0]).transpose(0, 1)
        start = sequence.new_zeros(sequence.shape[0], self.network.hidden_size)
        is_gru = isinstance(self.network, nn.GRU)
        _, states = scan(
            gru if is_gru else lstm, start if is_gru else (start, start.clone()), inputs
        )
        return states.transpose(0, 1)
