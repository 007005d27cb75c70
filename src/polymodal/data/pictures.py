"""uint8 pictures of a batch as a model takes them, made on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polymodal.batch import PairedBatch
from polymodal.data.augment import flip, shift_and_scale
from polymodal.errors import ConfigError


class Pictures:
    """Normalises the pictures of a batch; in training also moves, zooms and mirrors them at random.

    Args:
        modalities: those that are pictures.
        channels: C of them.
        mean: of the pixels in [0, 1], one or C numbers, which are taken off.
        std: of the pixels, one or C numbers; below 0 for a model of ink, where black counts and white does not.
        shift: random shift, as a share of the side.
        scale: random zoom.
        flip: how often a picture is mirrored.

    Raises:
        ConfigError: there are neither 1 nor C numbers, or `std` has a 0.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        channels: int,
        mean: Sequence[float],
        std: Sequence[float],
        shift: float,
        scale: float,
        flip: float,
    ) -> None:
        if 0 in std:
            raise ConfigError(f"data.std={list(std)}: pixels cannot be divided by 0.")
        for name, numbers in (("mean", mean), ("std", std)):
            if len(numbers) not in (1, channels):
                raise ConfigError(f"data.{name}={list(numbers)}: give 1 number, or {channels} as data.channels says.")
        self.modalities, self.mean, self.std = modalities, list(mean), list(std)
        self.shift, self.scale, self.flip = shift, scale, flip
        self.varying = modalities if shift or scale or flip else []

    def described(self, kind: str) -> dict[str, Any]:
        """How pixels are normalised, as plain data, if the kind is one of pictures."""
        return {"mean": self.mean, "std": self.std} if kind in ("image", "video") else {}

    def __call__(self, batch: PairedBatch, training: bool) -> PairedBatch:
        """(B, C, S, S) uint8, or (B, T, C, S, S), whose frames are changed alike, -> normalised floats."""
        for name in filter(batch.inputs.__contains__, self.modalities):
            shape = batch.inputs[name].shape
            images = batch.inputs[name].float().flatten(1, -3)
            if training:
                images = flip(shift_and_scale(images, self.shift, self.scale), self.flip)
            mean, std = (images.new_tensor(numbers).view(-1, 1, 1) for numbers in (self.mean, self.std))
            # in place: fresh memory costs more
            batch.inputs[name] = images.view(shape).mul_(1 / (255 * std)).sub_(mean / std)
        return batch
