"""Numbers that look like chance, depend on the sample alone, and are spread as they should be."""

import pytest
import torch
from scipy.stats import kstest

from polymodal.hashing import hashed_normal, hashed_uniform


def splitmix(value: int) -> int:
    """The mixing function in Python's unbounded integers: the reference."""
    mask = 2**64 - 1
    value = (value + 0x9E3779B97F4A7C15) & mask
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & mask
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & mask
    return value ^ (value >> 31)


@pytest.mark.parametrize("number", [0, 1, -1, 12345, 2**62, -(2**63)])
def test_the_mixing_is_that_of_splitmix64(number: int) -> None:
    expected = (splitmix(number & (2**64 - 1)) & (2**53 - 1)) / 2**53
    assert hashed_uniform(torch.tensor(number)).item() == expected


def test_a_device_without_float64_has_the_same_numbers_in_float32() -> None:
    class OfApple(torch.Tensor):
        device = torch.device("mps")

    ids = torch.arange(1_000)
    draws = hashed_uniform(ids.as_subclass(OfApple), 3).as_subclass(torch.Tensor)
    assert draws.dtype == torch.float32
    assert (hashed_uniform(ids, 3) - draws >= 0).all()
    assert (hashed_uniform(ids, 3) - draws < 2**-24).all()


def test_uniform_and_normal_are_what_they_are_called() -> None:
    ids = torch.arange(20_000)
    assert kstest(hashed_uniform(ids, 3).numpy(), "uniform").pvalue > 0.01
    assert kstest(hashed_normal(ids, 3).numpy(), "norm").pvalue > 0.01


def test_a_salt_makes_another_number_and_salts_do_not_commute() -> None:
    ids = torch.arange(5_000)
    draws = [
        hashed_uniform(ids),
        hashed_uniform(ids, 1),
        hashed_uniform(ids, 2),
        hashed_uniform(ids, 1, 2),
    ]
    draws.append(hashed_uniform(ids, 2, 1))
    correlation = torch.corrcoef(torch.stack(draws)) - torch.eye(len(draws))
    assert correlation.abs().max() < 0.05


def test_it_depends_on_the_sample_and_not_on_its_place() -> None:
    ids = torch.tensor([7, 3, 99])
    assert torch.equal(hashed_uniform(ids)[[2, 0, 1]], hashed_uniform(ids[[2, 0, 1]]))
    table = hashed_uniform(ids[:, None], torch.arange(4))
    assert table.shape == (3, 4)
    assert table[1, 2] == hashed_uniform(torch.tensor(3), 2)
