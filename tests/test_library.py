"""Every example of docs/library.md and of the README runs, and importing the package takes no
time."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import polymodal
from polymodal.export.folder import export
from tests.conftest import ROOT
from tests.export.models import checkpoint_of

EXAMPLES = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text(), flags=re.DOTALL
)


@pytest.fixture(scope="module")
def here(cache, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    file, _ = checkpoint_of(folder / "run")
    export(str(file), str(folder / "exported"), ["safetensors"], "MIT")
    return folder


@pytest.mark.parametrize("code", EXAMPLES, ids=lambda code: re.findall(r"import (\w+)", code)[-1])
def test_an_example_runs(code: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    exec(compile(code, "library.md", "exec"), {})


def test_the_training_loop_learns() -> None:
    (code,) = [code for code in EXAMPLES if "Tokenizer.train" in code]
    names: dict = {}
    exec(compile(code, "library.md", "exec"), names)
    assert len(names["captions"]) == 300
    # of three captions, on images that were held out
    assert names["metrics"]["image_to_text/recall@1"] > 0.8


def test_the_lines_of_the_readme_classify_and_search(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    monkeypatch.chdir(here)
    for name, shade in (("a", 0), ("b", 120), ("c", 255)):
        Image.new("L", (40, 40), shade).save(f"{name}.png")
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    similarity = names["similarity"]
    torch.testing.assert_close(similarity, names["images"] @ names["texts"].T)
    assert similarity.abs().max() <= 1 + 1e-5
    assert names["labels"] == [
        names["names"][row.tolist().index(max(row.tolist()))] for row in similarity
    ]
    first = similarity[:, 0].tolist()
    assert names["found"] == [
        file for _, file in sorted(zip(first, names["files"], strict=True), reverse=True)
    ]


def test_no_example_needs_hydra_or_lightning() -> None:
    imports = "\n".join(
        line for code in EXAMPLES for line in code.splitlines() if re.match(r"import|from", line)
    )
    code = f"import sys\n{imports}\nprint([n for n in ('hydra', 'lightning', 'pytorch_lightning') if n in sys.modules])"
    assert run(code) == "[]"


def test_importing_the_package_imports_nothing_else() -> None:
    assert (
        run(
            "import sys, polymodal; print([n for n in ('torch', 'numpy', 'hydra') if n in "
            "sys.modules])"
        )
        == "[]"
    )


@pytest.mark.parametrize("name", polymodal.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(polymodal, name).__doc__ or name == "PAD"
    assert name in dir(polymodal)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        polymodal.Nothing  # noqa: B018


def run(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
