"""A perceptron over the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polymodal.encoders.tabular.features import Features
from polymodal.types import NonNegativeInt, PositiveInt, Probability


class MLP(nn.Module):
    """Numbers and embedded categories side by side through a multi-layer perceptron (after
    Gorishniy et al. 2021).

    A sample is one row of floats: first the numeric columns, then the categories' codes 0, 1, ... A
    number that is NaN is missing: it counts as 0, and each numeric column has a second input that
    says so. A code that is negative, too large or NaN is unknown, which is a category of its own.

    Args:
        dim: d, the width of the output.
        numeric: number of numeric columns, best of mean 0 and variance 1.
        cardinalities: number of categories of each further column.
        embedding: width of a category's vector.
        hidden: widths of the layers between.
        dropout: rate after each of them.

    Raises:
        ValueError: there is no column, or a dropout without a hidden layer.
    """

    casts_inputs = True
    """The model hands over numbers and codes as they are in the data, whatever the precision."""

    def __init__(
        self,
        dim: PositiveInt,
        numeric: NonNegativeInt,
        cardinalities: Sequence[PositiveInt] = (),
        embedding: PositiveInt = 16,
        hidden: Sequence[PositiveInt] = (256, 256),
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        if not numeric and not cardinalities:
            raise ValueError("numeric=0 and no cardinalities: a table has at least one column")
        self.numeric, self.cardinalities = numeric, list(cardinalities)
        # one table for all columns; the first row of each is for what is unknown
        self.embedding = (
            nn.Embedding(sum(c + 1 for c in cardinalities), embedding) if cardinalities else None
        )
        self.layers = Features(
            dim, 2 * numeric + embedding * len(self.cardinalities), hidden, dropout
        )

    def forward(self, columns: Tensor) -> Tensor:
        """(B, columns) -> (B, d).

        Raises:
            ValueError: the number of columns is another, or their dtype cannot hold the codes.
        """
        if columns.shape[1] != self.numeric + len(self.cardinalities):
            raise ValueError(
                f"The table has {columns.shape[1]} columns; numeric={self.numeric} and "
                f"cardinalities={self.cardinalities} make {self.numeric + len(self.cardinalities)}."
            )
        numbers, codes = columns.split([self.numeric, len(self.cardinalities)], dim=1)
        numbers = numbers.to(next(self.layers.parameters()).dtype)
        missing = numbers.isnan()
        parts = [numbers.masked_fill(missing, 0), missing.to(numbers.dtype)]
        if self.embedding is not None:
            parts.append(self.embedding(self._rows(codes)).flatten(1))
        return self.layers(torch.cat(parts, dim=1))

    def _rows(self, codes: Tensor) -> Tensor:
        """(B, categorical columns) float codes -> rows of the embedding."""
        if max(self.cardinalities) > 2 / torch.finfo(codes.dtype).eps:
            raise ValueError(
                f"cardinalities={self.cardinalities}: {codes.dtype} cannot hold so many codes. "
                "Choose another precision than one with half-width weights, such as bf16."
            )
        sizes = torch.tensor(self.cardinalities).to(codes.device, non_blocking=True)
        known = (codes >= 0) & (codes < sizes)  # False for NaN
        firsts = torch.cumsum(sizes + 1, 0) - (sizes + 1)
        return firsts + torch.where(known, codes + 1, 0).long()
