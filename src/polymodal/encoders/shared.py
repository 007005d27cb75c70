"""One encoder for two modalities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Shared:
    """Stands for the encoder of another modality of the same kind: `with_shared` replaces it.

    Both have the same weights (siamese networks, Bromley et al. 1993), so that equal inputs have
    equal vectors from the first step on: a caption and what is left of it, an image and a sketch
    of it.

    Args:
        of: the other modality.
    """

    def __init__(self, of: str) -> None:
        self.of = of


def with_shared(encoders: Mapping[str, Any]) -> dict[str, Any]:
    """Encoders by modality, each `Shared` among them replaced by the encoder that it stands for."""
    return {name: encoders[e.of] if isinstance(e, Shared) else e for name, e in encoders.items()}
