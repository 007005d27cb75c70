"""Compares groups of samples without counting them, which would wait for the
device.
"""

from __future__ import annotations

import torch
from torch import Tensor


def numbered(group: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) int64 groups -> a number of each one's group, from 0 to N - 1, and how many it has; (N,)
    int64 both.
    """
    ordered = group.sort().values
    first = torch.searchsorted(ordered, group)
    return first, torch.searchsorted(ordered, group, right=True) - first
