"""Vectors come from the file when they can, and never from a file of something else."""

import torch
from torch import nn

from polymodal.encoders.frozen_cache import FrozenCache, cache_key
from polymodal.encoders.image.cnn import CNN

DATA = {"path": "somewhere", "batch_size": 9}


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
    first = FrozenCache(tmp_path, DATA)
    torch.testing.assert_close(first(encoder, inputs[:30], items[:30]), expected[:30])
    first.save()
    torch.testing.assert_close(first(encoder, inputs, items), expected)
    assert encoder.count == 30 + 20
    first.save()
    assert not first.new  # what is on disk is not written again
    encoder.count = 0
    second = FrozenCache(tmp_path, DATA)
    order = torch.randperm(50)
    torch.testing.assert_close(second(encoder, inputs[order], items[order]), expected[order])
    assert encoder.count == 8


def test_vectors_of_other_inputs_are_not_believed(tmp_path) -> None:
    encoder, items = Counter(), torch.arange(20)
    cache = FrozenCache(tmp_path, DATA)
    cache(encoder, torch.randn(20, 3), items)
    cache.save()
    inputs = torch.randn(20, 3)
    torch.testing.assert_close(
        FrozenCache(tmp_path, DATA)(encoder, inputs, items), encoder.linear(inputs)
    )


def test_processes_share_what_they_wrote(tmp_path) -> None:
    encoder, inputs = Counter(), torch.randn(20, 3)
    for rank, rows in enumerate(torch.arange(20).chunk(2)):
        cache = FrozenCache(tmp_path, DATA, rank)
        cache(encoder, inputs[rows], rows)
        cache.save()
    encoder.count = 0
    torch.testing.assert_close(
        FrozenCache(tmp_path, DATA, 1)(encoder, inputs, torch.arange(20)), encoder.linear(inputs)
    )
    assert encoder.count == 8


def test_the_key_is_that_of_weights_and_data() -> None:
    key = cache_key(Counter(), {"path": "a", "batch_size": 3})
    assert key == cache_key(Counter(), {"path": "a", "batch_size": 9})
    assert key != cache_key(Counter(seed=1), {"path": "a"})
    assert key != cache_key(Counter(), {"path": "b"})
    assert key != cache_key(Counter(), {"path": "a", "seed": 1})
    with torch.autocast("cpu", torch.bfloat16):
        assert key != cache_key(Counter(), {"path": "a"})


def test_an_encoder_with_batch_norms_in_any_precision(tmp_path) -> None:
    items = torch.arange(12)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        encoder, inputs = CNN(8, widths=(4,)).eval().to(dtype), torch.randn(12, 1, 32, 32).to(dtype)
        for _ in range(2):
            cache = FrozenCache(tmp_path, DATA)
            vectors = cache(encoder, inputs, items)
            assert vectors.dtype == dtype
            torch.testing.assert_close(vectors, encoder(inputs), rtol=2e-2, atol=2e-2)
            cache.save()


def test_half_precision_gives_the_dtype_of_the_weights(tmp_path) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert (
            FrozenCache(tmp_path, DATA)(Counter(), torch.randn(3, 3), torch.arange(3)).dtype
            == torch.float32
        )


def test_the_files_are_those_of_the_weights_at_the_first_use(tmp_path) -> None:
    encoder, inputs, items = Counter(), torch.randn(20, 3), torch.arange(20)
    made = FrozenCache(tmp_path, DATA)
    # as eval.py does, after the model was built
    encoder.load_state_dict(Counter(seed=5).state_dict())
    made(encoder, inputs, items)
    made.save()
    encoder.count = 0
    again = Counter(seed=5)
    FrozenCache(tmp_path, DATA)(again, inputs, items)
    assert again.count == 8
