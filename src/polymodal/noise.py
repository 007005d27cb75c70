"""Noise on the inputs of a batch, the same for a sample in every batch and run."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from polymodal.batch import PAD, PairedBatch
from polymodal.hashing import hashed_normal, hashed_uniform


def noisy(batch: PairedBatch, level: float, salt: int = 0) -> PairedBatch:
    """The batch with all inputs disturbed.

    Args:
        batch: as it goes into the encoders.
        level: floating-point inputs get normal noise with this many times their own standard deviation, sample by
            sample; of token ids this share is lost (at most 1).
        salt: another number, another noise.
    """
    if level == 0:
        return batch
    inputs = {
        name: _noisy_values(values, batch.id, level, (salt, index))
        if values.is_floating_point()
        else _thinned(values, batch.id, min(level, 1.0), (salt, index))
        for index, (name, values) in enumerate(batch.inputs.items())
    }
    return replace(batch, inputs=inputs)


def _noisy_values(values: Tensor, id: Tensor, level: float, salts: tuple[int, ...]) -> Tensor:
    flat = values.flatten(1)
    known = flat.isfinite()
    mean = flat.nanmean(1, keepdim=True)
    spread = ((flat - mean) ** 2).nanmean(1, keepdim=True).sqrt()
    place = torch.arange(flat.shape[1], device=flat.device)
    noise = hashed_normal(id[:, None], *salts, place).to(flat.dtype)
    return torch.where(known, flat + level * spread * noise, flat).view_as(values)


def _thinned(tokens: Tensor, id: Tensor, rate: float, salts: tuple[int, ...]) -> Tensor:
    """(B, T) ids without some of them; the others close ranks. The first token of a sample always stays."""
    place = torch.arange(tokens.shape[1], device=tokens.device)
    lost = (hashed_uniform(id[:, None], *salts, place) < rate) & (place > 0)
    tokens = tokens.masked_fill(lost, PAD)
    return tokens.gather(1, (tokens == PAD).long().argsort(dim=1, stable=True))
