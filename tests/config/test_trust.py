"""What a checkpoint, or a config beside one, cannot make us do."""

from pathlib import Path

import pytest
import torch
import yaml

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.config.moved import MOVED
from polymodal.config.signature import find_definition, module_of
from polymodal.config.trust import check_trust
from polymodal.errors import ConfigError
from polymodal.runs.folder import DEFAULTS
from polymodal.runs.resume import stored_config
from polymodal.training.checkpoints.files import load_checkpoint

REFUSED = "only classes of|there is no|has no|no run of ours stores"

GOOD = [
    "polymodal.encoders.image.cnn.CNN",
    "polymodal.data.glyphs.Glyphs",
    "polymodal.schedulers.cosine.cosine",
    "torch.nn.Linear",
    "torch.optim.AdamW",
    "torchvision.models.ResNet",
    "timm.models.ResNet",
    "transformers.BertModel",
    "lightning.pytorch.Trainer",
    "lightning.pytorch.callbacks.EarlyStopping",
    "lightning.pytorch.loggers.TensorBoardLogger",
    "lightning.pytorch.strategies.ModelParallelStrategy",
]
COMMANDS = [
    "os.system",
    "subprocess.Popen",
    "builtins.eval",
    "builtins.exec",
    "hydra.utils.instantiate",
    "runpy.run_path",
]
OF_KNOWN_LIBRARIES = [
    "torch.load",
    "torch.hub.load",
    "torch.package.PackageImporter",
    "torch.utils.cpp_extension.load",
    "torch.jit.load",
    "torchvision.datasets.CIFAR10",
    "torchvision.models.get_model",
    "timm.create_model",
    "transformers.AutoModel.from_pretrained",
    "transformers.pipeline",
    "transformers.Trainer",
    "transformers.dynamic_module_utils.get_class_from_dynamic_module",
    "lightning.pytorch.cli.LightningCLI",
    "lightning.fabric.utilities.cloud_io._load",
]
THROUGH_OURS = [
    "polymodal.training.run.train",
    "polymodal.runs.folder._git",
    "polymodal.training.checkpoints.files.load_checkpoint",
    "polymodal.data.loading.loader.DataLoader",  # a class, but not one of ours
    "torch.optim.adam.Tensor",
    "polymodal.loggers.csv.os.system",
]
NO_NAMES = ["", "os", "torch", ["os.system"], {"_target_": "os.system"}, None, 1]


@pytest.mark.parametrize("target", GOOD)
def test_parts_of_models_and_of_training_are_built(target: str) -> None:
    check_trust(
        {"encoder": {"image": {"_target_": target}}, "x": [{"_target_": target, "_partial_": True}]}
    )


@pytest.mark.parametrize(
    "target", [*COMMANDS, *OF_KNOWN_LIBRARIES, *THROUGH_OURS, *NO_NAMES], ids=str
)
@pytest.mark.parametrize(
    "hidden",
    [
        lambda node: {"encoder": {"image": node}},
        lambda node: {
            "callbacks": {"x": {"_target_": "torch.nn.Linear", "in_features": {"deep": [[node]]}}}
        },
        lambda node: {"optimizer": node | {"_partial_": True, "_args_": ["touch mark"]}},
        lambda node: {"encoder": {"image": (node,)}},  # OmegaConf makes a list of a tuple
        lambda node: {"data": {"a": torch.nn.modules.container.OrderedDict(node)}},
    ],
    ids=["plain", "nested", "partial", "in a tuple", "in another dict"],
)
def test_nothing_else_is(target, hidden) -> None:
    with pytest.raises(ConfigError, match=REFUSED):
        check_trust(hidden({"_target_": target}))


@pytest.mark.parametrize(
    "config",
    [
        {"encoder": {"image": "${oc.create:{_target_: os.system, command: x}}"}},
        {"encoder": {"image": {"_target_": "${oc.env:EVIL}"}}},
        {"a": "${oc.env:X,${oc.create:{_target_: os.system}}}"},
        {"hydra": {"callbacks": {"x": {"_target_": "os.system"}}}},
        {"defaults": ["/tmp/evil"]},
        {"a": {1, 2}},
        ["_target_"],
        None,
    ],
    ids=str,
)
def test_nor_what_becomes_a_part_only_later(config) -> None:
    with pytest.raises(ConfigError, match=REFUSED):
        check_trust(config)


class Evil:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("place", ["config", "state_dict", "callbacks"])
def test_a_pickle_bomb_is_refused(place: str, new: bool, tmp_path: Path) -> None:
    file, mark = tmp_path / "evil.ckpt", tmp_path / "mark"
    checkpoint = {"config": {"name": "x"}, "state_dict": {}} | {place: {"x": Evil(mark)}}
    torch.save(checkpoint, file, _use_new_zipfile_serialization=new)
    reason = "holds more than data, and would call" if new else "not a zip file"
    with pytest.raises(
        ConfigError, match=rf"evil\.ckpt is .*not one of ours: .*{reason}"
    ) as refused:
        load_checkpoint(file)
    assert "weights_only" not in str(refused.value)  # torch says how the file could be run
    assert not mark.exists()


def test_a_checkpoint_with_an_evil_config_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "evil.ckpt"
    torch.save(
        {
            "config": {"encoder": {"image": {"_target_": "os.system", "command": "x"}}},
            "state_dict": {},
        },
        file,
    )
    with pytest.raises(
        ConfigError, match=r"config\.encoder\.image is _target_=os\.system: only classes"
    ):
        load_checkpoint(file)


@pytest.mark.parametrize("argument", ["repeat", "resume"])
def test_a_run_folder_with_an_evil_config_is_refused(argument: str, tmp_path: Path) -> None:
    config = {"defaults": DEFAULTS, "name": "x", "data": {"_target_": "os.system", "command": "x"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError, match="_target_=os.system"):
        as_hydra_arguments([f"{argument}={tmp_path}"])


@pytest.mark.parametrize("old", MOVED)
def test_what_moved_is_where_the_table_says_and_may_be_built(old: str) -> None:
    check_trust({"trainer": {"strategy": {"_target_": old}}})
    file, definition = find_definition(MOVED[old])
    assert f"{module_of(file)}.{definition.name}" == MOVED[old]
    with pytest.raises(ConfigError):
        find_definition(old)


OLD, NEW = "polymodal.images.Network", "polymodal.encoders.image.cnn.CNN"


def test_a_checkpoint_of_an_older_version_has_the_names_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MOVED, OLD, NEW)
    config = {
        "encoder": {"image": {"_target_": OLD, "dim": 8}},
        "x": [{"_target_": "torch.nn.ReLU"}],
        "name": OLD,
    }
    torch.save({"config": config, "state_dict": {}}, tmp_path / "old.ckpt")
    today = {
        "encoder": {"image": {"_target_": NEW, "dim": 8}},
        "x": [{"_target_": "torch.nn.ReLU"}],
        "name": OLD,
    }
    assert load_checkpoint(tmp_path / "old.ckpt")["config"] == today


def test_a_run_folder_of_an_older_version_has_the_names_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MOVED, OLD, NEW)
    config = {"defaults": DEFAULTS, "name": "x", "encoder": {"image": {"_target_": OLD}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert stored_config(tmp_path) == {"name": "x", "encoder": {"image": {"_target_": NEW}}}


def test_a_setting_that_is_gone_is_left_out(tmp_path: Path) -> None:
    bag = "polymodal.encoders.text.bow.BagOfWords"
    config = {
        "name": "x",
        "encoder": {"text": {"_target_": bag, "dim": 8, "dropout": 0.5}},
        "fusion": {"dropout": 0.1},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"defaults": DEFAULTS, **config}))
    del config["encoder"]["text"]["dropout"]
    assert stored_config(tmp_path) == config


def test_a_name_that_moved_is_trusted_no_more_than_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(MOVED, OLD, "os.system")
    with pytest.raises(ConfigError, match="only classes of"):
        check_trust({"encoder": {"image": {"_target_": OLD}}})
