"""A trained model, opened: its checkpoint, its config with changes, and what its data have learned."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from omegaconf import DictConfig, OmegaConf

from polymodal.checkpoint import find_checkpoint, load_checkpoint
from polymodal.choices import check_machine
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.config.launch import FOR_ANY_RUN, as_hydra_arguments, quoted
from polymodal.config.run_folder import HEADER
from polymodal.data.datamodule import PairedDataModule
from polymodal.module import MultimodalModule
from polymodal.objectives.supervised import Supervised
from polymodal.run import Settings, build, make

REPLACED = ("data", "callbacks")
"""Groups that a user of the model chooses anew as a whole."""


def compose_stored(config: Settings, changes: list[str]) -> DictConfig:
    """A checkpoint's config with changes, as on the command line."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(HEADER.format(folder=folder) + OmegaConf.to_yaml(OmegaConf.create(config)))
        return compose_config(as_hydra_arguments(changes, (*FOR_ANY_RUN, *REPLACED)), "config", folder)


def labelled(objective: Any) -> list[Any]:
    """The node of an objective or, where that joins others, of each of them, if it can name a label."""
    inner = [node for child in objective.get("objectives", {}).values() for node in labelled(child)]
    return inner or [objective] * ("label" in objective)


class Trained:
    """A checkpoint with changes to its config.

    Args:
        path: a run folder (its best checkpoint is taken) or a checkpoint file.
        changes: as on the command line; `data=` and `callbacks=` replace those of the run, and `run_dir=` is where
            callbacks write, which is by default a new folder under logs/eval. `label=` is what every objective
            reads that read the label of the run.

    Raises:
        ConfigError: there is no such file, it is damaged or none of ours, or the changes cannot be.
    """

    def __init__(self, path: Path, changes: Sequence[str] = ()) -> None:
        self.file = find_checkpoint(path)
        self.checkpoint = load_checkpoint(self.file)
        self.stored: Settings = self.checkpoint["config"]
        folders = [change.removeprefix("run_dir=").strip('"') for change in changes if change.startswith("run_dir=")]
        changes = [change for change in changes if not change.startswith("run_dir=")]
        new = Path("logs/eval", self.stored["name"], datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f"))
        self.run_dir = Path(folders[-1] if folders else new).absolute()
        chosen = {change.partition("=")[0] for change in changes}
        self.replaced = [group for group in REPLACED if group in chosen]
        kept = self.stored | {group: {} for group in self.replaced}
        self.composed = compose_stored(kept, [*changes, f"run_dir={quoted(self.run_dir)}"])
        self.renamed: dict[str, str] = {}
        for node, before in zip(labelled(self.composed.objective), labelled(self.stored["objective"]), strict=True):
            if node["label"] is not None and node["label"] == self.stored["label"]:
                node["label"] = self.composed.label  # of the other data, or of label=
            self.renamed[node["label"]] = before["label"]
        self.config = check_config(self.composed)
        check_machine(self.config)

    def build(
        self, keep: Callable[[Callback], bool], stored: Settings | None = None, partial: bool = False
    ) -> tuple[PairedDataModule, MultimodalModule, Trainer]:
        """Data with what they learned in training, not set up; the module with its weights; a trainer that can test.

        Args:
            keep: which callbacks take part.
            stored: the config for loggers and checkpoints, if there are any.
            partial: whether the data may lack modalities of the model.
        """
        data, module, trainer = build(self.config, stored or self.config, keep, partial)
        data.load_state_dict(self._state(module))
        module.load_state_dict(self.checkpoint["state_dict"])  # sharded only after this, by the trainer
        return data, module, trainer

    def _state(self, module: MultimodalModule) -> dict[str, Any]:
        """What the data of the training keep in checkpoints; to other data the classes of the model are told too."""
        source = self.stored["data"]["_target_"].rpartition(".")[2]
        state: dict[str, Any] = self.checkpoint.get(source, {})
        if "data" in self.replaced and supervised(module) is not None:
            names = self.class_names.get(str(self.stored["label"]))
            state = state | {"learned": ({"label": names} if names else {}) | state.get("learned", {})}
        return state

    @cached_property
    def class_names(self) -> dict[str, list[str]]:
        """Label -> names of the classes that the data of the training had, whatever the label is called now."""
        source = self.stored["data"]["_target_"].rpartition(".")[2]
        learned = self.checkpoint.get(source, {}).get("learned", {})
        data = make(check_config(compose_stored(self.stored, ["run_dir=."]))["data"], "data")
        names = data.class_names | {name: learned[name] for name in ("label",) if name in learned}
        return names | {new: names[old] for new, old in self.renamed.items() if old in names}


def supervised(module: MultimodalModule) -> Supervised | None:
    """The objective that reads Y, or the first of several; None where there is none."""
    parts = module.objective.parts().values()
    return next((part for part in parts if isinstance(part, Supervised)), None)
