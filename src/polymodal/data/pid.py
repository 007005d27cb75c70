"""Two modalities that share, hold alone or only together make up what the label depends on."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from polymodal.data.tensors import TensorData, TensorSet
from polymodal.types import PositiveInt, Probability, Seed


class PID(TensorData):
    """Generated data with known interactions (after Liang et al. 2023, "Quantifying & Modeling ...
    Interactions").

    Three latent vectors, normal with variance 1.5: one private to each modality and a common one. A
    modality is its private and the common latent, each through a fixed random linear map. The label
    says whether a score is above its median; before that each latent value is lost with probability
    `noise`, which bounds what can be reached: with five values and a fifth lost, 0.878 of the
    answers for redundancy and uniqueness.

    Score: redundancy: the mean of the common latent; uniqueness0, uniqueness1: of one private
    latent; synergy: of both private ones (additive in spite of its name); xor: the product of the
    two private means, which neither modality alone reveals.

    Args:
        setting: what the label depends on.
        latent: values of each latent vector.
        width: values of each map, so that a modality has 2 * width.
        size: samples; 70 % train, 15 % validation, 15 % test.
        noise: share of the latent values lost.
        seed: of the data and of their order.
        batch_size: samples of a training step, over all processes.
        limit: keep only so many samples of each split.
    """

    modalities = ("first", "second")

    def __init__(
        self,
        setting: Literal["redundancy", "uniqueness0", "uniqueness1", "synergy", "xor"] = "synergy",
        latent: PositiveInt = 5,
        width: PositiveInt = 100,
        size: PositiveInt = 20_000,
        noise: Probability = 0.2,
        seed: Seed = 0,
        batch_size: PositiveInt = 256,
        limit: PositiveInt | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers=0, seed=seed, limit=limit)
        self.setting = setting
        self.latent = latent
        self.width = width
        self.size = size
        self.noise = noise
        self.class_names = {"above_median": ["no", "yes"]}

    def splits(self) -> tuple[TensorSet, TensorSet, TensorSet]:
        """Drawn anew from the seed."""
        random = np.random.default_rng(self.seed)
        names = ("first", "second", "common")

        # three latent vectors, two of them private to a modality
        latents = {name: random.normal(0, np.sqrt(1.5), (self.size, self.latent)) for name in names}
        maps = {name: random.uniform(0, 1, (self.latent, self.width)) for name in names}
        shown = {name: latents[name] @ maps[name] for name in names}
        heard = {
            name: values * (random.random(values.shape) >= self.noise)
            for name, values in latents.items()
        }

        # the label depends on one, on both or on their interplay
        mean = {name: values.mean(1) for name, values in heard.items()}
        score = {
            "redundancy": mean["common"],
            "uniqueness0": mean["first"],
            "uniqueness1": mean["second"],
            "synergy": mean["first"] + mean["second"],
            "xor": mean["first"] * mean["second"],
        }[self.setting]
        label = torch.from_numpy((score > np.median(score)).astype(np.int64))
        inputs = {
            name: torch.from_numpy(np.concatenate([shown[name], shown["common"]], axis=1)).float()
            for name in self.modalities
        }

        # 70, 15 and 15 %
        ends = [0, round(0.7 * self.size), round(0.85 * self.size), self.size]
        parts = [
            TensorSet(
                {n: v[start:end] for n, v in inputs.items()},
                {"above_median": label[start:end]},
                start,
            )
            for start, end in zip(ends, ends[1:], strict=False)
        ]
        return parts[0], parts[1], parts[2]
