"""The examples of CONTRIBUTING.md work as they say: the files that it shows, and nothing else."""

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT, SMALL
from tests.end_to_end.commands import indented_commands_of

GUIDE = ROOT / "CONTRIBUTING.md"
FILES = dict(
    re.findall(r"`([\w/.]+)`:\n\n```(?:python|yaml)\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
)
PYTHON = [name for name in FILES if name.endswith(".py")]
NAMES = ["gru", "weighted", "hinge", "halves", "gradient_norms"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with the files of the guide."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("src", "configs", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "docs"):
        (folder / name).symlink_to(ROOT / name)
    for name, content in FILES.items():
        assert not (folder / name).exists()
        (folder / name).write_text(content)
    return folder


def run(tree: Path, *words: str) -> subprocess.CompletedProcess:
    """Runs Python in the copy, with its package and not with the installed one."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    command = [sys.executable, *words]
    return subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )


def test_each_part_is_a_python_file_a_yaml_file_and_a_test() -> None:
    kinds = [(Path(name).parts[0], Path(name).stem.removeprefix("test_")) for name in FILES]
    assert kinds == [(folder, name) for name in NAMES for folder in ("src", "configs", "tests")]


def test_the_examples_are_in_the_style_of_the_code(tree: Path) -> None:
    for words in (["check"], ["format", "--check"]):
        done = run(tree, "-m", "ruff", *words, "--no-cache", *PYTHON)
        assert done.returncode == 0, done.stdout


def test_the_encoder_and_the_loss_train_and_mistakes_are_explained(cache: Path, tree: Path) -> None:
    parts = ["encoder/text=gru", "encoder.text.width=64", "objective=hinge", "objective.margin=0.3"]
    done = run(
        tree,
        "src/train.py",
        *parts,
        "debug=fast",
        SMALL,
        "data.vocab_size=400",
        "callbacks.report=null",
    )
    assert done.returncode == 0, done.stderr
    wrong = run(tree, "src/train.py", "encoder/text=gru", "encoder.text.widht=64")
    assert wrong.returncode == 2
    assert "Did you mean width?" in wrong.stderr


def test_the_data_the_fusion_and_the_callback_train(cache: Path, tree: Path) -> None:
    (command,) = indented_commands_of(GUIDE)
    short = [
        "data.batch_size=64",
        "trainer.max_epochs=1",
        "trainer.log_every_n_steps=1",
        "callbacks.report=null",
    ]
    done = run(tree, *shlex.split(command)[1:], *short, f"hydra.run.dir={tree / 'run'}")
    assert done.returncode == 0, done.stderr
    with (tree / "run" / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    norms = [
        float(row["train/gradient_norm/left"]) for row in rows if row["train/gradient_norm/left"]
    ]
    assert len(norms) == 20  # of 1,257 samples in batches of 64
    assert min(norms) > 0
    weights = [
        float(row[f"val/weight/{name}"])
        for name in ("left", "right")
        for row in rows
        if row["val/weight/left"]
    ]
    assert sum(weights) == pytest.approx(1)


@pytest.mark.slow
def test_the_examples_pass_the_types_and_all_tests_that_find_them(cache: Path, tree: Path) -> None:
    done = run(tree, "-m", "mypy")
    assert done.returncode == 0, done.stdout
    folders = [
        "tests/encoders",
        "tests/fusion",
        "tests/objectives",
        "tests/data",
        "tests/callbacks",
        "tests/export",
    ]
    chosen = [
        "-m",
        "not slow",
        "-k",
        " or ".join(NAMES),
        "--show-capture=no",
        "-p",
        "no:cacheprovider",
    ]
    done = run(tree, "-m", "pytest", "-q", "-n", "0", *chosen, *folders)
    assert done.returncode == 0, done.stdout
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed > 50  # the suites found the parts by their files
