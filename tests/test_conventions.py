"""Rules of the code that a reader relies on."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "polymodal"
FILES = sorted(PACKAGE.rglob("*.py"))

LAYERS = [
    {"errors", "formatting", "types", "signals", "addresses", "new_data"},
    {"batch", "tokens", "hashing", "checkpoint_parts", "files"},
    {"encoders", "fusion", "heads", "missing", "config", "frozen_cache", "noise"},
    {"model", "new_columns", "terminal"},
    {"losses", "metrics"},
    {"objectives"},
    {"schedulers", "loggers", "data"},
    {"embedder"},
    {"exported", "controls"},
    {"tuning", "checkpoint", "checkpoint_io", "grad_cache", "optimization"},
    {"choices", "data_checks", "execution", "sharding"},
    {"module", "strategy"},
    {"report"},
    {"callbacks"},
    {"together", "resume", "monitors", "final"},
    {"trainer"},
    {"run"},
    {"trained"},
    {"evaluate", "answers", "parts", "vector_index", "by_hand"},
    {"embed", "export"},
    {"answer_table"},
    {"search", "predict", "demo"},
    {"sweeps"},
]
"""A package imports its own and earlier layers only. `config` starts a run, and imports `run` inside a function."""

LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def part_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize(
    "file", [f for f in FILES if f.parent != PACKAGE or f.stem != "__init__"], ids=lambda f: str(f.relative_to(PACKAGE))
)
def test_imports_go_one_way(file: Path) -> None:
    own = part_of(file)
    for statement in ast.parse(file.read_text()).body:
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("polymodal."):
            other = statement.module.split(".")[1]
            assert other == own or LEVEL[other] < LEVEL[own], f"{own} imports {other}"
            assert own != "data" or other in {"data", "batch", "hashing", "errors", "types", "addresses"}


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_files_and_functions_fit_a_reader(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name


def test_nothing_heavy_is_imported_by_the_command_line() -> None:
    for file in (PACKAGE / "config").glob("*.py"):
        for statement in ast.parse(file.read_text()).body:
            names = [a.name for a in statement.names] if isinstance(statement, ast.Import) else []
            names += [statement.module or ""] if isinstance(statement, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"torch", "lightning", "timm", "numpy", "matplotlib"}


def test_no_pickle_is_ever_trusted() -> None:
    wanted = re.compile(r"weights_only\s*=\s*Fals" + "e|pickle.loa" + "d|import pickl" + "e")
    for folder in ("src", "scripts", "tests", "configs"):
        for file in (ROOT / folder).rglob("*.*"):
            if file.suffix in {".py", ".yaml"}:
                assert not wanted.search(file.read_text()), file


def test_no_device_is_hard_wired() -> None:
    for file in FILES:
        assert not re.search(r"\.cuda\(\)|cuda:0", file.read_text()), file


def test_no_file_of_a_run_has_an_equals_sign_in_its_name() -> None:
    text = (ROOT / "configs" / "callbacks" / "checkpoint.yaml").read_text()
    assert "auto_insert_metric_name: false" in text
    assert "filename: best" in text
