"""Every command of docs/how-to/data.md that trains on a table does so, on a small one that has all
its columns."""

import json
import shlex
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.data.manifests import make_pairs, write_csv
from tests.end_to_end.commands import commands_of

START = "python src/train.py "
COMMANDS = [
    line for line in commands_of(ROOT / "docs" / "how-to" / "data.md") if line.startswith(START)
]
TABLES = [line for line in COMMANDS if "data=manifest" in line or "experiment=own_small" in line]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pairs.csv, patients.csv, and a file per split."""
    folder = tmp_path_factory.mktemp("tables")
    rows = make_pairs(folder, 120)
    for number, row in enumerate(rows):
        row |= {
            "split": ("train", "train", "train", "val", "test")[number % 5],
            "person": number // 4,
        }
        row |= {
            "product": number // 2,
            "title": f"title {number}",
            "kind": row["class"],
            "price": 100 + 9 * number,
        }
    rows[7]["caption"] = ""
    write_csv(folder / "pairs.csv", rows)
    for name, start in (("a", 0), ("b", 1), ("c", 2)):
        write_csv(folder / f"{name}.csv", rows[start::3])
    patients = [
        {"scan": row["filepath"], "age": 20 + n, "sex": "mf"[n % 2], "days": 3 * n}
        for n, row in enumerate(rows)
    ]
    write_csv(folder / "patients.csv", patients)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("line", TABLES, ids=range(len(TABLES)))
def test_a_command_of_the_guide_trains(line: str, here: Path, command, tmp_path: Path) -> None:
    short = ["debug=fast", "data.num_workers=0", f"hydra.run.dir={tmp_path / 'run'}"]
    done = command("train.py", *shlex.split(line.removeprefix(START)), *short, cwd=here)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    wanted = ("recall@1", "accuracy", "r2")
    assert any(f"test/{name}" in metrics for name in wanted)


def test_the_guide_has_a_command_for_each_setting() -> None:
    text = "\n".join(TABLES)
    for setting in ("group", "id", "split", "split_by", "label"):
        assert f"data.columns.{setting}=" in text
    for setting in (
        "shift",
        "scale",
        "flip",
        "vocab_size",
        "context_length",
        "label_kind",
        "eval_captions",
        "splits",
    ):
        assert f"data.{setting}=" in text
    assert not [line for line in COMMANDS if "callbacks=[default]" in line]
