"""A run folder that somebody else has made: what was shown to do harm, and does none."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.config import secrets
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.data.huggingface_stream import _content
from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.stream.tar import TarShards
from polymodal.errors import ConfigError
from polymodal.export.folder import restored
from polymodal.inference.trained import Trained
from polymodal.runs.folder import claim
from polymodal.runs.resume import claim_again, find_run
from polymodal.training.checkpoints.atomic import AtomicCheckpointIO
from polymodal.training.run import train
from tests.resumed import TINY

STREAM = {
    "_target_": "polymodal.data.webdataset.WebDataset",
    "columns": {"image": "png", "text": "txt"},
}
EVERY = "callbacks.last.every_steps=1"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that is finished."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = compose_config(
        [*as_hydra_arguments([*TINY, "trainer.max_epochs=1"]), f"++run_dir={folder}"]
    )
    plain = check_config(config)
    train(plain, claim(folder, config, plain))
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def changed(run: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The run with other checkpoints."""
    for file in (run / "checkpoints").glob("*.ckpt"):
        checkpoint = torch.load(file, weights_only=True)
        change(checkpoint)
        torch.save(checkpoint, file)
    return run


def resumed(folder: Path, *overrides: str) -> None:
    """`resume=<folder> <overrides>` in this process."""
    options = as_hydra_arguments([f"resume={folder}", *overrides])
    config = compose_config([*options[4:], f"++run_dir={folder}"], "config", options[1])
    plain = check_config(config)
    claimed = claim_again(folder, config, plain, overrides)
    assert claimed is not None
    train(plain, *claimed)


def test_a_run_of_ours_is_still_opened_and_resumed(run: Path) -> None:
    opened = Trained(run)
    assert opened.config["data"]["samples"] == 160
    assert opened.config["logger"] == {}
    resumed(run, "trainer.max_epochs=2")
    assert json.loads((run / "metrics.json").read_text())
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 1


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        (
            {
                "path": "reference://x",
                "options": {"fo": {"version": 1, "templates": {"u": "{{ 1 }}"}, "refs": {}}},
            },
            "path",
        ),
        (
            {
                "path": "simplecache::http://h/a.tar",
                "options": {"simplecache": {"cache_storage": "x"}},
            },
            "path",
        ),
        ({"path": "https://h/${oc.env:AWS_SECRET}/a.tar"}, "path"),
        ({"path": "https://h/a.tar", "options": {"headers": {"X": "y"}}}, "options.headers.X"),
    ],
    ids=["reference", "simplecache", "environment", "options"],
)
def test_data_of_a_checkpoint_do_not_reach_out(
    run: Path, settings: dict[str, Any], refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET", "do-not-send")
    monkeypatch.setattr("fsspec.open", lambda *_, **__: pytest.fail("it was opened"))
    changed(run, lambda checkpoint: checkpoint["config"].update(data=STREAM | settings))
    with pytest.raises(
        ConfigError,
        match=rf"data\.{refused}=.*not taken from a stored config.*data\.{refused}=\.\.\.",
    ):
        Trained(run)
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert restored(checkpoint)[0].about["dim"] == 16  # an export reads no data


def test_the_user_may_say_what_a_checkpoint_may_not(run: Path) -> None:
    changed(
        run,
        lambda checkpoint: checkpoint["config"].update(
            data=STREAM | {"path": "zip://a.tar::b.zip"}
        ),
    )
    opened = Trained(run, ["data.path=zip://mine.tar::mine.zip"])
    assert opened.config["data"]["path"] == "zip://mine.tar::mine.zip"


def test_a_name_does_not_lead_out_of_the_folder_of_logs(run: Path) -> None:
    changed(run, lambda checkpoint: checkpoint["config"].update(name="../../../x"))
    with pytest.raises(ConfigError, match="no name of a folder"):
        Trained(run)


@pytest.mark.parametrize("place", ["../../victim", "../victim", "..", "inner/../../../victim"])
def test_nothing_outside_of_the_checkpoints_is_removed(run: Path, place: str) -> None:
    victim = run.parent / "victim"
    (run / "victim").mkdir()
    victim.mkdir()
    (victim / "precious").write_text("x")
    folder = run / "checkpoints"

    def lie(checkpoint: dict[str, Any]) -> None:
        checkpoint["resume"]["folder"] = str(folder.resolve())
        for state in checkpoint["callbacks"].values():
            if isinstance(state, dict) and "best_k_models" in state:
                path = f"{folder.resolve()}/{place}"
                worst = torch.tensor(float("-inf"))  # of a recall: a better one takes its place
                state |= dict.fromkeys(
                    ("best_model_path", "last_model_path", "kth_best_model_path"), path
                )
                state |= {
                    "best_model_score": worst,
                    "kth_value": worst,
                    "best_k_models": {path: worst},
                }
                state["dirpath"] = str(folder)

    changed(run, lie)
    resumed(run, "trainer.max_epochs=2")
    assert (victim / "precious").read_text() == "x"
    assert (run / "victim").is_dir()
    assert {"best.ckpt", "last.ckpt"} <= {file.name for file in folder.iterdir()}


def test_a_checkpoint_is_removed_only_where_one_was_saved(tmp_path: Path) -> None:
    files = AtomicCheckpointIO()
    own, other = tmp_path / "own", tmp_path / "other"
    other.mkdir()
    (other / "x.ckpt").write_text("theirs")
    files.save_checkpoint({"a": 1}, own / "old.ckpt")
    (own / "link.ckpt").symlink_to(other)
    for path in (
        other,
        other / "x.ckpt",
        own / ".." / "other",
        own / ".." / "other" / "x.ckpt",
        own,
        own / "..",
    ):
        files.remove_checkpoint(path)
    files.remove_checkpoint(own / "link.ckpt")
    assert (other / "x.ckpt").read_text() == "theirs"
    assert [file.name for file in own.iterdir()] == ["old.ckpt"]
    files.remove_checkpoint(own / "old.ckpt")
    assert not any(own.iterdir())


@pytest.mark.parametrize("name", ["checkpoints", "metrics.csv", ".lock", "report/curves.png"])
def test_a_run_with_a_link_out_of_its_folder_does_not_go_on(run: Path, name: str) -> None:
    victim, link = run.parent / "victim", run / name
    victim.mkdir()
    if link.is_dir():
        link.rename(run / "elsewhere")
    link.unlink(missing_ok=True)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(victim / "x")
    with pytest.raises(ConfigError, match=rf"{link.name} is a link out of the folder"):
        find_run(str(run), None)
    assert not any(victim.iterdir())
    link.unlink()
    link.symlink_to(run / "config.yaml")  # within the folder it does no harm
    find_run(str(run), None)


def test_a_row_of_a_stream_is_no_command() -> None:
    with pytest.raises(BadSampleError, match="no plain URL"):
        _content("simplecache::http://h/a.png")


def test_a_shard_is_named_without_its_secrets() -> None:
    shards = TarShards(["https://me:s3cr3t@h/a.tar?sig=s3cr3t&part=1"])
    assert shards.name(0) == "https://<secret>@h/a.tar?sig=<secret>&part=1"


def test_no_secret_that_is_given_stands_in_what_a_run_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "_given", set())
    monkeypatch.setenv("PLACE", "somewhere")
    given = [
        'data.path="https://me:s3cr3t@h/a.tar?token=s3cr3t"',
        'data.options={headers: {Authorization: "Bearer s3cr3t"}, secret: s3cr3t-1}',
        *("logger.wandb.api_key=s3cr3t-2", 'logger.mlflow.tracking_uri="https://me:s3cr3t@h"'),
        "logger.wandb.notes=${oc.env:PLACE}",
    ]
    groups = ["data=webdataset", "logger=[csv,wandb,mlflow]", "data.epoch_samples=1000"]
    monkeypatch.setattr("sys.argv", ["train.py", *groups, *given])
    config = compose_config([*as_hydra_arguments([*groups, *given]), f"++run_dir={tmp_path}"])
    stored = claim(tmp_path, config, check_config(config), as_hydra_arguments([*groups, *given]))
    for text in [*(file.read_text() for file in tmp_path.iterdir()), json.dumps(stored)]:
        assert "s3cr3t" not in text
    assert stored["data"]["path"] == "https://<secret>@h/a.tar?token=<secret>"
    # resolved: not looked up anew by whoever reads it
    assert stored["logger"]["wandb"]["notes"] == "somewhere"
    assert OmegaConf.load(tmp_path / "config.yaml").data.options.headers.Authorization == "<secret>"
    with pytest.raises(
        ConfigError, match=r"data\.path=.*it held a secret, which is not stored.*data\.path=\.\.\."
    ):
        as_hydra_arguments([f"repeat={tmp_path}"])
