"""Every example of docs/library.md runs, and importing the package takes no time."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import polymodal
from polymodal.export.folder import export
from tests.conftest import ROOT
from tests.export.models import checkpoint_of

EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text(), flags=re.DOTALL)


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


def test_no_example_needs_hydra_or_lightning() -> None:
    imports = "\n".join(line for code in EXAMPLES for line in code.splitlines() if re.match(r"import|from", line))
    code = f"import sys\n{imports}\nprint([n for n in ('hydra', 'lightning', 'pytorch_lightning') if n in sys.modules])"
    assert run(code) == "[]"


def test_importing_the_package_imports_nothing_else() -> None:
    assert run("import sys, polymodal; print([n for n in ('torch', 'numpy', 'hydra') if n in sys.modules])") == "[]"


@pytest.mark.parametrize("name", polymodal.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(polymodal, name).__doc__ or name == "PAD"
    assert name in dir(polymodal)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        polymodal.Nothing  # noqa: B018


def run(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
