"""A trained model and the held-out samples of its data: what the page asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.cli.programs import DemoSettings
from polymodal.data.table.module import TableData
from polymodal.demo.contents import content_of, content_of_example
from polymodal.demo.fields import fields_of
from polymodal.demo.inputs import Given, batch_of_given
from polymodal.demo.outputs import output_names
from polymodal.formatting import readable
from polymodal.inference.run_predictor import RunPredictor
from polymodal.inference.trained import Trained
from polymodal.metrics.sample_table import SampleTable
from polymodal.objectives.contrastive import Contrastive
from polymodal.report.embedding_map import places_of

EXAMPLES = 64
"""Samples that the model can be asked about one by one."""
POINTS = 1500
"""Of the map, at most."""
FEWEST = 5
"""Of a map."""


class Found(NamedTuple):
    """Items of a modality, the nearest first.

    Attributes:
        cosine: (k,) float32.
        item: (k,) numbers.
        row: (k,) of the first sample that has it, in the table.
    """

    cosine: np.ndarray
    item: np.ndarray
    row: np.ndarray


class Point(NamedTuple):
    """A sample's vector of one modality on the map."""

    x: float
    y: float
    modality: str
    item: int
    class_name: str


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
        self.table = self._embedded()
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
    def askable(self) -> list[str]:
        """Modalities that a person can give: sentences, files of images and sounds, rows."""
        kinds = {"text", "image", "audio"} if self.data.media is not None else {"text"}
        tables = {name for name in self.modalities if fields_of(self.data, name)}
        return [name for name, kind in self.kinds.items() if kind in kinds or name in tables]

    @property
    def texts(self) -> list[str]:
        """Those of them that are sentences."""
        return [name for name, kind in self.kinds.items() if kind == "text"]

    def label(self, name: str) -> str:
        """A modality with its column, where that is one of another name."""
        columns = self.data.columns[name] if isinstance(self.data, TableData) else []
        return f"{name} ({columns[0]})" if len(columns) == 1 and columns != [name] else name

    @property
    def queries(self) -> list[str]:
        """Modalities that can be asked with, by an example at least; sentences first."""
        there = [name for name in self.modalities if self.with_items([name])]
        return sorted(there, key=lambda name: name not in self.texts)

    @property
    def aligned(self) -> bool:
        """Whether the vectors of different modalities were trained to be compared."""
        parts = self.predictor.objective.parts().values()
        return len(self.modalities) > 1 and any(isinstance(part, Contrastive) for part in parts)

    @property
    def tabs(self) -> list[str]:
        """What the model can be asked for."""
        found = ["Predict"] if self.predictor.answering is not None else []
        if self.aligned:
            found.append("Search")
            if self.texts and set(self.queries) - set(self.texts):
                found.append("Classify by name")
        rows = sum(int(self.table["mask"][:, index].sum()) for index in range(len(self.modalities)))
        return [*found, "Map"] if rows >= FEWEST else found

    @property
    def class_names(self) -> list[str]:
        """Of the first label of the data; none where they have no classes."""
        return next(iter(self.data.class_names.values()), [])

    def with_items(self, names: Sequence[str]) -> list[int]:
        """Numbers of the examples that have one of these modalities, each of another content."""
        found: dict[tuple[int, ...], int] = {}
        for number, batch in enumerate(self.examples):
            there = batch.mask(list(names))[0].tolist()
            pairs = zip(names, there, strict=True)
            items = tuple(int(batch.items[name][0]) if has else -1 for name, has in pairs)
            if any(there):
                found.setdefault(items, number)
        return list(found.values())

    def batch(self, given: Mapping[str, Given]) -> PairedBatch:
        """What a visitor gives, as the model takes it.

        Raises:
            DataError: a file or a value cannot be read.
        """
        return batch_of_given(self.data, given, self.modalities, self.examples)

    def search(self, by: str, given: Given, find: str, top: int) -> Found:
        """The nearest distinct items of a modality to what is given of another."""
        vectors, rows = self._items[find]
        cosine, best = (vectors @ self.vector(by, given)).topk(min(top, len(rows)))
        row = rows[best]
        return Found(
            cosine.numpy(),
            self.table["items"][row, self.modalities.index(find)].numpy(),
            row.numpy(),
        )

    def zero_shot(
        self, by: str, given: Given, text: str, names: Sequence[str], template: str
    ) -> list[float]:
        """The probability of each class by what the sentences `template` with its name say, `{}`
        being its place.
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
        """A sentence of a sample of the table, or else its class; "" where it has neither."""
        for index, name in enumerate(self.modalities):
            if self.kinds[name] == "text" and self.table["mask"][row, index]:
                return str(self.show(name, int(self.table["items"][row, index])))
        label = int(self.table["label"][row])
        return self.class_names[label] if label >= 0 else ""

    def example(self, number: int) -> tuple[PairedBatch, dict[str, Any]]:
        """A held-out sample: as the model takes it, and what there is to see of the modalities that
        it has.
        """
        batch = self.examples[number]
        there = [
            name
            for name, has in zip(self.modalities, batch.mask(self.modalities)[0], strict=True)
            if has
        ]
        return batch, {name: content_of_example(self.data, batch, name) for name in there}

    def truth(self, example: PairedBatch) -> str:
        """The class, the tags or the values that a supervised model should give for a sample.

        What is not known is left out: "" where nothing is.
        """
        objective = self.predictor.answering
        label = None if objective is None else example.labels.get(objective.label)
        if objective is None or label is None:
            return ""
        if label.is_floating_point():
            return ", ".join(
                readable(value) for value in label.flatten().tolist() if value == value
            )
        names = output_names(self.trained, objective)
        if label.ndim == 1:
            return names[int(label)] if label >= 0 else ""
        chosen = [name for name, value in zip(names, label[0].tolist(), strict=True) if value == 1]
        return ", ".join(chosen) or ("none" if (label >= 0).any() else "")

    @cached_property
    def points(self) -> list[Point]:
        """t-SNE of the vectors of all modalities in one space; none where there are too few for a
        map.
        """
        rows = [self._items_rows(name, POINTS // len(self.modalities)) for name in self.modalities]
        if sum(map(len, rows)) < FEWEST:
            return []
        places = places_of(
            torch.cat([self.table["x"][own, i] for i, own in enumerate(rows)]).numpy()
        )
        which = [
            (name, i, row)
            for i, (name, own) in enumerate(zip(self.modalities, rows, strict=True))
            for row in own
        ]
        labels = self.table["label"].tolist()
        return [
            Point(
                x,
                y,
                name,
                int(self.table["items"][row, i]),
                self.class_names[labels[row]] if labels[row] >= 0 else "",
            )
            for (x, y), (name, i, row) in zip(places.tolist(), which, strict=True)
        ]

    def _items_rows(self, modality: str, most: int) -> Tensor:
        """Rows of the table, one for each distinct item of a modality, at most so many, spread
        evenly.
        """
        index = self.modalities.index(modality)
        there = self.table["mask"][:, index].nonzero().squeeze(1)
        first = np.unique(self.table["items"][there, index].numpy(), return_index=True)[1]
        rows = there[torch.from_numpy(np.sort(first))]
        return rows[torch.linspace(0, len(rows) - 1, min(most, len(rows))).long()]

    @cached_property
    def _items(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Modality -> (n, d) vectors of its distinct items, and (n,) the row of each."""
        rows = {name: self._items_rows(name, len(self.table["id"])) for name in self.modalities}
        return {name: (self.table["x"][own, i], own) for i, (name, own) in enumerate(rows.items())}

    @property
    def _scale(self) -> float:
        """The inverse temperature that the model was trained with; that of CLIP's start where it
        has none.
        """
        parts = [
            part
            for part in self.predictor.objective.parts().values()
            if isinstance(part, Contrastive)
        ]
        learned = [float(part.scale().detach()) for part in parts if part.logit_scale is not None]
        return learned[0] if learned else 1 / 0.07


def _alone(batch: PairedBatch, row: int) -> PairedBatch:
    """A batch of one of its samples, which does not keep the others in memory."""
    sample = batch.rows(slice(row, row + 1))
    sample.inputs = {name: values.clone() for name, values in sample.inputs.items()}
    return sample
