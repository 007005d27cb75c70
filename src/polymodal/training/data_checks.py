"""Refuses data on which an objective can learn or measure nothing: once they are read, before
training.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from itertools import combinations

from torch import nn

from polymodal.data.auto.defaults import FEW_UPDATES
from polymodal.data.datamodule import PairedDataModule
from polymodal.data.loading.facts import SplitFacts
from polymodal.data.loading.splits import done_without
from polymodal.errors import ConfigError, DataError, named
from polymodal.model import MultimodalModel
from polymodal.objectives.base import Objective
from polymodal.objectives.classification import Classification
from polymodal.objectives.contrastive import Contrastive
from polymodal.objectives.supcon import SupCon
from polymodal.objectives.supervised import Supervised

log = logging.getLogger(__name__)

FEW_SAMPLES = 20
"""Metrics of a split with fewer are warned of."""


def check_data(
    data: PairedDataModule, objective: Objective, modalities: Sequence[str], splits: Sequence[str]
) -> None:
    """Checks each split against each objective; what is only doubtful is a warning with numbers.

    Args:
        data: set up.
        objective: one, or several in one.
        modalities: those that the model reads.
        splits: those that are used.

    Raises:
        DataError: a split has nothing to pair or no label, or all of its training samples are
            alike.
    """
    parts = list(objective.parts().values())
    for split in splits:
        facts = data.facts(split)
        if facts is None:
            continue
        look = Look(data, split, facts, after_training="train" in splits)
        problems = [problem for part in parts for problem in look.problems(part)]
        if split == "train":
            problems += look.never_seen(modalities)
        if problems and (split == "train" or len(problems) >= len(parts)):
            raise DataError(problems[0])
        for doubt in (*problems, *(doubt for part in parts for doubt in look.doubts(part))):
            log.warning(doubt)


class Look:
    """What is wrong with one split, in words.

    Args:
        data: set up.
        split: its name.
        facts: what it holds.
        after_training: whether the same data are trained on.
    """

    def __init__(
        self, data: PairedDataModule, split: str, facts: SplitFacts, after_training: bool
    ) -> None:
        self.data, self.split, self.facts = data, split, facts
        self.trains, self.after_training = split == "train", after_training
        count = (
            f"its {facts.samples} samples" if facts.whole else f"the first {facts.samples} samples"
        )
        self.count = f"of {count}"
        self.without = done_without(split, data.wanted)

    def problems(self, part: Objective) -> Iterator[str]:
        """Why an objective can do nothing with the split."""
        if isinstance(part, Contrastive):
            yield from self._pairs(part)
        elif (
            isinstance(part, Supervised)
            and (label := self.facts.labels.get(part.label)) is not None
        ):
            use = "learned" if self.trains else "evaluated"
            if label.known == 0:
                yield (
                    f"The {self.split} split: none {self.count} has a label{self._named('label')}, "
                    f"so nothing can be {use}.{self.without}"
                )
            elif (
                isinstance(part, Classification)
                and self.after_training
                and sum(label.unseen.values()) == label.known
            ):
                yield (
                    f"The {self.split} split: none {self.count} has a label{self._named('label')} "
                    "that training has, so an accuracy would say nothing. To predict numbers: "
                    "data.label_kind=value objective=regression."
                )
            elif label.distinct == 1 and self.trains and self.facts.whole:
                yield f"{self._same_label(label.known)} There is nothing to learn."

    def never_seen(self, modalities: Sequence[str]) -> Iterator[str]:
        """Modalities whose encoder would not be trained."""
        for name in modalities:
            if name in self.data.modalities and not self.facts.having(name):
                yield (
                    f"The {self.split} split: none {self.count} has {name}{self._named(name)}, so "
                    f"its encoder would not be trained. Leave it out: encoder/{name}=none."
                )

    def doubts(self, part: Objective) -> Iterator[str]:
        """What an objective says of the split and should not be trusted."""
        # few samples
        label = self.facts.labels.get(part.label) if isinstance(part, Supervised) else None
        if not self.trains and self.facts.whole and self.facts.samples < FEW_SAMPLES:
            yield (
                f"The {self.split} split has {self.facts.samples} samples: one more right answer "
                f"changes a metric by {1 / self.facts.samples:.0%}. data.splits=[0.6, 0.2, 0.2] "
                "evaluates on more."
            )

        # labels that say little
        if label is not None and label.distinct == 1:
            yield f"{self._same_label(label.known)} An accuracy on it says little."
        if label is not None and label.unseen:
            known = self.data.class_names.get("label", [])
            names = [
                known[number] if number < len(known) else str(number) for number in label.unseen
            ]
            yield (
                f"The {self.split} split has labels{self._named('label')} that no training sample "
                f"has, {sum(label.unseen.values())} times: {named(names, 5)}. The model cannot "
                "know them."
            )

        # pairs that are not compared, or compared with their equals
        if isinstance(part, Contrastive):
            if self.trains:
                for term, compared in self._compared(part).items():
                    if compared == 0:
                        yield (
                            f"The train split: none {self.count} has both {self._both(term)}: they "
                            "are not aligned."
                        )
                for name in part.modalities:
                    if shared := self.facts.shared.get(name):
                        yield (
                            f"The train split: {shared} of {self.facts.items[name]} different "
                            f"{name}s{self._named(name)} are in several groups: wrong answers of "
                            "each other in the loss, though not in retrieval. "
                            "data.columns.group=<column> says what belongs together."
                        )
            elif alike := self._alike(part):
                yield f"{alike} Recall is 1 there, whatever the model says."

    def _pairs(self, part: Contrastive) -> Iterator[str]:
        compared = self._compared(part)
        most = max(compared.values())
        # a group pairs them
        alone = isinstance(part, SupCon) and self.facts.groups < self.facts.samples
        comparable = min(
            self.facts.samples if alone else most, self.data.limit or self.facts.samples
        )
        if most == 0 and not alone:
            found = ", ".join(f"{name} {self.facts.having(name)}" for name in part.modalities)
            yield (
                f"The {self.split} split: none {self.count} has both "
                f"{self._both(next(iter(compared)))}, so there is nothing to pair. Samples that "
                f"have: {found}.{self.data.pairing}{self.without}"
            )
        elif self.trains and comparable < 2 and self.facts.whole:
            yield (
                "The train split: only one sample can be compared, and a contrastive loss compares "
                "several."
            )
        elif self.trains and self.data.batch_size < 2:
            yield (
                f"data.batch_size={self.data.batch_size}: a contrastive loss compares the samples "
                "of a batch, and is 0 for one alone. Give it 2 or more."
            )
        elif self.trains and self.facts.whole and (alike := self._alike(part)):
            yield f"{alike} Nothing is distinguished, and recall is 1 whatever the model predicts."

    def _compared(self, part: Contrastive) -> dict[tuple[str, ...], int]:
        """Modalities that a loss brings together -> samples that have them."""
        # a row beyond those of X stands for several modalities together
        rows = [term.rows for term in part.terms if max(term.rows) < len(part.modalities)]
        terms = [tuple(part.modalities[row] for row in own) for own in rows]
        terms = terms or list(combinations(part.modalities, 2))
        return {term: self.facts.having(*term) for term in terms}

    def _alike(self, part: Contrastive) -> str:
        """That all samples are right answers of each other; empty where they are not."""
        if self.facts.groups == 1:
            return f"The {self.split} split: all {self.count} are one group{self._named('group')}."
        for name in part.modalities:
            if self.facts.items.get(name) == 1:
                return (
                    f"The {self.split} split: all {self.count} have the same "
                    f"{name}{self._named(name)}."
                )
        return ""

    def _same_label(self, known: int) -> str:
        whole = "" if self.facts.whole else "first "
        return (
            f"The {self.split} split: all of its {whole}{known} labels are the "
            f"same{self._named('label')}."
        )

    def _both(self, modalities: Sequence[str]) -> str:
        return " and ".join(f"{name}{self._named(name)}" for name in modalities)

    def _named(self, key: str) -> str:
        """The setting that names a column, in brackets."""
        columns = getattr(self.data, "columns", None)
        return (
            f" (data.columns.{key}={','.join(columns[key])})"
            if columns is not None and key in columns
            else ""
        )


def few_updates(updates: float, epochs: int | None) -> str:
    """A warning of a run that is too short to learn much, with what to type; empty for one that is
    long enough.

    Args:
        updates: optimizer steps of the run; infinite where nobody knows.
        epochs: of the run; None where it is measured in steps.
    """
    if updates >= FEW_UPDATES:
        return ""
    said, wish = f"This run has {updates:.0f} updates", f"trainer.max_steps={FEW_UPDATES}"
    if epochs is not None:
        said += f" in {epochs} epochs"
        wish = f"trainer.max_epochs={math.ceil(FEW_UPDATES * epochs / updates)}"
    return (
        f"{said}: a model needs some {FEW_UPDATES} to learn much. Type {wish}, or give a smaller "
        "data.batch_size."
    )


def check_vocabulary(data: PairedDataModule, model: MultimodalModel) -> None:
    """Refuses a text encoder with fewer tokens than the tokenizer of the data.

    Raises:
        ConfigError: names both numbers.
    """
    # which comes with its encoder
    if data.tokenizer is None or getattr(data, "pretrained_tokenizer", None):
        return
    for name, encoder in model.encoders.items():
        if data.kinds.get(name, name) != "text":
            continue
        tables = [
            m.num_embeddings
            for m in encoder.modules()
            if isinstance(m, nn.Embedding | nn.EmbeddingBag)
        ]
        if tables and max(tables) < data.tokenizer.vocab_size:
            raise ConfigError(
                f"encoder.{name}: it has {max(tables)} tokens, and the captions have "
                f"{data.tokenizer.vocab_size}. Leave encoder.{name}.vocab_size out: it is "
                "data.vocab_size."
            )
