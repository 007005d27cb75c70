"""Rules of the code that a reader relies on."""

import ast
import re
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "polymodal"
FILES = sorted(PACKAGE.rglob("*.py"))

ORDER = re.search(
    r"^- Imports go one way[^#]*?\n\n((?:    .+\n)+)",
    (ROOT / "CONTRIBUTING.md").read_text(),
    re.MULTILINE,
)
assert ORDER
LEVEL = {
    name: level
    for level, line in enumerate(ORDER[1].splitlines())
    for name in line.strip().split(", ")
}
"""Part of the package -> the line of CONTRIBUTING that names it. A part imports itself and what is
on earlier lines."""


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(file): file for file in FILES if file != PACKAGE / "__init__.py"}


def part_of(module: str) -> str:
    """The longest name on a line of the order: a file's, or that of a folder that it is in."""
    words = module.split(".")
    names = (".".join(words[:length]) for length in range(len(words), 0, -1))
    return next(name for name in names if name in LEVEL)


def imported_by(module: str) -> set[str]:
    """Modules that a module imports anywhere: at its top, within functions, for types alone."""
    found = set()
    for node in ast.walk(ast.parse(NAMES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.removeprefix("polymodal.") for name in found} & NAMES.keys() - {module}


def test_the_order_names_what_there_is() -> None:
    assert {part_of(module) for module in NAMES} == LEVEL.keys()


@pytest.mark.parametrize("module", NAMES)
def test_imports_go_one_way(module: str) -> None:
    own = part_of(module)
    for other in map(part_of, imported_by(module)):
        assert other == own or LEVEL[other] < LEVEL[own], f"{own} imports {other}"
        assert own != "data" or other == own or LEVEL[other] < 2


def test_no_module_imports_itself_by_way_of_others() -> None:
    TopologicalSorter(
        {module: imported_by(module) for module in NAMES}
    ).prepare()  # raises the circle


def test_a_folder_has_few_files() -> None:
    count = Counter(file.parent for file in FILES)
    assert count[PACKAGE] <= 16
    assert max(count.values()) <= 22


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_files_and_functions_fit_a_reader(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name


def test_nothing_heavy_is_imported_by_the_command_line() -> None:
    for file in [
        file for folder in ("config", "runs", "cli") for file in (PACKAGE / folder).glob("*.py")
    ]:
        for statement in ast.parse(file.read_text()).body:
            names = [a.name for a in statement.names] if isinstance(statement, ast.Import) else []
            names += [statement.module or ""] if isinstance(statement, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {
                "torch",
                "lightning",
                "timm",
                "numpy",
                "matplotlib",
            }


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


def test_one_training_step_is_read_in_ten_files() -> None:
    text = (ROOT / "docs" / "concepts.md").read_text().partition("## One training step")[2]
    files = re.findall(r"^`(src/[\w/]+\.py)`", text, flags=re.MULTILINE)
    assert len(files) == 10
    assert sum(len((ROOT / file).read_text().splitlines()) for file in files) <= 1200
