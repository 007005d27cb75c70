"""Three-way XOR: no pair of modalities predicts anything, the three together do."""

from __future__ import annotations

import torch

from polymodal.data.tensors import TensorData, TensorSet
from polymodal.types import Fraction, PositiveInt, Seed


class XOR(TensorData):
    """a, b ~ Bernoulli(1/2)^bits; c = a XOR b with probability p, else a (Saporta et al. 2024,
    section 5.1).

    At p = 1 any two of the three are independent and any two determine the third. Values are -1 and
    +1 in the place of 0 and 1; the label `b` is the number that b writes in binary.

    Args:
        p: probability of c = a XOR b.
        bits: length of each vector.
        sizes: samples of training, validation and test.
        seed: of the samples and of their order.
        batch_size: samples of a training step, over all processes.
        limit: keep only so many samples of each split.
    """

    modalities = ("a", "b", "c")

    def __init__(
        self,
        p: Fraction = 1.0,
        bits: PositiveInt = 5,
        sizes: tuple[PositiveInt, PositiveInt, PositiveInt] = (10_000, 1_000, 5_000),
        seed: Seed = 0,
        batch_size: PositiveInt = 1000,
        limit: PositiveInt | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers=0, seed=seed, limit=limit)
        self.p, self.bits, self.sizes = p, bits, tuple(sizes)
        self.class_names = {"b": [f"{number:0{bits}b}" for number in range(2**bits)]}

    def splits(self) -> tuple[TensorSet, TensorSet, TensorSet]:
        """Drawn anew from the seed, each split by itself."""
        generator = torch.Generator().manual_seed(self.seed)
        first = 0
        result = []
        for size in self.sizes:
            a, b = torch.randint(0, 2, (2, size, self.bits), generator=generator)
            mixed = torch.rand(size, 1, generator=generator) < self.p
            values = {"a": a, "b": b, "c": torch.where(mixed, a ^ b, a)}
            powers = 2 ** torch.arange(self.bits - 1, -1, -1)
            numbers = {name: (value * powers).sum(1) for name, value in values.items()}
            inputs = {name: 2.0 * value - 1 for name, value in values.items()}
            result.append(TensorSet(inputs, {"b": numbers["b"]}, first, items=numbers))
            first += size
        return result[0], result[1], result[2]
