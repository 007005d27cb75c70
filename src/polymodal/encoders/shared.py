"""One encoder for two modalities."""

from __future__ import annotations


class Shared:
    """Stands for the encoder of another modality of the same kind: `build_model` puts that one in its place.

    Both have the same weights (siamese networks, Bromley et al. 1993), so that equal inputs have equal vectors from the
    first step on: a caption and what is left of it, a picture and a sketch of it.

    Args:
        of: the other modality.
    """

    def __init__(self, of: str) -> None:
        self.of = of
