"""Every command in the documentation is one that can be given, and the pages are built without a
warning."""

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from tests.config.in_process import checked_without_data
from tests.conftest import ROOT
from tests.end_to_end.commands import commands_of, indented_commands_of, tabled_commands_of

from polymodal.cli.overrides import as_hydra_arguments, quoted
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.config.messages import CONFIGS, is_group
from polymodal.runs.folder import claim
from polymodal.training.compatibility import check_choices

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TABLES = [page for page in PAGES if page.name.startswith("from_")]
GIVEN = [(page, line) for page in PAGES for line in commands_of(page)]
GIVEN += [(page, line) for page in TABLES for line in tabled_commands_of(page)]
GIVEN += [
    (page, line) for page in [*PAGES, ROOT / "README.md"] for line in indented_commands_of(page)
]
COMMANDS = [
    pytest.param(line, id=f"{page.stem}-{number}") for number, (page, line) in enumerate(GIVEN)
]
SHOWS = {"--help", "--cfg", "check=true"}
"""Words of commands that train nothing; the tests of the command line run them."""

RUN = Path("logs", "train", "clip_small", "run")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where somebody stands who has trained clip_small once."""
    here = tmp_path_factory.mktemp("here")
    config = compose_config(["experiment=clip_small", f"++run_dir={here / RUN}"])
    claim(here / RUN, config, check_config(config))
    (here / RUN / "checkpoints").mkdir()
    (here / RUN / "checkpoints" / "last.ckpt").touch()
    return here


def jobs_of(words: list[str]) -> Iterator[list[str]]:
    """The arguments of each job: several where the words describe a sweep."""
    arguments = as_hydra_arguments([word for word in words if word != "-m"], several="-m" in words)
    if "-m" not in words:
        yield arguments
        return
    overrides = OverridesParser.create().parse_overrides(arguments)
    for batch in BasicSweeper.split_arguments(overrides, max_batch_size=None):
        yield from map(list, batch)


def check_training(words: list[str]) -> None:
    """Composes and checks all that `python src/train.py <words>` would run."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--config-dir")
    parser.add_argument("--config-name", default="train")
    for job in jobs_of(words):
        options, overrides = parser.parse_known_args(job)
        overrides.append(f"++run_dir={quoted(RUN)}")
        config = compose_config(overrides, options.config_name, options.config_dir)
        check_choices(checked_without_data(config))


def check_script(script: Path, words: list[str]) -> None:
    """Each setting is a group, or named in the script or in the module that this starts."""
    text = script.read_text()
    for module in re.findall(r"from polymodal\.([\w.]+) import", text):
        path = ROOT / "src" / "polymodal" / Path(*module.split("."))
        text += path.with_suffix(".py").read_text() if path.with_suffix(".py").exists() else ""
    for word in words:
        key, equals, _ = word.partition("=")
        head = key.split(".")[0]
        assert (
            not equals
            or is_group(key)
            or is_group(head)
            or re.search(rf"\b{re.escape(head)}\b", text)
        ), word


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_can_be_given(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    if "devices=multi_node" in line:  # what torchrun would say
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    line = line.replace("logs/train/clip_small/<run>", str(folder / RUN))
    words = shlex.split(line.replace("<run>", "run").replace("<folder>", "folder"))
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        return
    if words[0] == "pip":
        extra = re.search(r"\[(\w+)\]", line)
        assert extra is None or f"\n{extra[1]} = [" in (ROOT / "pyproject.toml").read_text()
        return
    position = next(index for index, word in enumerate(words) if word.endswith(".py"))
    script, given = ROOT / words[position], words[position + 1 :]
    assert script.is_file()
    if script.name != "train.py":
        check_script(script, given)
    elif not SHOWS & set(given):
        check_training(given)


def test_a_wrong_command_would_be_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(Exception, match="Did you mean"):
        check_training(["encoder.image.widht=3"])
    with pytest.raises(AssertionError):
        check_script(ROOT / "scripts" / "compare_fusions.py", ["sedes=0"])
    assert len(list(jobs_of(["-m", "seed=0,1", "encoder/text=bow,rnn"]))) == 4


def test_every_group_with_parts_of_ours_is_in_the_reference() -> None:
    text = "".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    shown = set(re.findall(r"\{options\} (\S+)", text))
    ours = {
        file.parent.relative_to(CONFIGS).as_posix()
        for file in CONFIGS.glob("*/**/*.yaml")
        if "_target_: polymodal." in file.read_text()
    }
    assert ours - {"devices", "experiment", "hydra"} <= shown


@pytest.mark.slow
def test_the_pages_are_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("furo")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-d",
        str(tmp_path / "trees"),
    ]
    command += [str(DOCS), str(tmp_path / "html")]
    # this package, whichever one is installed
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "html" / "reference" / "fusion.html").read_text()
    assert "fusion=gated" in text
    assert "GMU, Arevalo et al. 2017" in text
