"""`compile=true`: encoders and fusion by torch.compile."""

from __future__ import annotations

import torch

from polymodal.model import MultimodalModel


def compile_parts(model: MultimodalModel, dynamic: bool | None) -> None:
    """torch.compile of each encoder and of the fusion, in place: names of parameters stay.

    Args:
        model: not yet run.
        dynamic: whether one graph serves all lengths from the start; None: from the second length
            on.
    """
    for encoder in model.encoders.values():
        if model.reads_tokens and hasattr(encoder, "tokens"):
            encoder.tokens = torch.compile(encoder.tokens, dynamic=dynamic)  # type: ignore[assignment, arg-type]
        else:
            encoder.compile(dynamic=dynamic)
    if model.fusion is not None:
        model.fusion.compile(dynamic=dynamic)
