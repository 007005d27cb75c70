"""Noise on the inputs of a batch, the same for a sample in every batch and run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.data.loading.augment import drop_tokens, uniform_of
from polymodal.hashing import hashed_normal


def noisy(
    batch: PairedBatch, level: float, salt: int = 0, codes: Mapping[str, int] | None = None
) -> PairedBatch:
    """The batch with all inputs disturbed.

    Args:
        batch: as it goes into the encoders.
        level: floating-point inputs get normal noise with this many times their own standard
            deviation, sample by sample; of token ids, and of codes, this share is lost (at most 1).
        salt: another number, another noise.
        codes: modality -> how many of its last columns are codes of categories; a lost one is -1,
            unknown.
    """
    if level == 0:
        return batch
    inputs = {}
    for index, (name, values) in enumerate(batch.inputs.items()):
        salts = (salt, index)
        if not values.is_floating_point():
            inputs[name] = _thinned(values, batch.id, min(level, 1.0), salts)
            continue
        count = (codes or {}).get(name, 0)
        numbers = values[:, : values.shape[1] - count]
        categories = values[:, values.shape[1] - count :]
        parts = [_noisy_values(numbers, batch.id, level, salts)]
        if count:
            parts.append(_lost_codes(categories, batch.id, level, salts))
        inputs[name] = torch.cat(parts, dim=1)
    return replace(batch, inputs=inputs)


def _noisy_values(values: Tensor, id: Tensor, level: float, salts: tuple[int, ...]) -> Tensor:
    """(B, ...) with noise; zeros at the end of a row of numbers are padding, and stay."""
    flat = values.flatten(1)
    place = torch.arange(flat.shape[1], device=flat.device)
    known = flat.isfinite()
    if values.ndim == 2:
        known = known & (place <= (flat != 0).long().mul(place).amax(1, keepdim=True))
    count = known.sum(1, keepdim=True).clamp(min=1)
    mean = flat.where(known, 0).sum(1, keepdim=True) / count
    spread = ((flat - mean) ** 2).where(known, 0).sum(1, keepdim=True).div(count).sqrt()
    noise = hashed_normal(id[:, None], *salts, place).to(flat.dtype)
    return torch.where(known, flat + level * spread * noise, flat).view_as(values)


def _lost_codes(codes: Tensor, id: Tensor, level: float, salts: tuple[int, ...]) -> Tensor:
    return codes.masked_fill(uniform_of(id, codes.shape[1], *salts) < level, -1)


def _thinned(tokens: Tensor, id: Tensor, rate: float, salts: tuple[int, ...]) -> Tensor:
    """(B, T) ids without some of them; the others close ranks. The first token of a sample always
    stays.
    """
    uniform = uniform_of(id, tokens.shape[1], *salts)
    uniform[:, :1] = 1.0  # the first one always stays
    return drop_tokens(tokens, rate, uniform)
