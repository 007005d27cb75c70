"""What the settings of a stored config may say, and what only the person who types the command
may."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.config.places import CACHE, OURS, TRACKING, settled
from polymodal.config.stored import load_yaml
from polymodal.config.trust import at_rest, trusted
from polymodal.errors import ConfigError
from polymodal.runs.folder import DEFAULTS, storable

STREAM = "polymodal.data.webdataset.WebDataset"
HUB = "polymodal.data.huggingface_stream.HuggingFaceStream"
CHECKPOINT = {
    "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
    "dirpath": "${run_dir}/checkpoints",
}
WANDB = {"_target_": "lightning.pytorch.loggers.WandbLogger", "project": "p"}
MLFLOW = {"_target_": "lightning.pytorch.loggers.MLFlowLogger", "experiment_name": "x"}
TENSORBOARD = {
    "_target_": "lightning.pytorch.loggers.TensorBoardLogger",
    "save_dir": "${run_dir}",
    "version": "",
}
PROFILER = "lightning.pytorch.profilers.SimpleProfiler"
CNN = "polymodal.encoders.image.cnn.CNN"


def data(**settings: Any) -> dict[str, Any]:
    return {"data": {"_target_": STREAM, **settings}}


def callback(**settings: Any) -> dict[str, Any]:
    return {"callbacks": {"x": CHECKPOINT | settings}}


def logger(node: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"logger": {"x": node | settings}}


REFUSED = {
    # code, and files that a protocol writes
    "data.path": [
        data(path="reference://x"),
        data(path="simplecache::http://host/a.tar"),
        data(path=["a.tar", "zip://a::http://host/b.zip"]),
        # secrets
        data(path="https://host/${oc.env:AWS_SECRET_ACCESS_KEY}/a.tar"),
        data(path="${oc.env:HOME}/pairs.csv"),
        data(path="https://host/a.tar?token=<secret>"),
        data(path=f"{CACHE}/../../x"),
        data(path="${run_dir}/${oc.env:HOME}"),
        # a data base
        {"data": {"_target_": HUB, "path": "sql", "options": {}}},
        {"data": {"_target_": HUB, "path": "pandas", "options": {}}},
    ],
    "data.path.val": [
        data(path={"train": "a.tar", "val": "{reference,http}://a", "test": "a.tar"})
    ],
    "data.name": [
        {"data": {"_target_": "polymodal.data.huggingface.HuggingFace", "name": "spark"}}
    ],
    "data.options.fo.templates.u": [data(path="a.tar", options={"fo": {"templates": {"u": "x"}}})],
    "data.options.cache_storage": [data(path="a.tar", options={"cache_storage": "src"})],
    "data.options.endpoint_url": [
        data(path="s3://b/a.tar", options={"endpoint_url": "https://host"})
    ],
    "data.options.con": [
        {"data": {"_target_": HUB, "path": "csv", "options": {"con": "sqlite:///x.db"}}}
    ],
    "data.options.data_files.train": [
        {
            "data": {
                "_target_": HUB,
                "path": "csv",
                "options": {"data_files": {"train": "zip://*::https://host/a.zip"}},
            }
        }
    ],
    # what is written
    "callbacks.x.dirpath": [
        callback(dirpath="src"),
        callback(dirpath="/tmp/x"),
        callback(dirpath="${run_dir}/../x"),
    ],
    "callbacks.x.filename": [
        callback(filename="../../x"),
        callback(filename="{/tmp/x}"),
        callback(filename="{../x}"),
    ],
    "callbacks.x.exclude_batches_path": [callback(exclude_batches_path="x.json")],
    "callbacks.x.run_dir": [
        {
            "callbacks": {
                "x": {"_target_": "polymodal.callbacks.report.Report", "run_dir": "elsewhere"}
            }
        }
    ],
    "logger.x.save_dir": [
        logger(TENSORBOARD, save_dir="elsewhere"),
        logger(MLFLOW, save_dir="file:elsewhere"),
    ],
    "logger.x.version": [logger(TENSORBOARD, version="../../x")],
    "logger.x.log_dir": [logger(TENSORBOARD, log_dir="${run_dir}/x")],
    "trainer.default_root_dir": [{"trainer": {"default_root_dir": "elsewhere"}}],
    "trainer.profiler.dirpath": [
        {"trainer": {"profiler": {"_target_": PROFILER, "dirpath": "elsewhere"}}}
    ],
    "trainer.profiler.filename": [
        {"trainer": {"profiler": {"_target_": PROFILER, "filename": "../x"}}}
    ],
    "name": [{"name": "../../x"}, {"name": "/tmp/x"}],
    "encoder.image.cache_dir": [
        {"encoder": {"image": {"_target_": CNN, "cache_dir": "elsewhere"}}}
    ],
    "tuning.image.weights": [{"tuning": {"image": {"weights": "https://host/x.ckpt"}}}],
    # hosts, and who one is there
    "logger.x.settings.base_url": [logger(WANDB, settings={"base_url": "https://host"})],
    "logger.x.anonymous": [logger(WANDB, anonymous="must")],
    "logger.x.entity": [logger(WANDB, entity="somebody")],
    "logger.x.api_key": [logger(WANDB, api_key="<secret>")],
    "logger.x.artifact_location": [logger(MLFLOW, artifact_location="s3://x")],
    # parts where they do not belong
    "logger.x._target_": [logger({"_target_": "lightning.pytorch.loggers.CometLogger"})],
    "encoder.image._target_": [{"encoder": {"image": {**WANDB}}}],
    "data._target_": [
        {"data": {"_target_": "polymodal.data.media.image_cache.ImageCache", "folder": "x"}}
    ],
    "data.columns._target_": [
        data(columns={"_target_": "polymodal.data.manifest.Manifest", "path": "x"})
    ],
    "trainer.strategy._target_": [
        {
            "trainer": {"strategy": {"_target_": "lightning.pytorch.strategies.DeepSpeedStrategy"}}
        }  # it unpickles
    ],
    "trainer._target_": [{"trainer": {"_target_": "lightning.pytorch.callbacks.EarlyStopping"}}],
}
CASES = [(key, config) for key, configs in REFUSED.items() for config in configs]


@pytest.mark.parametrize(
    ("key", "config"), CASES, ids=[f"{key}-{number}" for number, (key, _) in enumerate(CASES)]
)
def test_what_reaches_out_is_refused_unless_it_is_typed(key: str, config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        trusted(config)
    assert str(refused.value).startswith(f"{key}=")
    assert f"{key}=..." in str(refused.value)
    if not key.endswith("_target_"):
        left = trusted(config, [f"++{key}=mine"])
        assert key.rpartition(".")[2] not in str(left).replace("_target_", "")


@pytest.mark.parametrize(
    "config",
    [
        data(path="pairs.csv"),
        data(path="/data/shards/{0..3}.tar", options={"anon": True}),
        data(path=["https://host:8080/{0..3}.tar", "s3://b/a.tar", "hf://datasets/a/b/x.tar"]),
        data(path="${run_dir}/pairs.csv"),
        {"data": {"_target_": "polymodal.data.mfeat.MFeat", "path": f"{CACHE}/mfeat"}},
        {
            "data": {
                "_target_": HUB,
                "path": "parquet",
                "options": {"data_files": {"train": "a/*.parquet"}},
            }
        },
        {
            "data": {
                "_target_": HUB,
                "path": "user/flowers",
                "options": {"revision": "abc", "split": "train[:9%]"},
            }
        },
        {
            "data": {
                "_target_": "polymodal.data.huggingface.HuggingFace",
                "name": "imagefolder",
                "data_dir": "a/b",
            }
        },
        {
            "data": {
                "_target_": "polymodal.data.folder.Folder",
                "path": "a",
                "templates": ["a/b :: {}", "../{}"],
            }
        },
        callback(filename="{epoch:02d}-{val/loss:.3f}", monitor="val/loss"),
        logger(TENSORBOARD, name="tensorboard"),
        logger(WANDB, notes="see https://x", tags=["a/b"], offline=True, save_dir="${run_dir}"),
        {
            "trainer": {
                "_target_": "lightning.pytorch.Trainer",
                "strategy": "ddp",
                "max_time": "00:12:00:00",
            }
        },
        {
            "encoder": {
                "text": {
                    "_target_": "polymodal.encoders.text.bert.Bert",
                    "name": "google/bert_uncased",
                }
            }
        },
        {
            "encoder": {
                "image": {
                    "_target_": "polymodal.encoders.image.open_clip.OpenCLIP",
                    "name": "hf-hub:a/b",
                }
            }
        },
        {"tuning": {"image": {"weights": "logs/train/x/y", "freeze": True}}},
    ],
    ids=str,
)
def test_plain_settings_are_taken_as_they_are(config: dict[str, Any]) -> None:
    assert trusted(config) == config


def test_caches_hosts_and_the_folder_are_those_of_the_user() -> None:
    config = {
        "run_dir": "/tmp/x",
        "resume": "/tmp/x.ckpt",
        "data": {"cache_dir": "/tmp/x", "image_cache": "/tmp/x"},
        "tuning": {"image": {"cache": "/tmp/x", "freeze": True}},
        "logger": {"mlflow": MLFLOW | {"tracking_uri": "sqlite:////tmp/x.db"}},
    }
    taken = trusted(config)
    assert "/tmp/x" not in str(taken)
    assert taken["data"] == {"cache_dir": CACHE, "image_cache": None}
    assert taken["tuning"] == {"image": {"cache": None, "freeze": True}}
    assert taken["logger"]["mlflow"]["tracking_uri"] == TRACKING
    assert taken["resume"] is None
    given = trusted(config, ["data.image_cache=here", "tuning.image.cache=there"])
    assert given["data"] == {"cache_dir": CACHE}
    assert given["tuning"] == {"image": {"freeze": True}}


def test_a_folder_that_was_stored_as_it_was_is_that_of_this_use() -> None:
    config = {"run_dir": "/old/run", "trainer": {"default_root_dir": "/old/run"}} | callback(
        dirpath="/old/run/a/b"
    )
    taken = trusted(config, ["run_dir=."])
    assert taken["trainer"] == {"default_root_dir": "${run_dir}"}
    assert taken["callbacks"]["x"]["dirpath"] == "${run_dir}/a/b"
    for place in ("/old/run/../x", "/old/running"):
        with pytest.raises(ConfigError, match="dirpath"):
            trusted(config | callback(dirpath=place))


NAMELESS = {
    "data": {"_target_": "polymodal.data.glyphs.Glyphs", "_args_": ["/tmp/x"]},
    "callbacks.x": CHECKPOINT | {"_args_": ["src"]},
    "logger.x": {"_target_": "lightning.pytorch.loggers.CSVLogger", "_args_": ["src"]},
    "trainer.profiler": {
        "_target_": "lightning.pytorch.profilers.AdvancedProfiler",
        "_args_": ["src"],
    },
    "encoder.image": {"_target_": CNN, "_args_": [{"path": "src"}]},
}


@pytest.mark.parametrize("path", NAMELESS)
def test_no_argument_is_given_without_its_name(path: str) -> None:
    group, _, name = path.partition(".")
    node = NAMELESS[path]
    with pytest.raises(ConfigError, match=rf"^{path}\._args_=.*{path}\._args_=\.\.\.$"):
        trusted({group: {name: node} if name else node})
    layers = {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "torch.nn.ReLU"}]}
    assert trusted({"fusion": layers}) == {"fusion": layers}  # layers have no names


def test_a_logger_that_does_not_say_where_it_writes_writes_into_the_run() -> None:
    taken = trusted({"logger": {"w": WANDB, "m": MLFLOW, "t": TENSORBOARD}})["logger"]
    assert taken == {
        "w": WANDB | {"save_dir": "${run_dir}"},
        "m": MLFLOW | {"tracking_uri": TRACKING},
        "t": TENSORBOARD,
    }


@pytest.mark.parametrize("key", ["../x", "/tmp/x", "a\\b", ".x"])
@pytest.mark.parametrize("group", ["encoder", "callbacks", "tuning"])
def test_no_key_leads_out_of_a_folder(group: str, key: str) -> None:
    with pytest.raises(ConfigError, match="is no name"):
        trusted({group: {key: {"lr": 1.0}}})


def test_what_is_given_is_not_mixed_with_what_was_stored() -> None:
    config = data(path="a.tar", options={"endpoint_url": "https://host", "anon": True})
    assert trusted(config, ["++data.options={anon: false}"])["data"] == {
        "_target_": STREAM,
        "path": "a.tar",
    }
    with pytest.raises(ConfigError, match=r"data\.options\.endpoint_url"):
        trusted(config, ["data.options.anon=true"])
    # a part is not replaced by some of its settings
    with pytest.raises(ConfigError, match=r"logger\.x\.entity"):
        trusted(logger(WANDB, entity="e"), ["logger.x={project: q}"])
    assert trusted(logger(WANDB, entity="e"), ["logger.x=null"]) == {"logger": {}}


def test_a_config_of_ours_is_taken_as_it_is() -> None:
    extra = [
        "logger=[csv,tensorboard,wandb,mlflow]",
        "callbacks=[default,ema,early_stopping,robustness,zero_shot]",
    ]
    config = compose_config([*extra, "debug=profile", "++run_dir=x"])
    check_config(config)  # what is auto has its value
    raw = OmegaConf.to_container(config, resolve=False)
    stored = storable(
        raw | {"run_dir": OURS["run_dir"]}, OmegaConf.to_container(config, resolve=True)
    )
    assert stored["callbacks"]["checkpoint"]["dirpath"] == "${run_dir}/checkpoints"
    assert trusted(stored) == stored


def test_a_model_whose_data_are_not_read_needs_no_places() -> None:
    config = (
        data(path="reference://x", options={"fo": "x"}, image_size=32)
        | callback(dirpath="/x")
        | logger(WANDB)
    )
    taken = trusted(at_rest(config))
    assert taken["data"] == {"_target_": STREAM, "path": "nowhere", "image_size": 32}
    assert not taken["callbacks"]
    assert not taken["logger"]


def test_yaml_that_stands_for_more_than_it_is_long_is_refused(tmp_path: Path) -> None:
    lines = [
        "a0: &a0 [x, x]",
        *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)),
    ]
    file = tmp_path / "config.yaml"
    file.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="alias"):
        load_yaml(file)
    for argument in ("repeat", "resume"):
        with pytest.raises(ConfigError, match="alias"):
            as_hydra_arguments([f"{argument}={tmp_path}"])
    file.write_text("[" * 99 + "]" * 99)
    with pytest.raises(ConfigError, match="too deep"):
        load_yaml(file)
    file.write_text("a: [1, {b: '${run_dir}'}]")
    assert load_yaml(file) == {"a": [1, {"b": "${run_dir}"}]}


def test_a_checkpoints_config_that_holds_itself_or_shares_its_parts_is_refused() -> None:
    around: dict[str, Any] = {}
    around["a"] = around
    with pytest.raises(ConfigError, match="deeper"):
        trusted(around)
    shared: list[Any] = ["x"]
    for _ in range(40):
        shared = [shared, shared]
    with pytest.raises(ConfigError, match="more values"):
        trusted({"a": shared})


def test_a_run_is_repeated_from_a_copy_without_what_is_not_taken(tmp_path: Path) -> None:
    config = {
        "defaults": DEFAULTS,
        "name": "x",
        "run_dir": "/tmp/x",
        **data(path="zip://a::b", seed=3),
    }
    OmegaConf.save(OmegaConf.create(config), tmp_path / "config.yaml")
    with pytest.raises(
        ConfigError, match=r"data\.path=zip://a::b: it is neither a path nor a plain URL"
    ):
        as_hydra_arguments([f"repeat={tmp_path}"])
    option, place, *rest = as_hydra_arguments([f"repeat={tmp_path}", "data.path=zip://mine::x"])
    assert option == "--config-dir"
    assert rest == ["--config-name", "config", "++data.path=zip://mine::x"]
    taken = load_yaml(Path(place) / "config.yaml")
    assert taken["data"] == {"_target_": STREAM, "seed": 3}
    assert taken["run_dir"] == "${hydra:runtime.output_dir}"


def test_a_cache_of_ones_own_is_not_spoken_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A table of embed.py has the place resolved; where it is the user's, there is nothing to
    say."""
    monkeypatch.setenv("POLYMODAL_CACHE", "/fast/cache")
    assert settled({"data": {"cache_dir": "/fast/cache"}}) == {"data": {"cache_dir": CACHE}}
    assert caplog.messages == []
    assert settled({"data": {"cache_dir": "/elsewhere"}}) == {"data": {"cache_dir": CACHE}}
    assert len(caplog.messages) == 1
