"""Signatures are read right without an import, and the checked config is what was composed."""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from polymodal.config.auto import AUTO
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.config.schema import Config
from polymodal.config.signature import find_signature
from polymodal.data.file_data import FileData
from polymodal.data.folder import Folder
from polymodal.data.huggingface import HuggingFace
from polymodal.data.huggingface_stream import HuggingFaceStream
from polymodal.data.manifest import Manifest
from polymodal.data.webdataset import WebDataset
from polymodal.errors import ConfigError

CHOSEN_BY_THE_BASE = {
    Folder: {"columns"},
    HuggingFace: set(),
    Manifest: set(),
    HuggingFaceStream: {"image_cache", "image_cache_gb"},
    WebDataset: {"image_cache", "image_cache_gb"},
}
"""Sources whose `**options` are arguments of a base, and what no user gives."""
CONFIGS = Path(__file__).parents[2] / "configs"


def targets(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["_target_"]} - {AUTO} if "_target_" in node else set()
        return own.union(*map(targets, node.values()))
    return set()


ALL_TARGETS = sorted(
    set().union(*(targets(yaml.safe_load(file.read_text())) for file in CONFIGS.rglob("*.yaml")))
)


@pytest.mark.parametrize("target", ALL_TARGETS)
def test_the_signature_that_is_read_is_the_one_that_python_has(target: str) -> None:
    module, _, name = target.rpartition(".")
    if module.startswith("hydra_plugins."):
        pytest.importorskip(
            module, reason="a launcher that is not installed: pip install -e '.[ray]'"
        )
    part = getattr(import_module(module), name)
    if part in CHOSEN_BY_THE_BASE:  # the next test
        return
    real = inspect.signature(part).parameters.values()
    named = {p.name for p in real if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}}
    read = find_signature(target)
    if set(read.types) != named:  # Lightning's Trainer hides its signature from inspect
        assert target == "lightning.pytorch.Trainer"
        return
    assert read.required == {p.name for p in real if p.name in named and p.default is p.empty}
    assert read.open == any(p.kind == p.VAR_KEYWORD for p in real)


@pytest.mark.parametrize("part", CHOSEN_BY_THE_BASE)
def test_options_that_go_on_to_the_base_are_its_arguments(part: type) -> None:
    own = {kind: inspect.signature(kind.__init__).parameters for kind in part.__mro__[:-1]}
    taken = [kind for kind in own if issubclass(kind, FileData) and "__init__" in vars(kind)]
    named = {
        name: parameter
        for kind in reversed(taken)
        for name, parameter in own[kind].items()
        if parameter.kind == parameter.POSITIONAL_OR_KEYWORD and name != "self"
    }
    expected = {name: p for name, p in named.items() if name not in CHOSEN_BY_THE_BASE[part]}
    read = find_signature(f"{part.__module__}.{part.__name__}")
    assert read.types.keys() == expected.keys()
    assert read.required == {name for name, p in expected.items() if p.default is p.empty}
    assert not read.open


def test_an_inherited_constructor_is_found() -> None:
    assert "lr" in find_signature("torch.optim.AdamW").types
    assert find_signature("torch.nn.BatchNorm2d").required == {"num_features"}


def compose(**changes: Any) -> Any:
    config = compose_config(["++run_dir=."])
    return OmegaConf.merge(config, changes)


def test_a_right_config_comes_back_resolved() -> None:
    plain = check_config(compose())
    assert plain["encoder"]["image"]["dim"] == plain["dim"]
    assert plain["objective"]["modalities"] == ["image", "text"]


def test_a_key_of_the_root_that_nobody_reads_is_refused() -> None:
    config = compose()
    OmegaConf.set_struct(config, False)
    config.optimiser = {"lr": 1}
    with pytest.raises(ConfigError, match=r"Unknown key 'optimiser'. Did you mean optimizer"):
        check_config(config)


def test_what_a_part_needs_is_asked_for() -> None:
    config = compose_config(["experiment=clip_small", "++run_dir=."])
    OmegaConf.set_struct(config, False)
    del config.encoder.text["vocab_size"]
    with pytest.raises(ConfigError, match="encoder.text needs vocab_size"):
        check_config(config)


def test_a_wrong_value_is_told_where_it_stands_and_not_where_it_is_used() -> None:
    config = compose(dim=-4)
    with pytest.raises(ConfigError) as error:
        check_config(config)
    assert str(error.value).splitlines() == ["dim=-4: input should be greater than 0."]


def test_nested_parts_are_checked_too() -> None:
    config = compose()
    OmegaConf.set_struct(config, False)
    config.trainer.profiler = {
        "_target_": "lightning.pytorch.profilers.SimpleProfiler",
        "dirpat": "x",
    }
    with pytest.raises(ConfigError, match=r"trainer.profiler.dirpat.*dirpath"):
        check_config(config)


@pytest.mark.parametrize(
    "file", sorted(CONFIGS.glob("experiment/*.yaml")), ids=lambda file: file.stem
)
def test_an_experiment_says_what_it_is_and_sets_known_keys_only(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith("# ")
    assert set(yaml.safe_load(file.read_text()) or {}) - {"defaults"} <= set(Config.model_fields)


@pytest.mark.parametrize("target", ["1", "null", "true"])
def test_a_target_that_is_no_name_is_told(target: str) -> None:
    words = [
        "experiment=clip_openclipart",
        "objective=siglip",
        f"++objective._target_={target}",
        "++run_dir=.",
    ]
    with pytest.raises(ConfigError, match="objective._target_"):
        check_config(compose_config(words), look=False)


def test_callbacks_of_an_experiment_can_be_left_out(capsys) -> None:
    words = ["experiment=own_small", "++data.path=x.csv", "++run_dir=.", "callbacks=[checkpoint]"]
    assert "early_stopping" not in check_config(compose_config(words), look=False)["callbacks"]
    assert "experiment=own_small sets callbacks.early_stopping" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="callbacks.early_stopping is not chosen"):
        check_config(compose_config([*words, "++callbacks.early_stopping.mode=max"]), look=False)


def test_what_an_experiment_sets_of_a_replaced_part_is_left_out_and_said(capsys) -> None:
    words = ["experiment=clip_openclipart", "objective=siglip", "++run_dir=."]
    plain = check_config(compose_config(words), look=False)
    assert "label_smoothing" not in plain["objective"]
    assert plain["objective"]["_target_"].endswith("SigLIP")
    assert plain["data"]["shift"] == 0.05  # of the parts that it keeps, all
    said = "experiment=clip_openclipart sets objective.label_smoothing=0.1, and objective=siglip has no such setting"
    assert said in capsys.readouterr().out
    with pytest.raises(ConfigError, match="label_smoothing"):  # what is typed is meant
        check_config(compose_config([*words, "++objective.label_smoothing=0.1"]))
    plain = check_config(compose_config([words[0], words[2]]), look=False)
    assert plain["objective"]["label_smoothing"] == 0.1
