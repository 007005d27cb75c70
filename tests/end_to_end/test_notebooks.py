"""Every notebook runs from top to bottom, and is stored with outputs that are small and of no
machine."""

import copy
import importlib.util
import json
import re
import tempfile
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbclient import NotebookClient
from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """scripts/store_notebooks.py."""
    spec = importlib.util.spec_from_file_location(
        "store_notebooks", ROOT / "scripts" / "store_notebooks.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@each
def test_a_notebook_runs(file: Path, cache: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()


@each
def test_outputs_are_stored_small_and_the_same_everywhere(file: Path, script: ModuleType) -> None:
    assert file.stat().st_size < 300_000
    notebook = nbformat.read(file, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output.output_type == "error"]
    text = json.dumps([output for output in outputs if "image/png" not in output.get("data", {})])
    assert not re.search(r"(?<![\w.>])/(home|root|tmp|work|usr|Users)/|site-packages|\\u001b", text)
    again = copy.deepcopy(notebook)
    script.shrink(again)
    for cell, same in zip(notebook.cells, again.cells, strict=True):
        assert {**cell, "outputs": len(cell.get("outputs", []))} == {
            **same,
            "outputs": len(same.get("outputs", [])),
        }
        texts = [[output.get("text") for output in c.get("outputs", [])] for c in (cell, same)]
        assert texts[0] == texts[1]


def test_what_is_stored_names_no_folder_of_this_machine(script: ModuleType) -> None:
    warning = "/opt/site-packages/lightning/loop.py:3: Found 27 modules"
    folder = f"{tempfile.gettempdir()}/tmpab12_x"
    text = f"\x1b[1mread\x1b[0m {ROOT}/configs  \nLoading: 10%\rLoading: 20%\n{warning}\n{folder}/run/a.csv\n"
    assert script.readable(text) == "read configs\nLoading: 20%\n<folder>/run/a.csv"
