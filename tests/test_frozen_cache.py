"""Vectors come from the file when they can, and never from a file of something else."""

import torch
from torch import nn

from polymodal.frozen_cache import FrozenCache, cache_key


class Counter(nn.Module):
    """A linear encoder that counts what it is given."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.linear = nn.Linear(3, 2)
        self.count = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.count += len(inputs)
        return self.linear(inputs)


def test_a_second_run_encodes_only_what_it_checks(tmp_path) -> None:
    encoder, inputs, items = Counter(), torch.randn(50, 3), torch.randperm(50)
    expected = encoder.linear(inputs)
    first = FrozenCache(tmp_path)
    torch.testing.assert_close(first(encoder, inputs[:30], items[:30]), expected[:30])
    first.save()
    torch.testing.assert_close(first(encoder, inputs, items), expected)
    assert encoder.count == 30 + 20
    first.save()
    encoder.count = 0
    second = FrozenCache(tmp_path)
    order = torch.randperm(50)
    torch.testing.assert_close(second(encoder, inputs[order], items[order]), expected[order])
    assert encoder.count == 8


def test_vectors_of_other_inputs_are_not_believed(tmp_path) -> None:
    encoder, items = Counter(), torch.arange(20)
    cache = FrozenCache(tmp_path)
    cache(encoder, torch.randn(20, 3), items)
    cache.save()
    inputs = torch.randn(20, 3)
    torch.testing.assert_close(FrozenCache(tmp_path)(encoder, inputs, items), encoder.linear(inputs))


def test_processes_share_what_they_wrote(tmp_path) -> None:
    encoder, inputs = Counter(), torch.randn(20, 3)
    for rank, rows in enumerate(torch.arange(20).chunk(2)):
        cache = FrozenCache(tmp_path, rank)
        cache(encoder, inputs[rows], rows)
        cache.save()
    encoder.count = 0
    torch.testing.assert_close(FrozenCache(tmp_path, 1)(encoder, inputs, torch.arange(20)), encoder.linear(inputs))
    assert encoder.count == 8


def test_the_key_is_that_of_weights_and_data() -> None:
    key = cache_key(Counter(), {"path": "a", "batch_size": 3})
    assert key == cache_key(Counter(), {"path": "a", "batch_size": 9})
    assert key != cache_key(Counter(seed=1), {"path": "a"})
    assert key != cache_key(Counter(), {"path": "b"})
