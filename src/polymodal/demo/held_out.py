"""A trained model and the held-out samples of its data, for the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.cli.programs import DemoSettings
from polymodal.data.table.module import TableData
from polymodal.demo.contents import content_of, content_of_example
from polymodal.demo.embeddings import FEWEST, Embeddings, Found, Point
from polymodal.demo.fields import fields_of
from polymodal.demo.inputs import Given, batch_of_given
from polymodal.demo.outputs import output_names
from polymodal.formatting import readable
from polymodal.inference.run_predictor import RunPredictor
from polymodal.inference.trained import Trained
from polymodal.inference.zero_shot import SCALE
from polymodal.metrics.sample_table import SampleTable
from polymodal.objectives.contrastive import Contrastive

EXAMPLES = 64
"""Samples that are shown one by one."""


@cache
def opened(settings: DemoSettings, changes: tuple[str, ...]) -> HeldOut:
    """The model with its data, opened once in a process."""
    return HeldOut(Trained(Path(settings.checkpoint), changes), settings.samples)


class HeldOut:
    """A model in evaluation mode, and the unit vectors of the test split.

    Args:
        trained: the model.
        samples: at most so many, spread evenly over the split.

    Raises:
        DataError: the data cannot be read, or the split is empty.
    """

    def __init__(self, trained: Trained, samples: int) -> None:
        self.predictor = RunPredictor(trained)
        self.data, self.model = self.predictor.data, self.predictor.model
        self.modalities = self.model.modalities
        self.kinds = {name: self.data.kinds.get(name, name) for name in self.modalities}
        self.name: str = trained.stored["name"]
        self.data.limit = min(samples, self.data.limit or samples)
        self.data.prepare_data()
        self.data.setup("test")
        self.examples: list[PairedBatch] = []
        self.embeddings = Embeddings(self._embedded(), self.modalities)
        self.table = self.embeddings.table
        self.trained = trained

    @torch.no_grad()
    def _embedded(self) -> Mapping[str, Tensor]:
        """Columns id (N,), items and mask (N, m), x (N, m, d), label (N,), -1 where there is
        none.
        """
        table = SampleTable("items", "mask", "x", "label")
        loader = self.data.test_dataloader()
        each = -(-EXAMPLES // max(1, len(loader)))  # of a batch, spread evenly over it
        label = next(iter(self.data.class_names), "")
        for batch in track(loader, "Held-out samples"):
            batch = self.data.on_after_batch_transfer(batch, 0)
            spread = np.linspace(0, len(batch) - 1, min(each, len(batch))).astype(int).tolist()
            self.examples += [_alone(batch, row) for row in spread]
            encoded = self.model.encode(batch.to(self.predictor.device))
            classes = batch.labels.get(label, torch.empty(0, 0))
            table.update(
                batch.id,
                items=torch.stack([batch.items[name] for name in self.modalities], dim=1),
                mask=encoded.mask.cpu(),
                x=F.normalize(encoded.x.float(), dim=-1).cpu(),
                label=classes if classes.ndim == 1 else torch.full_like(batch.id, -1),
            )
        del self.examples[EXAMPLES:]
        return table.compute()

    @property
    def inputs(self) -> list[str]:
        """Modalities that a visitor can give: sentences, files of images and sounds, rows."""
        kinds = {"text", "image", "audio"} if self.data.media is not None else {"text"}
        tables = {name for name in self.modalities if fields_of(self.data, name)}
        return [name for name, kind in self.kinds.items() if kind in kinds or name in tables]

    @property
    def texts(self) -> list[str]:
        """Modalities of sentences."""
        return [name for name, kind in self.kinds.items() if kind == "text"]

    def label(self, name: str) -> str:
        """A modality with its column, where that is one of another name."""
        columns = self.data.columns[name] if isinstance(self.data, TableData) else []
        return f"{name} ({columns[0]})" if len(columns) == 1 and columns != [name] else name

    @property
    def queries(self) -> list[str]:
        """Modalities that can be a query, by an example at least; sentences first."""
        present = [name for name in self.modalities if self.with_items([name])]
        return sorted(present, key=lambda name: name not in self.texts)

    @property
    def aligned(self) -> bool:
        """Whether the vectors of different modalities were trained to be compared."""
        parts = self.predictor.objective.parts().values()
        return len(self.modalities) > 1 and any(isinstance(part, Contrastive) for part in parts)

    @property
    def tabs(self) -> list[str]:
        """What the model can do."""
        found = ["Predict"] if self.predictor.supervised is not None else []
        if self.aligned:
            found.append("Search")
            if self.texts and set(self.queries) - set(self.texts):
                found.append("Classify by name")
        return [*found, "Map"] if self.embeddings.vectors >= FEWEST else found

    @property
    def class_names(self) -> list[str]:
        """Of the first label of the data; none where they have no classes."""
        return next(iter(self.data.class_names.values()), [])

    def with_items(self, names: Sequence[str]) -> list[int]:
        """Numbers of the examples that have one of these modalities, each of another content."""
        found: dict[tuple[int, ...], int] = {}
        for number, batch in enumerate(self.examples):
            present = batch.mask(list(names))[0].tolist()
            items = [int(batch.items[name][0]) for name in names]
            # two examples are the same where the same items are present
            key = tuple(item if has else -1 for item, has in zip(items, present, strict=True))
            if any(present):
                found.setdefault(key, number)
        return list(found.values())

    def batch(self, given: Mapping[str, Given]) -> PairedBatch:
        """What a visitor gives, as the model takes it.

        Raises:
            DataError: a file or a value cannot be read.
        """
        return batch_of_given(self.data, given, self.modalities, self.examples)

    def search(self, by: str, given: Given, find: str, top: int) -> Found:
        """The nearest distinct items of a modality to what is given of another."""
        return self.embeddings.nearest(find, self.vector(by, given), top)

    def zero_shot(
        self, by: str, given: Given, text: str, names: Sequence[str], template: str
    ) -> list[float]:
        """The probability of each class, by the sentence `template` with its name in place of
        `{}`.
        """
        classes = self.vectors(text, [template.replace("{}", name) for name in names])
        return (self._scale * (classes @ self.vector(by, given))).softmax(0).tolist()

    def vectors(self, modality: str, given: Sequence[str]) -> Tensor:
        """(n, d) unit vectors of sentences or files."""
        x = self.predictor.outputs([{modality: one} for one in given]).x
        return F.normalize(x[:, self.modalities.index(modality)].float(), dim=-1).cpu()

    @torch.inference_mode()
    def vector(self, modality: str, given: Given) -> Tensor:
        """(d,) the unit vector of what is given."""
        x = self.model.encode(
            self.batch({modality: given}).to(self.predictor.device), known=False
        ).x
        return F.normalize(x[0, self.modalities.index(modality)].float(), dim=-1).cpu()

    def show(self, modality: str, item: int) -> Any:
        """A sentence, a uint8 image, a sound, values by the names of their columns, or None."""
        return content_of(self.data, modality, int(item))

    def title(self, row: int) -> str:
        """A sentence of a sample, or else its class; "" where it has neither.

        Args:
            row: of the embeddings.
        """
        for index, name in enumerate(self.modalities):
            if self.kinds[name] == "text" and self.table["mask"][row, index]:
                return str(self.show(name, int(self.table["items"][row, index])))
        label = int(self.table["label"][row])
        return self.class_names[label] if label >= 0 else ""

    def example(self, number: int) -> tuple[PairedBatch, dict[str, Any]]:
        """A held-out sample as the model takes it, and the content of its modalities."""
        batch = self.examples[number]
        present = batch.mask(self.modalities)[0].tolist()
        contents = {}
        for name, has in zip(self.modalities, present, strict=True):
            if has:
                contents[name] = content_of_example(self.data, batch, name)
        return batch, contents

    def truth(self, example: PairedBatch) -> str:
        """The class, the tags or the values that the data have for a sample; "" where none is
        known.
        """
        objective = self.predictor.supervised
        label = None if objective is None else example.labels.get(objective.label)
        if objective is None or label is None:
            return ""
        # values
        if label.is_floating_point():
            known = [value for value in label.flatten().tolist() if not math.isnan(value)]
            return ", ".join(map(readable, known))
        names = output_names(self.trained, objective)
        # one class
        if label.ndim == 1:
            return names[int(label)] if label >= 0 else ""
        # tags: 1 is yes, -1 is unknown
        chosen = [names[index] for index in (label[0] == 1).nonzero().flatten().tolist()]
        return ", ".join(chosen) or ("none" if (label >= 0).any() else "")

    @cached_property
    def points(self) -> list[Point]:
        """The map; see `Embeddings.points`."""
        return self.embeddings.points(self.class_names)

    @property
    def _scale(self) -> float:
        """The inverse temperature that the model was trained with; that of CLIP's start where it
        has none.
        """
        parts = self.predictor.objective.parts().values()
        for part in parts:
            if isinstance(part, Contrastive) and part.logit_scale is not None:
                return float(part.scale().detach())
        return SCALE


def _alone(batch: PairedBatch, row: int) -> PairedBatch:
    """A batch of one of its samples, which does not keep the others in memory."""
    sample = batch.rows(slice(row, row + 1))
    sample.inputs = {name: values.clone() for name, values in sample.inputs.items()}
    return sample
