"""From the command line to an order, and back from a folder."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from polymodal.errors import ConfigError
from polymodal.sweeps import command
from polymodal.sweeps.space import SweepSpec


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[object, SweepSpec]]:
    """What would have been run."""
    seen: list[tuple[object, SweepSpec]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "polymodal.sweeps.grid.Grid.run", lambda self, order: seen.append((self, order)) or 0
    )
    return seen


def test_a_sweep_has_a_folder_of_its_own_and_can_be_taken_up(orders: list, tmp_path: Path) -> None:
    asked = ["sweep=seeds", "sweep.jobs=2", "experiment=sum_fusion", "seed=range(3)"]
    assert command.sweep(asked) == 0
    assert command.sweep(asked) == 0
    (_, first), (_, second) = orders
    assert first.folder.parent == second.folder.parent == tmp_path / "logs" / "train" / "sum_fusion"
    assert first.folder != second.folder
    assert (first.monitor, first.mode) == ("val/accuracy", "max")
    assert [argument for argument in first.fixed if argument.startswith("++threads=")]
    command.sweep([f"resume={first.folder}", "sweep.jobs=1", "retry_failed=true"])
    part, third = orders[-1]
    assert (third.folder, third.retry_failed, part.jobs) == (first.folder, True, 1)
    assert third.swept == first.swept


def test_a_sweep_of_hydra_can_be_taken_up(orders: list, tmp_path: Path) -> None:
    task = ["experiment=sum_fusion", "++seed=0,1", "fusion=sum,concat"]
    OmegaConf.save(
        OmegaConf.create({"hydra": {"overrides": {"task": task}}}), tmp_path / "multirun.yaml"
    )
    command.sweep([f"resume={tmp_path}"])
    assert list(orders[-1][1].swept) == ["seed", "fusion"]
    assert orders[-1][1].fixed == ["experiment=sum_fusion"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["sweep=seedz", "seed=0,1"], []),
        (["sweep=grid", "seed=1"], ["Nothing varies"]),
        (["sweep=grid", "sweep.job=2", "seed=0,1"], ["sweep.job", "jobs"]),
        (["sweep=grid", "sweep.jobs=0", "seed=0,1"], ["sweep.jobs=0"]),
        (["sweep=grid", "-m", "seed=0,1"], ["-m"]),
        (["resume=nowhere"], ["no sweep"]),
        (["resume=nowhere", "seed=0,1"], ["keeps its jobs"]),
    ],
    ids=" ".join,
)
def test_what_cannot_work_is_said_before_anything_runs(
    orders: list,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    arguments: list[str],
    parts: list[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["sweep.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert all(part in message for part in parts), message
    assert not orders
    assert not Path("logs").exists()


@pytest.mark.parametrize(
    "argument",
    [
        "++data._target_=os.system",
        "repeat=x",
        "--config-dir=x",
        "hydra.searchpath=[x]",
        "++hydra.searchpath=[x]",
        "+experiment=../../elsewhere/x",
        '++data=${oc.decode:"{_${x}target_: os.system}"}',
    ],
)
def test_a_folder_names_no_code(orders: list, tmp_path: Path, argument: str) -> None:
    (tmp_path / "environment.json").write_text(
        json.dumps({"overrides": ["sweep=grid", "seed=0,1", argument]})
    )
    with pytest.raises(ConfigError, match="not taken from a file"):
        command.sweep([f"resume={tmp_path}"])
    assert not orders


def test_a_folder_that_is_in_use_is_refused(orders: list, tmp_path: Path) -> None:
    asked = ["sweep=grid", "seed=0,1", f"hydra.sweep.dir={tmp_path / 'mine'}"]
    command.sweep(asked)
    with pytest.raises(ConfigError, match="in use"):
        command.sweep(asked)


def test_wandb_gets_a_file_of_the_same_space(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    own = [
        "encoder/text=bow,transformer",
        "dim=int(interval(64, 256))",
        "data.batch_size=128",
        "seed=range(2)",
    ]
    own.append('name="a b",c')
    assert command.sweep(["sweep=wandb", *own, f"hydra.sweep.dir={tmp_path / 'w'}"]) == 0
    written = OmegaConf.to_container(OmegaConf.load(tmp_path / "w" / "wandb.yaml"), resolve=False)
    assert written["metric"] == {"name": "val/recall@1", "goal": "maximize"}
    assert written["parameters"]["encoder/text"] == {"values": ["bow", "transformer"]}
    assert written["parameters"]["dim"] == {"distribution": "int_uniform", "min": 64, "max": 256}
    assert written["parameters"]["optimizer.lr"]["distribution"] == "log_uniform_values"
    assert written["parameters"]["seed"] == {"values": [0, 1]}
    assert written["parameters"]["name"] == {"values": ['"a b"', "c"]}
    assert written["command"][:3] == ["${env}", "${interpreter}", "${program}"]
    assert "++data.batch_size=128" in written["command"]
    assert "wandb agent" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="no interval"):
        command.sweep(["sweep=wandb", "sweep.method=grid", f"hydra.sweep.dir={tmp_path / 'v'}"])


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("data.path=reference://x,a.tar", r"data\.path=reference://x"),
        ('++data.path="simplecache::http://h/a.tar"', r"data\.path=simplecache"),
        ("data.options={fo: {templates: {u: x}}}", r"data\.options\.fo"),
        ("callbacks.checkpoint.dirpath=src", r"callbacks\.checkpoint\.dirpath=src"),
        ("+logger.wandb.settings.base_url=http://h", r"logger\.wandb\.settings\.base_url"),
        ("data.path=https://h/<secret>", "held a secret"),
        ("data.path='https://h/${oc.env:HOME}'", "not taken from a file"),
        ("sweep.storage=sqlite:////tmp/x.db", "not taken from a file"),
        ('sweep.space={data.path: "reference://x,a.tar"}', r"data\.path=reference://x"),
        ("name=../../x", r"name=\.\./\.\./x"),
    ],
)
def test_a_folder_says_no_places(orders: list, tmp_path: Path, argument: str, said: str) -> None:
    (tmp_path / "environment.json").write_text(
        json.dumps({"overrides": ["sweep=grid", "seed=0,1", argument]})
    )
    with pytest.raises(ConfigError, match=said):
        command.sweep([f"resume={tmp_path}"])
    assert not orders


def test_what_a_sweep_does_not_take_from_its_folder_can_be_given_again(
    orders: list, tmp_path: Path
) -> None:
    stored = [
        "sweep=grid",
        "data=webdataset",
        "seed=0,1",
        "data.path=https://h/x?token=<secret>",
        "++tuning.image.cache=/tmp/elsewhere",
    ]
    (tmp_path / "environment.json").write_text(json.dumps({"overrides": stored}))
    command.sweep([f"resume={tmp_path}", 'data.path="https://h/x?token=again"'])
    assert orders[-1][1].fixed == ["data=webdataset", '++data.path="https://h/x?token=again"']
    with pytest.raises(ConfigError, match="keeps its jobs"):
        command.sweep([f"resume={tmp_path}", "data.path=x", "seed=0,2"])


def test_a_sweep_with_a_link_out_of_its_folder_is_refused(orders: list, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "environment.json").write_text(json.dumps({"overrides": ["sweep=grid", "seed=0,1"]}))
    (folder / "sweep.csv").symlink_to(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"sweep\.csv is a link out of the folder"):
        command.sweep([f"resume={folder}"])
    assert not orders


def test_a_multirun_with_aliases_is_refused(orders: list, tmp_path: Path) -> None:
    (tmp_path / "multirun.yaml").write_text("a: &a [x]\nhydra: {overrides: {task: *a}}")
    with pytest.raises(ConfigError, match="alias"):
        command.sweep([f"resume={tmp_path}"])


def test_no_secret_goes_into_the_file_for_wandb(tmp_path: Path) -> None:
    path = '++data.path="https://h/a.tar?token=abcdefgh"'
    with pytest.raises(ConfigError, match="holds a secret"):
        command.sweep(["sweep=wandb", "data=webdataset", path, f"hydra.sweep.dir={tmp_path / 'w'}"])
