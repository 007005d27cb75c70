"""Modality dropout: in training, some samples lose some of their modalities."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.errors import ConfigError
from polymodal.hashing import hashed_uniform
from polymodal.module import MultimodalModule
from polymodal.types import Probability, Seed


class ModalityDropout(Callback):
    """Takes modalities away from training samples at random, never all that a sample has (after
    Neverova et al. 2016).

    What is taken depends on seed, step and sample alone: it is the same on any number of processes
    and after a resume.

    Args:
        rate: share of the samples that lose a modality, or modality -> share.
        seed: of the choice.

    Raises:
        ConfigError: a rate is given for a modality that the run does not have.
    """

    def __init__(self, rate: Probability | Mapping[str, float] = 0.3, seed: Seed = 0) -> None:
        self.rate, self.seed = rate, seed

    def on_fit_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Checks the rates."""
        self.rates = rates_of(self.rate, pl_module.model.modalities)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: MultimodalModule, batch: PairedBatch, batch_idx: int
    ) -> None:
        """Marks what was taken as absent."""
        modalities = pl_module.model.modalities
        rates = torch.tensor(self.rates).to(batch.id.device, non_blocking=True)
        step = (self.seed + 1) * 1_000_003 + trainer.global_step
        mask = batch.mask(modalities)
        kept = mask & ~dropped(batch.id, mask, rates, step)
        batch.present = batch.present | {
            name: kept[:, index] for index, name in enumerate(modalities)
        }


def rates_of(rate: float | Mapping[str, float], modalities: list[str]) -> list[float]:
    """The rate of each modality, in order; one that is not named keeps all its samples.

    Raises:
        ConfigError: a name is unknown, or a rate is not in [0, 1).
    """
    rates = dict.fromkeys(modalities, rate) if not isinstance(rate, Mapping) else dict(rate)
    for name, value in rates.items():
        if name not in modalities:
            raise ConfigError(
                f"callbacks.modality_dropout.rate.{name}: this run has {', '.join(modalities)}."
            )
        if not 0 <= value < 1:
            raise ConfigError(
                f"callbacks.modality_dropout.rate.{name}={value} is not a share in [0, 1)."
            )
    return [float(rates.get(name, 0.0)) for name in modalities]


def dropped(ids: Tensor, mask: Tensor, rates: Tensor, salt: int) -> Tensor:
    """(B,) ids, (B, m) presence, (m,) rates -> (B, m) bool, what to take away; a sample keeps one
    at least.
    """
    place = torch.arange(mask.shape[1], device=ids.device)
    draw = hashed_uniform(ids[:, None], salt, place)
    taken = draw < rates
    # all would be gone: the modality with the luckiest draw stays
    last = ~(mask & ~taken).any(1, keepdim=True)
    luckiest = draw.masked_fill(~mask, -1).argmax(1, keepdim=True)
    return taken & ~(last & (place == luckiest))
