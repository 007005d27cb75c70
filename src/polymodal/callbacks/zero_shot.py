"""Zero-shot classification: classes are sentences, the nearest one wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, Trainer
from omegaconf import OmegaConf
from torch import Tensor
from torch.utils.data import IterableDataset

from polymodal.batch import PairedBatch
from polymodal.data import bundled
from polymodal.errors import ConfigError
from polymodal.metrics.confusion import MATRIX, class_counts, confusion_matrix
from polymodal.metrics.sample_table import SampleTable
from polymodal.module import MultimodalModule
from polymodal.outputs import ModelOutput

BUNDLED = {"glyphs": Path(bundled.__file__).with_name("glyph_prompts.yaml")}
"""Prompts that come with the package."""


class ZeroShot(Callback):
    """Evaluates the test split by class prompts alone (Radford et al. 2021, section 3.1).

    Logs `test/zero_shot/accuracy` and `test/zero_shot/recall` (mean over the classes that occur);
    the confusion matrix is kept in `confusion`, unless there are more classes than `MATRIX`.

    Args:
        label: key of `PairedBatch.labels`; samples with -1 do not count.
        prompts: class name -> `templates` and `words`: each word is put into each template, at
            `{}`; or a YAML file of that, or of class name -> words; or `glyphs`, the file for the
            bundled data.
        templates: for classes without templates of their own; one without prompts has its name for
            a word.
        pool: `mean`: a class is the mean of its prompts' embeddings, as in CLIP. `max`: its nearest
            prompt counts, which suits classes of many faces.
        image: modality to be classified.
        text: modality of the prompts.
    """

    def __init__(
        self,
        label: str,
        prompts: Mapping[str, Mapping[str, Sequence[str]]] | str | None = None,
        templates: Sequence[str] = (),
        pool: Literal["mean", "max"] = "mean",
        image: str = "image",
        text: str = "text",
    ) -> None:
        self.label, self.templates, self.pool = label, templates, pool
        self.prompts = (
            read_prompts(prompts, templates) if isinstance(prompts, str) else dict(prompts or {})
        )
        self.image, self.text = image, text
        self.class_names = list(self.prompts)
        self.confusion: Tensor | None = None

    def setup(self, trainer: Trainer, pl_module: MultimodalModule, stage: str) -> None:
        """Checks, before anything is trained.

        Raises:
            ConfigError: the classes of the data have no prompts, or the data or the model cannot do
                it.
        """
        names = trainer.datamodule.class_names.get(self.label)  # type: ignore[attr-defined]
        modalities = pl_module.model.modalities
        if names is None or not {self.image, self.text} <= set(modalities):
            raise ConfigError(
                f"callbacks.zero_shot needs labels {self.label!r} and the modalities "
                f"{self.image!r} and {self.text!r}; this run has {', '.join(modalities)}.\n"
                "Leave it out: callbacks=[default]"
            )
        if not self.templates and (missing := set(names) - set(self.prompts)):
            raise ConfigError(
                f"callbacks.zero_shot.prompts has no phrase for: {', '.join(sorted(missing))}."
            )
        self.class_names = names
        held_out = trainer.datamodule.test_set  # type: ignore[attr-defined]
        # a stream has no first sample
        if not isinstance(held_out, IterableDataset) and len(held_out):
            self._classes(held_out[[0]])

    def on_test_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Embeds the classes."""
        self.vectors = [self._embed(trainer, pl_module, name) for name in self.class_names]
        self.answers = SampleTable("answer", "target")

    @torch.no_grad()
    def _embed(self, trainer: Trainer, pl_module: MultimodalModule, name: str) -> Tensor:
        """(P, d), the normalised embeddings of a class's P prompts, or (1, d), their mean."""
        prompts = self.prompts.get(name, {"templates": self.templates, "words": [name]})
        sentences = [
            template.format(word) for template in prompts["templates"] for word in prompts["words"]
        ]
        tokens = trainer.datamodule.tokenize(sentences).to(pl_module.device)  # type: ignore[attr-defined]
        with trainer.precision_plugin.forward_context():
            encoded = pl_module.model.encoders[self.text](tokens)
        vectors = F.normalize(encoded.float(), dim=-1)
        return vectors if self.pool == "max" else F.normalize(vectors.mean(0, keepdim=True), dim=-1)

    def _scores(self, x: Tensor) -> Tensor:
        """(B, d) normalised embeddings -> (B, classes) cosines with the nearest prompt of each
        class.
        """
        return torch.stack([(x @ vectors.T).amax(1) for vectors in self.vectors], dim=1)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: MultimodalModule,
        outputs: Any,
        batch: PairedBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Scores the batch's embeddings against the classes."""
        output: ModelOutput = outputs
        row = pl_module.model.modalities.index(self.image)
        target = self._classes(batch)
        counted = output.mask[:, row] & (target >= 0)
        x = F.normalize(output.x[counted, row].float(), dim=-1)
        self.answers.update(
            batch.id[counted], answer=self._scores(x).argmax(1), target=target[counted]
        )

    def _classes(self, batch: PairedBatch) -> Tensor:
        """(B,) int64.

        Raises:
            ConfigError: the labels are tags, or values.
        """
        labels = batch.labels[self.label]
        if labels.ndim != 1 or labels.is_floating_point():
            raise ConfigError(
                f"callbacks.zero_shot.label={self.label}: these labels are not one class a "
                "sample.\n"
                "Choose another label, or leave it out: callbacks=[default]"
            )
        return labels

    def on_test_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Logs the metrics and keeps the confusion matrix, rows = true class."""
        table = self.answers.compute()
        answer, target, classes = table["answer"], table["target"], len(self.class_names)
        counts = class_counts(answer, target, classes)
        occurs = counts.support > 0
        pl_module.log("test/zero_shot/accuracy", counts.right.sum() / max(1, len(target)))
        pl_module.log(
            "test/zero_shot/recall", (counts.right[occurs] / counts.support[occurs]).mean()
        )
        self.confusion = confusion_matrix(answer, target, classes) if classes <= MATRIX else None


def read_prompts(file: str, templates: Sequence[str]) -> dict[str, Mapping[str, Sequence[str]]]:
    """The prompts of a YAML file: class name -> words, or `templates` and `words`.

    Args:
        file: its path, or a key of `BUNDLED`.
        templates: for classes that have none of their own.

    Raises:
        ConfigError: there is no such file, or something else is in it.
    """
    try:
        path = BUNDLED.get(file, file)
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except Exception as error:  # of yaml, of the encoding, of the file system
        raise ConfigError(
            f"callbacks.zero_shot.prompts={file} cannot be read: {str(error).splitlines()[0]}"
        ) from error
    prompts: dict[str, Mapping[str, Sequence[str]]] = {}
    for name, entry in (content if isinstance(content, dict) and content else {"": None}).items():
        entry = entry if isinstance(entry, dict) else {"words": entry}
        words = _sentences(entry.get("words"))
        own = _sentences(entry.get("templates", list(templates) or ["{}"]))
        if not words or not own or entry.keys() - {"words", "templates"}:
            raise ConfigError(
                f"callbacks.zero_shot.prompts={file}: a line is a class and its words, such as "
                "cat: [cat, kitten]"
            )
        prompts[str(name)] = {"templates": own, "words": words}
    return prompts


def _sentences(value: Any) -> list[str]:
    """One word or several; nothing where it is neither."""
    values = [value] if isinstance(value, str) else value
    return (
        values if isinstance(values, list) and all(isinstance(word, str) for word in values) else []
    )
