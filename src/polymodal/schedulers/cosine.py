"""Linear warm-up, then half a cosine."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from polymodal.errors import ConfigError
from polymodal.types import Fraction, NonNegativeFloat


def cosine(
    optimizer: Optimizer, total_steps: int, warmup: NonNegativeFloat = 0.05, final: Fraction = 0.0
) -> LambdaLR:
    """The learning rate rises over `warmup`, then falls along a cosine (Loshchilov & Hutter 2017).

    Args:
        optimizer: its learning rates are the peak.
        total_steps: optimizer steps of the whole run.
        warmup: a number of optimizer steps, or, below 1, a share of the run.
        final: share of the peak that is left at the end.

    Raises:
        ConfigError: the warm-up is longer than the run.
    """
    steps = round(warmup * total_steps) if warmup < 1 else int(warmup)
    if steps > total_steps:
        raise ConfigError(
            f"scheduler.warmup={warmup:g} is longer than the run, which has {total_steps} "
            "optimizer steps.\n"
            "Give fewer steps, or a share of the run below 1, such as scheduler.warmup=0.05."
        )

    def factor(step: int) -> float:
        if step < steps:
            return (step + 1) / steps
        progress = min(1.0, (step - steps) / max(1, total_steps - steps))
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)
