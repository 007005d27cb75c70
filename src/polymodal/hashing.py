"""Stateless random numbers: they depend on a sample or a step, and on nothing before it."""

from __future__ import annotations

import random
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

STEP = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number: the golden ratio of 64 bits


def hashed_uniform(ids: Tensor, *salts: int | Tensor) -> Tensor:
    """int64 of any shape -> float64 in [0, 1) of the same shape, broadcast with the salts.

    The same for a sample in every batch, on every process and device, in every run (splitmix64,
    Steele et al. 2014). On Apple's GPUs, which have no float64, the first 24 bits of it as float32.

    Args:
        ids: numbers of samples.
        salts: what else the draw shall depend on, such as a seed, a step, or the index of a
            modality.
    """
    value = _mixed(ids.long())
    for salt in salts:
        value = _mixed(value ^ _mixed(salt + torch.ones_like(value)))
    value = value & (2**53 - 1)
    return (value >> 29).float() / 2**24 if value.device.type == "mps" else value.double() / 2**53


def hashed_normal(ids: Tensor, *salts: int | Tensor) -> Tensor:
    """Like `hashed_uniform`, but standard normal (Box and Muller 1958)."""
    radius = (-2 * (1 - hashed_uniform(ids, *salts, 1)).log()).sqrt()
    return radius * (2 * torch.pi * hashed_uniform(ids, *salts, 2)).cos()


def hashed_int(*numbers: int) -> int:
    """Any integers -> one in [0, 2**63) that looks as if it were drawn."""
    return int.from_bytes(blake2b(repr(numbers).encode(), digest_size=8).digest(), "little") >> 1


def seed_generators(device: torch.device, *numbers: int) -> None:
    """Puts the generators of Python, NumPy and torch into a state that depends on these numbers
    alone.

    Args:
        device: of the model; its generator is seeded beside that of the CPU.
        numbers: such as a seed, a process and a step.
    """
    seed = hashed_int(*numbers)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    # torch.manual_seed takes 200 us where CUDA is not in use
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def _mixed(value: Tensor) -> Tensor:
    value = value + STEP  # int64 wraps around
    value = (value ^ _shifted(value, 30)) * -4658895280553007687  # 0xBF58476D1CE4E5B9
    value = (value ^ _shifted(value, 27)) * -7723592293110705685  # 0x94D049BB133111EB
    return value ^ _shifted(value, 31)


def _shifted(value: Tensor, bits: int) -> Tensor:
    """A shift to the right that brings in zeros: torch's brings in the sign."""
    return (value >> bits) & (2 ** (64 - bits) - 1)
