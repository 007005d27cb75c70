"""A trained model: its checkpoint, its config with changes, and the state of its data."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from omegaconf import DictConfig, OmegaConf, open_dict

from polymodal.cli.overrides import FOR_ANY_RUN, as_hydra_arguments, quoted
from polymodal.config.auto import close
from polymodal.config.check import check_config
from polymodal.config.command_line import home
from polymodal.config.compose import compose_config
from polymodal.config.signature import find_signature
from polymodal.config.trust import at_rest, check_whole, trusted
from polymodal.data.datamodule import PairedDataModule
from polymodal.data.loading.columns import ColumnChoice
from polymodal.data.table.module import TableData
from polymodal.errors import ConfigError
from polymodal.inference.new_columns import columns_as_trained, print_columns
from polymodal.inference.new_data import division_of, seen_in_training
from polymodal.module import MultimodalModule
from polymodal.objectives.supervised import Supervised, supervised_part
from polymodal.runs.folder import header
from polymodal.training.build import build, make
from polymodal.training.checkpoints.files import find_checkpoint, load_checkpoint, origin_of
from polymodal.training.run import Settings

REPLACED = ("data", "metrics", "callbacks")
"""Groups that are replaced as a whole."""

READ = {
    name: name
    for name in (
        "channels",
        "mean",
        "std",
        "frames",
        "sample_rate",
        "max_seconds",
        "context_length",
    )
}
READ["size"] = "image_size"
"""What `PairedDataModule.formats` says -> the setting of data that is the same: how a file becomes
an input."""

OF_THE_MODEL = ("numeric", "cardinalities", "label_kind")
"""Settings of tables that encoder and objective were built for."""


def compose_stored(config: Settings, changes: list[str]) -> DictConfig:
    """The trusted part of a checkpoint's config, with changes as on the command line."""
    with tempfile.TemporaryDirectory() as folder:
        file, taken = Path(folder) / "config.yaml", trusted(config, changes)
        file.write_text(header(Path(folder)) + OmegaConf.to_yaml(OmegaConf.create(taken)))
        return compose_config(
            as_hydra_arguments(changes, (*FOR_ANY_RUN, *REPLACED)), "config", folder
        )


def plain(node: DictConfig) -> Settings:
    """A node of a config as a dictionary, references resolved."""
    return OmegaConf.to_container(node, resolve=True)  # type: ignore[return-value]


def labelled(objective: Any) -> list[Any]:
    """The nodes of an objective, or of those that it joins, that can name a label."""
    children = objective.get("objectives", {})
    children = children.values() if hasattr(children, "values") else ()
    inner = [node for child in children if hasattr(child, "get") for node in labelled(child)]
    return inner or [objective] * ("label" in objective)


class Trained:
    """A checkpoint with changes to its config.

    Args:
        path: a run folder (its best checkpoint is taken) or a checkpoint file.
        changes: as on the command line; `data=` and `callbacks=` replace those of the run (other
            data read files as it did: size, channels, normalisation, sample rate and so on, but for
            what is given; all of their samples are for testing unless they say themselves which
            are), and `run_dir=` is where callbacks write, which is by default a new folder under
            logs/eval. `label=` is what every objective reads that read the label of the run.

    Attributes:
        seen: the setting because of which samples that were trained on may be evaluated, or
            nothing.

    Raises:
        ConfigError: there is no such file, it is damaged or none of ours, or the changes cannot be.
    """

    def __init__(self, path: Path, changes: Sequence[str] = ()) -> None:
        self.file = find_checkpoint(path)
        self.checkpoint = load_checkpoint(self.file)
        self.stored: Settings = self.checkpoint["config"]

        # where results are written
        folders = [
            change.removeprefix("run_dir=").strip('"')
            for change in changes
            if change.startswith("run_dir=")
        ]
        changes = [change for change in changes if not change.startswith("run_dir=")]
        check_whole(self.stored)
        trusted({"name": self.stored["name"]})  # a folder is called so
        new = Path(
            "logs/eval", self.stored["name"], datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
        )
        self.run_dir = Path(home(folders[-1]) if folders else new).absolute()

        # groups that are chosen anew replace those of the run; nothing is logged
        chosen = {change.partition("=")[0] for change in changes}
        self.replaced = [group for group in REPLACED if group in chosen]
        kept = self.stored | {
            group: {} for group in (*self.replaced, "logger")
        }  # nothing is logged
        self.composed = compose_stored(kept, [*changes, f"run_dir={quoted(self.run_dir)}"])

        # a label that the run read may have another name in other data
        self.renamed: dict[str, str] = {}
        for node, before in zip(
            labelled(self.composed.objective), labelled(self.stored["objective"]), strict=True
        ):
            if node["label"] is not None and node["label"] == self.stored["label"]:
                node["label"] = self.composed.label  # of the other data, or of label=
            self.renamed[node["label"]] = before["label"]

        # other data are read as those of the training were
        given = {change.lstrip("+").partition("=")[0] for change in changes}
        if "data" in self.replaced:
            self._read_as_in_training(given)
        close(self.composed, self.stored)
        if "data" in self.replaced:
            self._name_columns()
        self._divide(given)
        self.config = check_config(self.composed)

    def build(
        self,
        keep: Callable[[Callback], bool],
        stored: Settings | None = None,
        partial: bool = False,
    ) -> tuple[PairedDataModule, MultimodalModule, Trainer]:
        """The data module with its state, not set up; the module with its weights; a trainer that
        can test.

        Args:
            keep: which callbacks the trainer has.
            stored: the config for loggers and checkpoints, if there are any.
            partial: whether the data may lack modalities of the model.
        """
        data, module, trainer = build(self.config, stored or self.config, keep, partial)
        if "data" in self.replaced:
            self._check_channels(data)
        data.load_state_dict(self._state(module))
        if trainer.precision == "64-true":
            module.double()  # loading would round the weights to fp32
        module.load_state_dict(
            self.checkpoint["state_dict"]
        )  # sharded only after this, by the trainer
        module.origin = origin_of(self.checkpoint, self.file)
        return data, module, trainer

    def _read_as_in_training(self, given: set[str]) -> None:
        """Other data read files as in training, but for settings that are given."""
        node = self.composed.data
        formats = self._data_of_training.formats()
        wanted = {
            name: self.stored["data"][name] for name in OF_THE_MODEL if name in self.stored["data"]
        }
        for name in self.stored["encoder"]:
            wanted |= {
                READ[key]: value for key, value in formats.get(name, {}).items() if key in READ
            }
        taken = wanted.keys() & find_signature(node["_target_"]).types.keys()
        with open_dict(node):
            node.update({name: wanted[name] for name in taken if f"data.{name}" not in given})

    def _name_columns(self) -> None:
        """Other data are read by the columns of the training, but for those that are given.

        Raises:
            ConfigError: they have none of them, and none is given.
            DataError: they cannot be read.
        """
        node, before = self.composed.data, self.stored["data"]
        types = find_signature(node["_target_"]).types
        if "columns" not in types or not (trained := before.get("columns")):
            return
        keys = [*self.stored["encoder"], *["label"] * bool(labelled(self.composed.objective))]
        settings = plain(node)
        given = settings.get("columns") or {}
        # a source is only made with columns: for this look it has those of the training
        kinds = {**before.get("kinds", {}), **(settings.get("kinds") or {})}
        probe = {"columns": {**trained, **given}, "kinds": kinds}
        source = make({**settings, **probe}, "data")
        names = source.column_names() if isinstance(source, TableData) else None
        taken = columns_as_trained(given, trained, names, keys)
        with open_dict(node):
            node["columns"] = {**taken, **given}
            node["kinds"] = {name: kind for name, kind in kinds.items() if name in node["columns"]}
        print_columns(given, taken, trained, names, list(self.stored["encoder"]))

    def _divide(self, given: set[str]) -> None:
        """The data of the training fall into the same splits; all of other data are for testing."""
        node = self.composed.data
        with open_dict(node):
            for key, value in division_of(plain(node), self.stored["data"], given).items():
                if key in find_signature(node["_target_"]).types:
                    node[key] = value
        self.seen = seen_in_training(plain(node), self.stored["data"])

    def _check_channels(self, data: PairedDataModule) -> None:
        before = self._data_of_training.formats()
        for name, form in data.formats().items():
            trained, now = before.get(name, {}).get("channels"), form.get("channels")
            if None not in (trained, now) and trained != now:
                raise ConfigError(
                    f"data: {name} has {now} channels in {type(data).__name__}, and the model was "
                    f"trained with {trained}."
                )

    @cached_property
    def _data_of_training(self) -> PairedDataModule:
        """The data module of the training, not set up: for formats and names."""
        return make(
            check_config(compose_stored(at_rest(self.stored), ["run_dir=."]))["data"], "data"
        )  # type: ignore[no-any-return]

    def _state(self, module: MultimodalModule) -> dict[str, Any]:
        """The state of the training data in the checkpoint; for other data with the classes too."""
        source = self.stored["data"]["_target_"].rpartition(".")[2]
        state: dict[str, Any] = self.checkpoint.get(source, {})
        part = supervised(module)
        if "data" in self.replaced and part is not None:
            names = self.class_names.get(part.label)
            state = state | {
                "learned": ({"label": names} if names else {}) | state.get("learned", {})
            }
        return state

    @cached_property
    def label_columns(self) -> list[str]:
        """The columns of the labels in the table of the training; none where it was no table."""
        columns = getattr(self._data_of_training, "columns", None)
        return columns["label"] if isinstance(columns, ColumnChoice) and "label" in columns else []

    @cached_property
    def class_names(self) -> dict[str, list[str]]:
        """Label -> names of the classes that the data of the training had, whatever the label is
        called now.
        """
        names = class_names_of(self.checkpoint, self._data_of_training)
        return names | {new: names[old] for new, old in self.renamed.items() if old in names}


def class_names_of(checkpoint: Settings, data: PairedDataModule) -> dict[str, list[str]]:
    """Label -> names of the classes that training had, also where they are read from the data.

    Args:
        checkpoint: as it was saved.
        data: the module of the training, set up or not.
    """
    learned = checkpoint.get(type(data).__qualname__, {}).get("learned", {})
    return data.class_names | {name: learned[name] for name in ("label",) if name in learned}


def supervised(module: MultimodalModule) -> Supervised | None:
    """The objective that reads Y, or the first of several; None where there is none."""
    return supervised_part(module.objective)
