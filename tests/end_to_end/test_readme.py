"""Every command that the README gives works, shortened to seconds."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT, SMALL
from tests.data.manifests import make_pairs, write_csv
from tests.end_to_end.commands import commands_of

README = ROOT / "README.md"
COMMANDS = [line for line in commands_of(README) if not line.startswith("git clone")]
USES = ("eval.py", "embed.py", "search.py", "export.py", "compare.py", "inspect_data.py")
"""Programs that train nothing."""

SHORT = ["debug=fast", SMALL, "data.vocab_size=400", "callbacks.report=null"]


@pytest.fixture(scope="module")
def run_folder(command, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    done = command("train.py", "experiment=clip_small", *SHORT, f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr
    return folder


def make_own_data(folder: Path) -> None:
    """What the section on own data has: pairs.csv, and class folders in `animals`."""
    rows = make_pairs(folder, 120)
    write_csv(folder / "pairs.csv", rows)
    for row in rows:
        of_class = folder / "animals" / row["class"]
        of_class.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / row["filepath"], of_class)


INSTALLS = {"train": "--editable .", "demo": "--editable '.[demo]'", "test": "--editable '.[dev]'"}
"""What a target installs before it does its work: no more than it needs."""

WORKS = {"train": "src/train.py experiment=clip_small", "demo": "src/demo.py", "test": "-m pytest"}


@pytest.mark.parametrize("target", INSTALLS)
def test_a_make_target_installs_what_it_needs_and_no_more(target: str) -> None:
    done = subprocess.run(
        ["make", target, "-n", "-B"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    installs = [line for line in done.stdout.splitlines() if "pip install" in line]
    assert [line.partition("constraints.txt ")[2] for line in installs] == [INSTALLS[target]]
    assert WORKS[target] in done.stdout
    assert f"`make {target}`" in README.read_text() or f"make {target} " in README.read_text()


def test_a_target_installs_once_and_all_tools_serve_every_target(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    log = tmp_path / "log"
    for name in ("pip", "python"):
        (tmp_path / ".venv" / "bin" / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {log}\n')
        (tmp_path / ".venv" / "bin" / name).chmod(0o755)

    def installs(target: str) -> int:
        log.write_text("")
        subprocess.run(["make", target], cwd=tmp_path, capture_output=True, check=True)
        return log.read_text().count("pip install")

    assert [installs(target) for target in ("train", "train", "test", "test", "demo", "train")] == [
        1,
        0,
        1,
        0,
        0,
        0,
    ]
    (tmp_path / "pyproject.toml").touch()
    assert installs("train") == 1


def test_the_readme_is_short_and_names_each_folder() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 200
    package = {
        path.name
        for path in (ROOT / "src" / "polymodal").iterdir()
        if (path / "__init__.py").exists()
    }
    assert {name for name in package if f"{name}/" not in text} == set()


@pytest.mark.slow
@pytest.mark.parametrize("line", [c for c in COMMANDS if not c.startswith("make")])
def test_a_command_works(line: str, command, cache: Path, run_folder: Path, tmp_path: Path) -> None:
    if "index=vectors.parquet" in line:
        pytest.importorskip("faiss")
        output = ["split=test", "output=vectors.parquet"]  # of the command that stands above it
        assert (
            command("embed.py", f"checkpoint={run_folder}", *output, cwd=tmp_path).returncode == 0
        )
    if "data.path=" in line:
        make_own_data(tmp_path)
    if "resume=" in line:  # it changes the folder, and `last` looks for one that is not finished
        own = shutil.copytree(run_folder, tmp_path / "logs" / "train" / "clip_small" / "own")
        if "resume=last" in line:
            (own / "metrics.json").unlink()
        line = line.replace("logs/train/clip_small/<run>", str(own))
    words = shlex.split(line.replace("logs/train/clip_small/<run>", str(run_folder)))
    words = [str(ROOT / word) if word.startswith(("src/", "scripts/")) else word for word in words]
    starts = {
        "python": [sys.executable],
        "torchrun": [sys.executable, "-m", "torch.distributed.run"],
    }
    words[:1] = starts[words[0]]
    is_short = any(word in line for word in ("--help", "repeat=", "resume=")) or words[1].endswith(
        USES
    )
    fast = SHORT if "data=" not in line else ["debug=fast", "callbacks.report=null"]
    short = [] if is_short else [word for word in fast if word.split("=")[0] not in line]
    done = subprocess.run(
        [*words, *short], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def test_there_are_commands_to_test() -> None:
    assert len(COMMANDS) > 10
    assert {command.split()[0] for command in COMMANDS} == {"make", "python", "torchrun"}
