"""Every command that the README gives works, shortened to seconds."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT, SMALL
from tests.end_to_end.commands import commands_of

COMMANDS = commands_of(ROOT / "README.md")
SHORT = ["debug=fast", SMALL, "data.vocab_size=400", "callbacks.report=null"]


@pytest.fixture(scope="module")
def run_folder(command, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    done = command("train.py", *SHORT, f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("line", [c for c in COMMANDS if c.startswith("make")])
def test_a_make_target_exists_and_sets_itself_up(line: str) -> None:
    done = subprocess.run([*shlex.split(line), "-n", "-B"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pip install" in done.stdout
    assert any(work in done.stdout for work in ("src/train.py experiment=clip_small", "pytest", "src/demo.py"))


@pytest.mark.slow
@pytest.mark.parametrize("line", [c for c in COMMANDS if not c.startswith("make")])
def test_a_command_works(line: str, command, cache: Path, run_folder: Path, tmp_path: Path) -> None:
    if "index=vectors.parquet" in line:
        pytest.importorskip("faiss")
        output = ["split=test", "output=vectors.parquet"]  # of the command that stands above it
        assert command("embed.py", f"checkpoint={run_folder}", *output, cwd=tmp_path).returncode == 0
    if "resume=" in line:  # it changes the folder, and `last` looks for one that is not finished
        own = shutil.copytree(run_folder, tmp_path / "logs" / "train" / "clip_small" / "own")
        if "resume=last" in line:
            (own / "metrics.json").unlink()
        line = line.replace("logs/train/clip_small/<run>", str(own))
    words = shlex.split(line.replace("logs/train/clip_small/<run>", str(run_folder)))
    words = [str(ROOT / word) if word.startswith("src/") else word for word in words]
    starts = {"python": [sys.executable], "torchrun": [sys.executable, "-m", "torch.distributed.run"]}
    words[:1] = starts[words[0]]
    uses = ("--help", "check=true", "eval.py", "embed.py", "search.py", "export.py", "compare.py", "repeat=", "resume=")
    is_short = any(word in line for word in uses)
    fast = SHORT if "data=" not in line else ["debug=fast", "callbacks.report=null"]
    short = [] if is_short else [word for word in fast if word.split("=")[0] not in line]
    done = subprocess.run([*words, *short], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_there_are_commands_to_test() -> None:
    assert len(COMMANDS) > 10
    assert {command.split()[0] for command in COMMANDS} == {"make", "python", "torchrun"}
