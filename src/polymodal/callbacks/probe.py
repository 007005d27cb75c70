"""What the vectors of a model know of a label that need not have been trained for."""

from __future__ import annotations

import logging
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.utils.data import IterableDataset

from polymodal.batch import PairedBatch
from polymodal.errors import ConfigError
from polymodal.metrics.clustering import clustering_metrics
from polymodal.metrics.probes import Samples, knn_accuracy, linear_accuracy
from polymodal.metrics.sample_table import SampleTable
from polymodal.module import MultimodalModule
from polymodal.outputs import ModelOutput
from polymodal.types import PositiveInt, Seed

COLUMNS = ("vectors", "x", "mask", "label")
"""(N, d'), (N, m, d), (N, m) bool and (N,) of the labelled samples."""


log = logging.getLogger(__name__)

MOST_CLASSES = 1000
"""With more, neither clusters nor a linear classifier are fitted: their time and memory grow with
the classes, those of matching clusters with their square and more."""


class Probe(Callback):
    """Evaluates the vectors of the test split, under `test/probe/`, by classes that they were not
    necessarily trained for.

    A sample's vector is the fused one or, without a fusion, the mean of its modalities' normalised
    vectors.

    - `nmi`, `ari`, `cluster_accuracy`: k-means on the test split, without labels; k is the number
      of classes in it.
    - `knn_accuracy`: the 20 nearest training vectors by cosine vote; also for each modality by
      itself, as `<modality>/knn_accuracy`.
    - `linear_accuracy`: a logistic regression that is fitted on training vectors.

    Without training samples, as in a evaluation of other data, there are the metrics of k-means
    alone; of more than `MOST_CLASSES` classes, the accuracy of the neighbours alone. The training
    vectors are made by the trained model in evaluation mode, without augmentation on the device.
    They are those of as many shuffled batches as hold `samples` samples.

    Args:
        label: key of `PairedBatch.labels`, of classes (B,); samples with -1 do not count.
        samples: training samples at least, if there are so many.
        seed: of k-means, and of what is random in the training data.
    """

    def __init__(self, label: str, samples: PositiveInt = 10_000, seed: Seed = 0) -> None:
        self.label, self.samples, self.seed = label, samples, seed

    def setup(self, trainer: Trainer, pl_module: MultimodalModule, stage: str) -> None:
        """Refuses labels that are not there, before anything is trained.

        Raises:
            ConfigError: the data have no such classes.
        """
        there = trainer.datamodule.class_names  # type: ignore[attr-defined]
        if self.label not in there:
            raise ConfigError(
                f"callbacks.probe.label={self.label}: these data have classes for "
                f"{', '.join(there) or 'no label'}."
            )
        train_set = trainer.datamodule.train_set  # type: ignore[attr-defined]
        self.has_training = isinstance(train_set, IterableDataset) or len(train_set) > 0
        # a stream has no first sample to look at
        if self.has_training and not isinstance(train_set, IterableDataset):
            self._classes(train_set[[0]])

    def on_test_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Forgets an earlier test."""
        self.test = SampleTable(*COLUMNS)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: MultimodalModule,
        outputs: Any,
        batch: PairedBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Takes the vectors of a batch."""
        self._add(self.test, outputs, batch)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Makes the training vectors and logs; the first process fits for all."""
        test = self.test.compute()
        train = (
            self._train_table(trainer, pl_module) if self.has_training else {"id": torch.zeros(0)}
        )
        metrics: dict[str, float] = {}
        if trainer.is_global_zero and len(test["id"]):
            metrics = probe_metrics(train, test, pl_module.model.modalities, self.seed)
        for name, value in trainer.strategy.broadcast(metrics).items():
            pl_module.log(f"test/probe/{name}", value)

    @torch.no_grad()
    def _train_table(self, trainer: Trainer, module: MultimodalModule) -> dict[str, Tensor]:
        data, table = trainer.datamodule, SampleTable(*COLUMNS)  # type: ignore[attr-defined]
        batches = -(-self.samples // data.batch_size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            for batch in islice(data.train_dataloader(), batches):
                batch = trainer.strategy.batch_to_device(batch)
                with trainer.precision_plugin.forward_context():
                    output = module.model(batch)
                self._add(table, output, batch)
        return table.compute()

    def _add(self, table: SampleTable, output: ModelOutput, batch: PairedBatch) -> None:
        classes = self._classes(batch)
        labelled = classes >= 0
        columns = (sample_vectors(output), output.x.float(), output.mask, classes)
        parts = {name: column[labelled] for name, column in zip(COLUMNS, columns, strict=True)}
        table.update(batch.id[labelled], **parts)

    def _classes(self, batch: PairedBatch) -> Tensor:
        labels = batch.labels.get(self.label)
        if labels is None or labels.ndim != 1 or labels.is_floating_point():
            raise ConfigError(
                f"callbacks.probe.label={self.label}: these labels are not one class a sample."
            )
        return labels


def sample_vectors(output: ModelOutput) -> Tensor:
    """(B, d') fused vectors or, without a fusion, (B, d) means of the normalised vectors of what is
    present.
    """
    if output.fused is not None:
        return output.fused.float()
    return F.normalize(output.x.float(), dim=-1).sum(1) / output.mask.sum(1, keepdim=True).clamp(
        min=1
    )


def probe_metrics(
    train: dict[str, Tensor], test: dict[str, Tensor], modalities: list[str], seed: int
) -> dict[str, float]:
    """The metrics of `Probe`.

    Args:
        train: `COLUMNS` of the samples to be fitted on; none is needed.
        test: the same of the samples to be evaluated, one at least.
        modalities: names of the rows of x.
        seed: of k-means.
    """
    judged = _samples(test["vectors"], test["label"])
    labels = [table["label"] for table in (train, test) if len(table["id"])]
    is_few = max(len(label.unique()) for label in labels) <= MOST_CLASSES
    if not is_few:
        log.warning(
            "callbacks.probe: of more than %s classes there is the nearest-neighbour accuracy "
            "alone.",
            MOST_CLASSES,
        )
    metrics = clustering_metrics(*judged, seed) if is_few else {}
    if len(train["id"]) == 0:
        return metrics
    fitted = _samples(train["vectors"], train["label"])
    metrics["knn_accuracy"] = knn_accuracy(fitted, judged)
    if is_few:
        metrics["linear_accuracy"] = linear_accuracy(fitted, judged)
    for index, name in enumerate(modalities):
        fitted, judged = _of_modality(train, index), _of_modality(test, index)
        if len(fitted[1]) and len(judged[1]):
            metrics[f"{name}/knn_accuracy"] = knn_accuracy(fitted, judged)
    return metrics


def _of_modality(table: dict[str, Tensor], index: int) -> Samples:
    present = table["mask"][:, index]
    return _samples(table["x"][present, index], table["label"][present])


def _samples(vectors: Tensor, labels: Tensor) -> Samples:
    return vectors.numpy(), labels.numpy()
