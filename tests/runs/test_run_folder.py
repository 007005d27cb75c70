"""A folder belongs to one run, repeats it, and holds no secret."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.config.secrets import mask
from polymodal.config.trust import check_trust
from polymodal.errors import ConfigError
from polymodal.runs import folder as run_folder
from polymodal.runs.folder import claim

SECRET = "s3cr3t-value-of-a-key"


def claimed(folder: Path, *overrides: str) -> dict:
    config = compose_config([f"++run_dir={folder}", *overrides])
    return claim(folder, config, check_config(config), overrides)


def test_the_second_run_in_a_folder_is_refused_and_the_first_untouched(tmp_path: Path) -> None:
    claimed(tmp_path)
    before = (tmp_path / "config.yaml").read_text()
    with pytest.raises(ConfigError, match="holds a run already"):
        claimed(tmp_path, "++seed=5")
    assert (tmp_path / "config.yaml").read_text() == before


def test_a_slurm_job_that_is_started_again_takes_the_folder_in_which_it_saved_nothing(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    claimed(tmp_path)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    claimed(tmp_path, "++seed=5")
    assert "seed: 5" in (tmp_path / "config.yaml").read_text()


def test_the_config_is_resolved_but_for_folder_and_environment(tmp_path: Path) -> None:
    claimed(tmp_path)
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["encoder"]["image"]["dim"] == 256
    assert config["callbacks"]["checkpoint"]["dirpath"] == "${run_dir}/checkpoints"
    assert config["data"]["cache_dir"].startswith("${oc.env:")


def test_no_secret_of_the_environment_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setattr("sys.argv", ["train.py", f"logger.wandb.key={SECRET}"])
    stored = claimed(
        tmp_path,
        "logger=wandb",
        "++logger.wandb.key=${oc.env:WANDB_API_KEY}",
        f"++logger.wandb.notes=x{SECRET}",
    )
    written = "".join(file.read_text() for file in tmp_path.iterdir())
    assert SECRET not in written + json.dumps(stored)
    assert "${oc.env:WANDB_API_KEY}" in written


def test_masking_reaches_every_level_and_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", SECRET)
    monkeypatch.setenv("OTHER_KEY", "abc")  # too short to be one
    value = {"a": ["x", f"-{SECRET}-", {"b": SECRET}], "c": 3, "d": "abcdef"}
    assert mask(value) == {
        "a": ["x", "-${oc.env:MY_TOKEN}-", {"b": "${oc.env:MY_TOKEN}"}],
        "c": 3,
        "d": "abcdef",
    }


def test_the_environment_says_what_was_run(tmp_path: Path) -> None:
    claimed(tmp_path, "++seed=3")
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["overrides"] == ["++seed=3"]
    assert {"torch", "lightning", "hydra-core"} <= set(environment["packages"])
    assert {"python", "commit", "command", "started"} <= set(environment)


def test_what_was_not_committed_can_be_applied_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str, **more: str) -> None:
        own = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(
            ["git", *own, *arguments],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
            **more,
        )

    file = tmp_path / "file"
    file.write_text("one\n\n\n")
    for arguments in (["init"], ["add", "file"], ["commit", "-m", "first"]):
        git(*arguments)
    file.write_text(changed := "two\n\n\n")
    monkeypatch.setattr(run_folder, "__file__", str(file))
    about = run_folder.environment_of([])
    assert about["uncommitted"] == " M file\n"
    git("checkout", about["commit"], "file")
    git("apply", input=about["diff"])
    assert file.read_text() == changed


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        claimed(tmp_path / "file" / "run")


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "torch.hub.load",
        "builtins.eval",
        "subprocess.Popen",
        "torch.load",
        "polymodal.runs.folder._git",
        "polymodal.training.run.train",
    ],
)
def test_a_config_of_a_checkpoint_builds_known_classes_only(target: str) -> None:
    check_trust(
        {
            "encoder": {"image": {"_target_": "torch.nn.Linear"}},
            "x": [{"_target_": "polymodal.schedulers.cosine.cosine"}],
        }
    )
    with pytest.raises(ConfigError, match="to be trusted|only classes|there is no|has no"):
        check_trust({"encoder": {"image": {"_target_": target}}})


def test_a_config_of_a_checkpoint_holds_no_reference_that_could_become_a_part() -> None:
    check_trust(
        {
            "run_dir": "${hydra:runtime.output_dir}",
            "a": "${run_dir}/x",
            "b": "${oc.env:HOME,.cache}",
        }
    )
    with pytest.raises(ConfigError, match="no run of ours stores"):
        check_trust({"encoder": {"image": "${oc.create:{_target_: os.system, command: x}}"}})
