"""What a person sees who mistypes: one short message with the right name, no stack trace, a failing
exit code."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from tests.config.in_process import checked

from polymodal.config.messages import explain
from polymodal.errors import ConfigError, PolymodalError

CASES = {
    "experiment=clip_smal": ["experiment=clip_smal", "clip_small"],
    "encoder/image=vitt": ["encoder/image=vitt", "vit?"],
    "encoder/imge=vit": ["encoder/imge", "encoder/image"],
    "encoder.image=vit": ["encoder/image=vit"],
    "optimizer.lrr=1": ["optimizer.lrr", "lr?"],
    "+optimizer.lrr=1": ["optimizer.lrr", "lr?"],
    "optimizer.lr=fast": ["optimizer.lr=fast", "number"],
    "data.batch_size=many": ["data.batch_size=many", "integer"],
    "data.batch_size=0": ["data.batch_size=0", "greater than 0"],
    "data.splits=[0.5,half]": ["data.splits", "half"],
    "trainer.max_epochs=-3": ["trainer.max_epochs=-3", "greater than 0"],
    "trainer.max_epoch=3": ["trainer.max_epoch", "max_epochs"],
    "trainer.devices=two": ["trainer.devices=two"],
    "callbacks.checkpoint.mod=max": ["callbacks.checkpoint.mod", "mode?"],
    "encoder.image._target_=polymodal.encoders.image.cnn.CNNN": ["encoder.image", "CNN?"],
    "encoder.image._target_=polymodal.encoders.image.cn.CNN": ["encoder.image", "cnn?"],
    "encoder.image._target_=polymodl.encoders.CNN": ["encoder.image", "polymodl"],
    "data.cache_dir=???": ["data.cache_dir"],
    "sed=1": ["sed", "seed?"],
    "seed=-1": ["seed=-1", "greater than or equal to 0"],
    "logger=[csv,tensorbord]": ["logger=tensorbord", "tensorboard?"],
    "hydra.run.dirr=x": ["hydra.run.dirr"],
    "--multirn": ["--multirn", "--multirun?"],
    "--cfg": ["--cfg", "expected one argument"],
    "jobs": ["jobs", "key=value"],
    "data.größe=1": ["data.größe", "no name of a setting"],
    "seed=0,1": ["seed=0,1", "add -m"],
    "run_dir=elsewhere": ["run_dir=elsewhere", "hydra.run.dir=elsewhere"],
    "data.cache_dir=" + "x" * 5000: ["xxxx...", "too long for the file system"],
    "hydra.run.dir=" + "x" * 5000: ["xxxx...", "too long for the file system"],
    "encoder/audio=cnn": ["sample_rate"],
    "tuning.image.freze=true": ["tuning.image.freze", "mean freeze"],
    "callbacks.modality_dropout.rate=1.0": ["callbacks.modality_dropout is not chosen"],
    "optimizer.lr=-1": ["optimizer.lr=-1"],
    "data.batch_size=64.0": ["data.batch_size=64.0", "integer"],
    "data.num_workers=true": ["data.num_workers=true", "integer"],
    "encoder.text.dim=64": ["encoder.text.dim=64", "dim=64"],
    "callbacks.ema.decay=0.9": ["callbacks.ema is not chosen", "callbacks="],
    "fusion.hidden=3": ["fusion is not chosen"],
    "objective=null": ["objective=null", "clip,", "siglip,"],
    "repeat=nowhere": ["repeat=nowhere", "config.yaml"],
}


@pytest.mark.parametrize("argument", CASES)
def test_a_wrong_override_is_explained(command, argument: str) -> None:
    done = command("train.py", argument)
    assert done.returncode == 2
    assert done.stdout == ""
    message = done.stderr.strip().splitlines()
    assert 1 <= len(message) <= 5
    assert message[0].startswith("error: ")
    assert "Traceback" not in done.stderr
    for part in CASES[argument]:
        assert part in done.stderr


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["devices=gpu"], ["no gpu", "cpu"]),
        (["objective=classification", "fusion=none"], ["fusion=concat head=linear"]),
        (["scheduler.warmup=1000", "debug=fast"], ["scheduler.warmup=1000", "4 optimizer steps"]),
    ],
    ids=lambda value: " ".join(value) if "=" in value[0] else "",
)
def test_choices_that_cannot_work_together_are_explained(
    command, arguments: list[str], parts: list[str], tmp_path
) -> None:
    where = ["data.families=[STIXGeneralBolIta]", f"hydra.run.dir={tmp_path / 'run'}"]
    done = command("train.py", *where, *arguments, cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2, done.stderr
    assert list(tmp_path.iterdir()) == []  # the corrected command can take the folder
    assert len(done.stderr.strip().splitlines()) <= 5
    for part in parts:
        assert part in done.stderr


def test_a_secret_is_not_shown_in_a_message(command) -> None:
    done = command("train.py", "optimizer.lr=s3cr3t-value", MY_API_KEY="s3cr3t-value")
    assert done.returncode == 2
    assert "s3cr3t" not in done.stderr + done.stdout
    assert "${oc.env:MY_API_KEY}" in done.stderr


def test_a_refused_run_leaves_no_folder(command, tmp_path) -> None:
    assert command("train.py", "optimizer.lrr=1", cwd=tmp_path).returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_that_cannot_be_made_is_said_in_one_message(
    command: Callable[..., subprocess.CompletedProcess], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    done = command("train.py", f"hydra.run.dir={tmp_path / 'file' / 'run'}")
    assert done.returncode == 2
    expected = (
        f"error: The run folder {tmp_path / 'file' / 'run'} cannot be written: Not a directory."
    )
    assert done.stderr.strip() == f"{expected} Choose another hydra.run.dir."
    assert (tmp_path / "file").read_text() == "mine"


def test_a_variable_that_is_not_set_is_said_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(ConfigError) as refused:
        checked("name=${oc.env:NOT_SET}")
    assert str(refused.value) == "name: Environment variable 'NOT_SET' not found."


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("name=${a", 'name="${a": ${...} is the value of another setting, as in ${seed}.'),
        ("seed=${}", 'seed="${}": ${...} is the value of another setting, as in ${seed}.'),
        ("data=${}", "data=${}: this is no name of an option. It is one of: folder, glyphs"),
        (
            "experiment=${oc.create:{a: 1}}",
            "experiment=${oc.create:{a: 1}}: this is no name of an option.",
        ),
        (
            "callbacks.checkpoint={1: 2}",
            "callbacks.checkpoint.1=1: input should be a valid string.",
        ),
        ("fusion={1: 2}", "fusion={1: 2}: "),
    ],
)
def test_what_omegaconf_cannot_read_is_said_in_our_words(argument: str, said: str) -> None:
    with pytest.raises((PolymodalError, OmegaConfBaseException, HydraException)) as refused:
        checked(argument)
    error = refused.value
    message = str(error) if isinstance(error, PolymodalError) else explain(error)
    assert message.startswith(said)
    assert "viable" not in message
