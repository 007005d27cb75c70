"""Help, the composed config and completion come without torch; overrides reach what they name."""

import subprocess
import sys
from pathlib import Path

import pytest

from polymodal.cli.overrides import as_hydra_arguments

ROOT = Path(__file__).parents[2]
SPY = """
import runpy, sys
sys.argv = ["src/train.py", *{arguments!r}]
sys.path.insert(0, "src")
try:
    runpy.run_path("src/train.py", run_name="__main__")
finally:
    print("heavy:", sorted({{"torch", "lightning", "timm", "matplotlib"}} & set(sys.modules)))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["optimizer.lrr=1"]], ids=str)
def test_answers_without_importing_torch(arguments: list[str]) -> None:
    code = SPY.format(arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "heavy: []" in done.stdout


def test_help_names_every_group_with_its_options_and_six_examples(command) -> None:
    text = command("train.py", "--help").stdout
    configs = ROOT / "configs"
    for file in configs.rglob("*.yaml"):
        group = file.parent.relative_to(configs).as_posix()
        if group.partition("/")[0] not in {".", "hydra"}:
            line = next(line for line in text.splitlines() if line.startswith(f"{group}:"))
            assert file.stem in line
    assert text.count("\npython src/train.py ") == 6


def test_completion_offers_options(command) -> None:
    line = "python src/train.py encoder/image=v"
    done = command("train.py", "-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
    assert "encoder/image=vit" in done.stdout


def test_any_argument_of_a_part_can_be_given_and_groups_stay_groups() -> None:
    given = [
        "trainer.gradient_clip_val=1",
        "encoder/image=vit",
        "+new.key=1",
        "seed=1",
        "-m",
        "hydra.verbose=true",
        "data.path=shards/{000..127}.tar",
        "data.columns.image=jpg;png",
        "data.path={train: a.csv, val: 'b{0..1}.tar'}",
        "data.folder=${seed}/x,y${seed}",
    ]
    assert as_hydra_arguments(given) == [
        "++trainer.gradient_clip_val=1", "encoder/image=vit", "+new.key=1", "++seed=1", "-m", "hydra.verbose=true",
        '++data.path="shards/{000..127}.tar"', '++data.columns.image="jpg;png"',
        "++data.path={train: a.csv, val: 'b{0..1}.tar'}", "++data.folder=${seed}/x,y${seed}",
    ]  # fmt: skip


def test_every_experiment_and_debug_mode_is_right_and_said_so_without_torch() -> None:
    code = SPY.format(arguments=["check=true"])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "combinations" in done.stdout
    assert "heavy: []" in done.stdout
