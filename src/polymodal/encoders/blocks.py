"""The blocks that an encoder is made of."""

from __future__ import annotations

from torch import nn


def blocks_of(encoder: nn.Module) -> list[str]:
    """Paths of the blocks of an encoder: the members of its outermost lists of modules, as far as
    they have parameters.

    A transformer's layers, a residual network's blocks in all its stages, the stages of a CNN.
    """
    lists = [
        name for name, m in encoder.named_modules() if isinstance(m, nn.ModuleList | nn.Sequential)
    ]
    outermost = min((name.count(".") for name in lists), default=0)
    members = [
        (f"{name}.{key}" if name else key, member)
        for name in lists
        if name.count(".") == outermost
        for key, member in encoder.get_submodule(name).named_children()
    ]
    return [path for path, member in members if any(True for _ in member.parameters())]
