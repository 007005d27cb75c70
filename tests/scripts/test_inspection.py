"""scripts/inspect_data.py finds what is in the data, and what is wrong with them."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from tests.conftest import ROOT
from tests.data.manifests import make_pairs, write_csv
from tests.data.test_folder import make_classes


@pytest.fixture
def inspect(tmp_path: Path, monkeypatch, capsys) -> Callable[..., tuple[dict, str]]:
    """Runs the script in this process; its report, and what it prints."""
    spec = importlib.util.spec_from_file_location(
        "inspect_data", ROOT / "scripts" / "inspect_data.py"
    )
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def run(*words: str) -> tuple[dict, str]:
        folder = tmp_path / "out"
        monkeypatch.setattr(sys, "argv", ["inspect_data.py", *words, f"output={folder}"])
        try:
            script.main()
        except SystemExit:
            return {}, capsys.readouterr().err
        with Image.open(folder / "contact_sheet.png") as sheet:
            assert len(np.unique(np.asarray(sheet.convert("RGB")).reshape(-1, 3), axis=0)) > 20
        return json.loads((folder / "report.json").read_text()), capsys.readouterr().out

    return run


def test_a_manifest(tmp_path: Path, inspect) -> None:
    rows = make_pairs(tmp_path, 60)
    for index, row in enumerate(rows):
        soundfile.write(tmp_path / f"{index}.wav", np.full(100 + index, 0.5), 1000)
        row |= {"sound": f"{index}.wav", "part": ("train", "val", "test")[index % 3]}
    rows[0]["caption"] = rows[1]["sound"] = ""
    rows[4]["caption"] = rows[6]["caption"] = "of both"
    (tmp_path / rows[7]["filepath"]).write_bytes((tmp_path / rows[8]["filepath"]).read_bytes())
    (tmp_path / rows[9]["filepath"]).write_bytes(b"no image")
    (tmp_path / rows[10]["sound"]).unlink()
    file = write_csv(tmp_path / "p.csv", rows)
    columns = [
        f"data.columns.{key}"
        for key in ("image=filepath", "text=caption", "audio=sound", "label=class")
    ]
    words = [
        "data=manifest",
        f"data.path={file}",
        *columns,
        "data.columns.split=part",
        "data.sample_rate=1000",
    ]
    report, shown = inspect(
        *words, "data.image_size=16", "data.num_workers=2", "data.vocab_size=300"
    )
    assert report["samples"]["train"] == {
        "samples": 20,
        "groups": 20,
        "image": 20,
        "text": 19,
        "audio": 20,
    }
    assert report["samples"]["val"]["audio"] == 19
    assert report["files"]["image"]["width"] == {"least": 20, "median": 20, "95 %": 20, "most": 20}
    assert report["files"]["image"]["read"] == 58
    seconds = report["files"]["audio"]["seconds"]
    assert (seconds["least"], seconds["most"]) == (0.1, 0.159)
    assert report["captions"]["text"]["characters"]["least"] == len("of both")
    assert report["captions"]["text"]["different"] == 58
    assert sum(report["labels"]["red"].values()) == 15
    assert report["duplicates"]["image"] == {
        "in_several_splits": 1,
        "examples": [[f"{file}, row 8", f"{file}, row 9"]],
    }
    assert report["duplicates"]["text"] == {
        "of_several_samples": 1,
        "in_several_groups": 1,
        "in_several_splits": 1,
        "examples": ["of both"],
    }
    assert report["broken"]["damaged file"] == report["broken"]["missing file"] == 1
    assert "damaged file" in shown


def test_class_folders_and_what_is_no_table(tmp_path: Path, inspect) -> None:
    words = ["data=folder", f"data.path={make_classes(tmp_path / 'c', 60)}", "data.num_workers=0"]
    report, _ = inspect(*words)
    assert sum(part["samples"] for part in report["samples"].values()) == 60
    assert report["captions"]["text"]["different"] == 4
    assert report["broken"]["rows"] == 60


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=glyphs"], "Glyphs is no table"),
        (["data=folder", "data.path=x", "data.pth=y"], "data.pth"),
    ],
)
def test_what_cannot_be_inspected_is_said(words: list[str], message: str, inspect) -> None:
    _, error = inspect(*words)
    assert error.startswith("error: ")
    assert message in error
