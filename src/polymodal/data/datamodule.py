"""What every source of pairs shares: loaders, captions to tokens, uint8 to floats on the device."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from polymodal.batch import PairedBatch
from polymodal.data.loading.columns import FILE_KINDS
from polymodal.data.loading.dataset import (
    BatchDataset,
    CompleteDataset,
    Limited,
    SeededDataset,
    Subset,
)
from polymodal.data.loading.facts import SplitFacts
from polymodal.data.loading.loader import BatchLoader
from polymodal.data.loading.sampler import BatchSampler
from polymodal.data.loading.splits import SPLITS
from polymodal.data.media.formats import MediaFormat
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.errors import ConfigError, DataError
from polymodal.hashing import hashed_int, seed_generators


class PairedDataModule(LightningDataModule):
    """Base of the data sources. A source fills `train_set`, `val_set` and `test_set` in `setup`.

    `modalities` names what a batch may hold, and is known before the data are read; `kinds` says
    what they are, image, text and so on, where that is not their name; `varying` names those whose
    inputs are changed at random in training; `class_names` gives the classes of each label that has
    some; `codes` how many of the last columns of a table are codes of categories; `media` how files
    are read, where there are any; `position` is the epoch and the number of its batches that were
    done where a run resumes; `wanted` are the splits that must hold samples.

    Args:
        batch_size: samples of a training step over all processes together, and of an evaluation
            step of each.
        num_workers: processes that load; 0 loads in the training process.
        seed: of the order of the training samples.
        context_length: tokens a caption at most.
        limit: keep only so many samples of each split, spread evenly over it: to debug, or to
            overfit.
    """

    train_set: BatchDataset
    val_set: BatchDataset
    test_set: BatchDataset
    tokenizer: Tokenizer | None = None
    class_names: dict[str, list[str]]
    modalities: Sequence[str] = ()
    kinds: Mapping[str, str] = MappingProxyType({})
    varying: Sequence[str] = ()
    codes: Mapping[str, int]
    media: MediaFormat | None = None
    position: tuple[int, int] = (0, 0)
    wanted: Sequence[str] = SPLITS
    templates: Sequence[str] = ()  # sentences with a {} that captions are put into
    pairing = ""
    """What makes a pair in these data, for a message that there is none."""
    divided: Mapping[str, int | None] = MappingProxyType({})  # `division` of the resumed run

    def __init__(
        self,
        batch_size: int,
        num_workers: int,
        seed: int,
        context_length: int = 64,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        self.limit = limit
        self.context_length = context_length
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.class_names = {}
        self.codes = {}

    @abstractmethod
    def describe(self, modality: str, item: int) -> Any:
        """Something to show of an item: a sentence, or an (H, W) or (H, W, C) uint8 image."""

    def content(self, modality: str, item: int) -> Any:
        """As `describe`, but of a sound its waveform (samples,) float32, of a row of a table column
        -> value.
        """
        return self.describe(modality, item)

    def training_labels(self, name: str) -> Tensor | None:
        """(N, ...) values of a label in the training split, or in its first samples; None where
        there is no such label.

        Values that are not known are -1 (classes) or NaN.
        """
        source = getattr(self.train_set, "head", self.train_set)  # of a stream the first samples
        labels_of = getattr(source, "labels_of", None)
        return None if labels_of is None else labels_of(name)

    def complete(self, split: str, modalities: Sequence[str]) -> CompleteDataset:
        """A split as it is evaluated: nothing is random, and what cannot be read is in `left_out`.

        Args:
            split: train, val or test.
            modalities: what the model reads.
        """
        return getattr(self, f"{split}_set")  # type: ignore[no-any-return]

    def remaining(self, split: str, modalities: Sequence[str], done: np.ndarray) -> Any:
        """What of `complete` is not done yet, as `loader` takes it; None where that is nothing.

        Args:
            split: train, val or test.
            modalities: what the model reads.
            done: ids.
        """
        dataset = self.complete(split, modalities)
        indices = np.arange(len(dataset))
        if self.limit is not None and self.limit < len(indices):
            indices = np.linspace(0, len(indices) - 1, self.limit).astype(int)
        left = indices[~np.isin(dataset.ids[indices], done)]
        return Subset(dataset, left) if len(left) else None

    def facts(self, split: str) -> SplitFacts | None:
        """What a split holds; None of data that cannot lack anything."""
        return None

    def counted(self, ids: np.ndarray) -> tuple[int, int | None]:
        """How many samples these ids of an evaluation are of, and how many there are in all; None
        if nobody knows.
        """
        return len(ids), sum(len(part) for part in (self.train_set, self.val_set, self.test_set))

    def unread(self) -> Mapping[str, str]:
        """Where a sample stands -> why it is in no split at all."""
        return {}

    def words(self, modality: str, items: np.ndarray) -> Sequence[str | None]:
        """(N,) numbers of items -> captions, or paths of files; None where there is neither."""
        return [None] * len(items)

    def read(self, modality: str, given: str) -> np.ndarray:
        """An input that a person gives, a sentence or the path of a file, as it stands in a batch;
        needs no setup.

        Raises:
            ConfigError: there is no such file, or the data hold nothing that could be given so.
            DataError: it cannot be read.
        """
        kind = self.kinds.get(modality, modality)
        if kind == "text":
            return self.tokenize([given])[0].numpy()
        if self.media is None or kind not in FILE_KINDS:
            raise ConfigError(
                f"{modality}={given}: {type(self).__name__} takes no {kind} by hand. Give it by "
                "data=."
            )
        if not Path(given).exists():
            raise ConfigError(f"{modality}={given}: there is no such file.")
        return self.media.reader(kind)[0](Path(given))

    def skipped(self) -> Mapping[str, int]:
        """Reason -> how many samples could not be used so far, on all processes; the same on each
        of them.
        """
        return {}

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """(N,) captions -> (N, T) int64, as in the batches."""
        if self.tokenizer is None:
            raise ConfigError(
                f"{type(self).__name__} has no tokenizer: call setup first, or choose data with "
                "text."
            )
        return torch.from_numpy(self.tokenizer(captions))

    def formats(self) -> dict[str, dict[str, Any]]:
        """Modality -> its `kind`, and how what a person has becomes the model's input, as plain
        data.

        Of images that is `size`, `channels`, `mean` and `std`, where a pixel p of 0 to 255
        becomes (p / 255 - mean) / std; of sounds `sample_rate` and `max_seconds`; of text
        `context_length`.
        """
        kinds = {name: self.kinds.get(name, name) for name in self.modalities}
        return {name: {"kind": kind, **self.format_of(kind)} for name, kind in kinds.items()}

    def format_of(self, kind: str) -> dict[str, Any]:
        """What there is to say of one kind."""
        return {"context_length": self.context_length} if kind == "text" else {}

    def train_dataloader(self) -> DataLoader[PairedBatch]:
        """Shuffled batches; a new order each epoch."""
        return self._loader("train", self.train_set, shuffle=True)

    def val_dataloader(self) -> DataLoader[PairedBatch]:
        """Every validation sample once, in order."""
        return self._loader("val", self.val_set)

    def test_dataloader(self) -> DataLoader[PairedBatch]:
        """Every test sample once, in order."""
        return self._loader("test", self.test_set)

    def _loader(
        self, split: str, dataset: BatchDataset, shuffle: bool = False
    ) -> DataLoader[PairedBatch]:
        if len(dataset) == 0:
            raise DataError(f"The {split} split of {type(self).__name__} is empty.")
        if self.limit is not None and self.limit < len(dataset):
            dataset = Limited(dataset, self.limit)
        rank = self.trainer.global_rank if self.trainer else 0
        world_size = self.trainer.world_size if self.trainer else 1
        if shuffle and world_size > self.batch_size:
            raise ConfigError(
                f"data.batch_size={self.batch_size} cannot be shared by {world_size} processes."
            )
        sampler = BatchSampler(
            len(dataset), self.batch_size, shuffle, self.seed, rank, world_size, *self._start()
        )
        # indexed by lists: one gather a batch
        drawn = SeededDataset(dataset, rank) if shuffle else dataset
        return BatchLoader(
            drawn, self.num_workers, sampler=sampler, persistent_workers=self.num_workers > 0
        )

    def _start(self) -> tuple[int, int]:
        """The epoch and the batch of it that a loader starts with: while training, where the run
        goes on.

        Raises:
            ConfigError: that is within an epoch, which was divided into other batches.
        """
        if self.trainer is None or not self.trainer.training:
            return (0, 0)
        own = self.division()
        changed = [f"{name}={old}" for name, old in self.divided.items() if old != own[name]]
        if self.position[1] and changed:
            raise ConfigError(
                "The run was stopped within an epoch: it would repeat some samples and leave "
                f"others out. Resume it as it began: {', '.join(changed).replace('None', 'null')}."
            )
        return self.position

    def division(self) -> dict[str, int | None]:
        """Settings on which it depends what is in the first batches of an epoch, beside the
        seed.
        """
        return {"data.batch_size": self.batch_size}

    def on_before_batch_transfer(self, batch: PairedBatch, dataloader_idx: int) -> PairedBatch:
        """Seeds what follows in training (such as dropout) by seed, process and number of the
        batch.
        """
        done = self._done()
        if self.trainer is not None and done is not None:
            seed_generators(
                self.trainer.strategy.root_device, self.seed, self.trainer.global_rank, done
            )
        return batch

    def training_salt(self) -> int | None:
        """A number of this training step, the same on all processes, for what is changed at random;
        else None.
        """
        done = self._done()
        return None if done is None else hashed_int(self.seed, done) % 2**31

    def _done(self) -> int | None:
        """Training batches so far, this one included; None outside of training."""
        if self.trainer is None or not self.trainer.training:
            return None
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.ready

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint: how epochs are divided into batches, and the tokenizer as text."""
        tokenizer = {} if self.tokenizer is None else {"tokenizer": self.tokenizer.to_json()}
        return {"division": self.division(), **tokenizer}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the tokenizer of a checkpoint, so that ids mean what they meant in training."""
        self.divided = state_dict.get("division", {})
        if "tokenizer" in state_dict:
            self.tokenizer = Tokenizer.from_json(state_dict["tokenizer"], self.context_length)
