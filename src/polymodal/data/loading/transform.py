"""What is done to a batch on the device: images are normalised and, in training, inputs are changed
at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from polymodal.batch import PairedBatch
from polymodal.data.loading.augment import drop_tokens, flip, shift_and_scale, uniform_of
from polymodal.data.loading.columns import ColumnChoice
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.errors import ConfigError


class BatchTransform:
    """Normalises the images of a batch; in training also moves, zooms and mirrors them, and drops
    tokens of captions.

    Args:
        columns: say which modalities are images, videos and texts.
        channels: C of images and frames.
        mean: of the pixels in [0, 1], one or C numbers, which are taken off.
        std: of the pixels, one or C numbers; below 0 for a model of ink, where black counts and
            white does not.
        shift: random shift, as a share of the side.
        scale: random zoom.
        flip: how often an image is mirrored.
        token_dropout: how often a token is lost.

    Raises:
        ConfigError: there are neither 1 nor C numbers, or `std` has a 0.
    """

    def __init__(
        self,
        columns: ColumnChoice,
        channels: int,
        mean: Sequence[float],
        std: Sequence[float],
        shift: float,
        scale: float,
        flip: float,
        token_dropout: float,
    ) -> None:
        if 0 in std:
            raise ConfigError(f"data.std={list(std)}: pixels cannot be divided by 0.")
        for name, numbers in (("mean", mean), ("std", std)):
            if len(numbers) not in (1, channels):
                raise ConfigError(
                    f"data.{name}={list(numbers)}: give 1 number, or {channels} as data.channels "
                    "says."
                )
        self.images, self.texts = columns.of_kind("image", "video"), columns.of_kind("text")
        self.mean, self.std = list(mean), list(std)
        self.shift, self.scale, self.flip, self.token_dropout = shift, scale, flip, token_dropout
        moved = self.images if shift or scale or flip else []
        self.varying = [*moved, *(self.texts if token_dropout else [])]

    def described(self, kind: str) -> dict[str, Any]:
        """How pixels are normalised, as plain data, if the kind is one of images."""
        return {"mean": self.mean, "std": self.std} if kind in ("image", "video") else {}

    def __call__(
        self, batch: PairedBatch, salt: int | None, tokenizer: Tokenizer | None = None
    ) -> PairedBatch:
        """(B, C, S, S) uint8, or (B, T, C, S, S), whose frames are changed alike, -> normalised
        floats.

        Args:
            batch: on the device.
            salt: a number of the training step, the same on all processes; None outside of
                training.
            tokenizer: says which tokens are no text, such as the end; they are never lost.
        """
        for index, name in enumerate(name for name in self.images if name in batch.inputs):
            shape = batch.inputs[name].shape
            images = batch.inputs[name].float().flatten(1, -3)
            if salt is not None and name in self.varying:
                uniform = uniform_of(batch.id, 4, salt, index)
                images = shift_and_scale(images, self.shift, self.scale, uniform[:, :3])
                images = flip(images, self.flip, uniform[:, 3])
            mean, std = (
                images.new_tensor(numbers).view(-1, 1, 1) for numbers in (self.mean, self.std)
            )
            # in place: fresh memory costs more
            batch.inputs[name] = images.view(shape).mul_(1 / (255 * std)).sub_(mean / std)
        if salt is not None and self.token_dropout:
            kept = [] if tokenizer is None else tokenizer.special_ids
            for index, name in enumerate(name for name in self.texts if name in batch.inputs):
                ids = batch.inputs[name]
                uniform = uniform_of(batch.id, ids.shape[1], salt, -1 - index)
                uniform = uniform.masked_fill(torch.isin(ids, ids.new_tensor(kept)), 1.0)
                batch.inputs[name] = drop_tokens(ids, self.token_dropout, uniform)
        return batch
