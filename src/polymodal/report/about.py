"""about.json: what the page reports beside the metrics, such as samples and chance."""

from __future__ import annotations

from collections.abc import Sized
from itertools import permutations
from typing import Any

from torch import Tensor
from torch.utils.data import IterableDataset

from polymodal.controls.control import random_order, same_answer
from polymodal.data.datamodule import PairedDataModule
from polymodal.objectives.regression import Regression
from polymodal.objectives.supervised import Supervised
from polymodal.report.alignment import COMPARED
from polymodal.report.gallery import sizes
from polymodal.training.checkpoints.files import Origin

Columns = dict[str, Tensor]


class About:
    """Counts and chance of a test.

    Args:
        origin: of the weights that are tested; None for those at the end of the training.
        data: set up.
        tested: samples of the test.
    """

    def __init__(self, origin: Origin | None, data: Any, tested: int = 0) -> None:
        split = getattr(data, "val_set", None)
        count = len(split) if isinstance(split, Sized) else 0
        self.checkpoint = {} if origin is None else origin._asdict()
        self.samples = {"test": tested, "val": min(count, data.limit or count)}
        self.counts: dict[str, dict[str, Any]] = {}
        self.chance: dict[str, float] = {}

    def panel(self) -> dict[str, Any]:
        """As the page reads it."""
        return {
            "kind": "about",
            **self.checkpoint,
            "samples": self.samples,
            "counts": self.counts,
            "chance": self.chance,
        }

    def add_retrieval(self, start: str, table: Columns, modalities: list[str]) -> None:
        """Adds how many queries and items each direction has, and what a random order would find.

        Args:
            start: of the keys.
            table: embeddings of a split.
            modalities: of the objective.
        """
        few = modalities[:COMPARED]
        for source, target in permutations(range(len(few)), 2):
            queries, gallery = sizes(table, source, target)
            key = f"{start}{few[source]}_to_{few[target]}"
            self.counts[key] = {"queries": queries, "gallery": gallery}
        if few == modalities:
            for key, value in random_order(table, modalities).items():
                self.chance[f"{start}{key}"] = float(value)

    def add_chance(
        self, start: str, part: Supervised, data: PairedDataModule, table: Columns
    ) -> None:
        """Adds the metrics of always predicting the commonest class or the mean of the training.

        Args:
            start: of the keys.
            part: an objective.
            data: set up.
            table: its y and target on a split.
        """
        labels = training_targets(data, part, table)
        for key, value in same_answer(part, labels, table["target"]).items():
            self.chance[f"{start}{key}"] = float(value)

    def add_predictions(self, name: str, part: Supervised, samples: int, names: list[str]) -> None:
        """Adds how many samples a supervised objective was evaluated on.

        Args:
            name: of the objective.
            part: the objective.
            samples: with a label.
            names: of the outputs, which the page needs of a regression.
        """
        values = {"values": names} if isinstance(part, Regression) else {}
        self.counts[name] = {"samples": samples, **values}

    def add_zero_shot(self, confusion: Tensor, classes: int) -> None:
        """Adds how many samples were classified by names, and a guess among the classes."""
        self.counts["zero_shot"] = {"samples": int(confusion.sum())}
        for metric in ("accuracy", "recall"):
            self.chance[f"zero_shot/{metric}"] = 1 / classes


def training_targets(data: PairedDataModule, part: Supervised, table: Columns) -> Tensor:
    """Targets of the training split; of a stream, or without such a split, those evaluated."""
    is_stream = isinstance(data.train_set, IterableDataset)
    labels = None if is_stream else data.training_labels(part.label)
    return table["target"] if labels is None or len(labels) == 0 else part.targets(labels)
