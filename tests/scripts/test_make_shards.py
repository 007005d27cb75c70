"""Manifest -> shards -> manifest: all comes back, what is bad is told, and a stop in the middle
changes nothing."""

import importlib
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from tests.conftest import ROOT
from tests.data.manifests import PAIR, bomb, make_pairs, whole, write_jsonl
from tests.data.manifests import ready as ready_manifest
from tests.data.shards import ready as ready_shards
from tests.data.shards import sample, vector, write_shard

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.data.webdataset import WebDataset

SHARDS = ROOT / "scripts" / "shards"
SPLITS = ("train", "val", "test")
KILLED = """
import os, signal, sys
sys.path.insert(0, {scripts!r})
import make
class Killed(make.TarWriter):
    def write(self, fields):
        if fields["__key__"] >= "000000030":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().write(fields)
make.TarWriter = Killed
make.main()
"""


def run(*arguments: str, killed: bool = False) -> subprocess.CompletedProcess:
    code = ["-c", KILLED.format(scripts=str(SHARDS))] if killed else [str(SHARDS / "make.py")]
    return subprocess.run(
        [sys.executable, *code, *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> tuple[Path, list[dict]]:
    folder = tmp_path_factory.mktemp("pairs")
    rows = make_pairs(folder, 60)
    for number, row in enumerate(rows):
        row["caption"] = [row["caption"], "another"] if number % 5 == 0 else row["caption"]
        row["caption"] = row["caption"] if isinstance(row["caption"], list) else [row["caption"]]
    (folder / rows[5]["filepath"]).unlink()
    (folder / rows[11]["filepath"]).write_bytes(bomb(30_000, 30_000))
    rows[9]["caption"] = [" "]
    rows[7]["filepath"] = ""
    write_jsonl(folder / "pairs.jsonl", rows)
    return folder, rows


@pytest.fixture(scope="module")
def shards(rows, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "shards"
    done = run(*settings(rows[0], folder))
    assert done.returncode == 0, done.stderr
    assert "kept" in done.stdout
    (folder.parent / "next").write_text(done.stdout.partition("Next: ")[2])
    return folder


def test_the_next_command_names_all_that_was_written(shards: Path) -> None:
    words = shlex.split((shards.parent / "next").read_text())
    given = dict(word.split("=", 1) for word in words[2:])
    assert {key: value for key, value in given.items() if key.startswith("data.columns")} == {
        "data.columns.image": "png", "data.columns.text": "json.text",
        "data.columns.label": "json.label", "data.columns.group": "json.group",
    }  # fmt: skip
    kept = sum(
        n
        for name, n in json.loads((shards / "report.json").read_text())["shards"].items()
        if "train" in name
    )
    # fewer than the usual batch
    assert given["data.epoch_samples"] == given["data.batch_size"] == str(kept)
    config = overridden(as_hydra_arguments(words[2:]))
    data = WebDataset(
        **{key: value for key, value in config["data"].items() if key != "_target_"}
        | {"num_workers": 0}
    )
    data.setup()
    assert len(data.train_dataloader()) == 1
    batch = next(iter(data.test_dataloader()))
    assert (batch.labels["label"] >= 0).all()
    assert len(data.class_names["label"]) == config["outputs"]


def test_the_next_command_of_sounds_without_pictures(tmp_path: Path) -> None:
    for ending in ("wav", "flac"):
        soundfile.write(tmp_path / f"a.{ending}", np.zeros(900), 8000)
    rows = [
        {"sound": f"a.{['wav', 'flac'][n % 2]}", "word": f"word {n}", "of": n} for n in range(300)
    ]
    write_jsonl(tmp_path / "pairs.jsonl", rows)
    columns = ["columns.audio=sound", "columns.text=word", "columns.group=of"]
    done = run(f"path={tmp_path}/pairs.jsonl", f"output={tmp_path / 'shards'}", *columns)
    assert done.returncode == 0, done.stderr
    words = shlex.split(done.stdout.partition("Next: ")[2])
    assert {
        "data.columns.audio=flac;wav",
        "encoder/audio=cnn",
        "data.columns.image=null",
        "encoder/image=none",
    } <= {*words}
    assert not any(word.startswith(("data.batch_size", "data.class_names")) for word in words)
    overridden(as_hydra_arguments(words[2:]))


def overridden(arguments: list[str]) -> dict:
    """The checked config of a command."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = compose("train", overrides=arguments)
    return {
        "data": OmegaConf.to_container(config.data, resolve=False) | {"seed": 0, "tokenizer": None},
        "outputs": config.outputs,
    }


def settings(folder: Path, output: Path) -> list[str]:
    columns = ["columns.image=filepath", "columns.text=caption", "columns.label=class"]
    return [
        f"path={folder}/pairs.jsonl",
        f"output={output}",
        "samples=7",
        "splits=0.6,0.2,0.2",
        *columns,
    ]


def content(folder: Path) -> dict[str, bytes]:
    files = sorted([*folder.glob("*.tar"), folder / "report.json"])
    return {file.name: file.read_bytes() for file in files}


def test_shards_train_as_their_manifest_does(rows, shards: Path) -> None:
    options = {"image_size": 8, "on_error": "skip", "max_bad_fraction": 0.1}
    manifest = ready_manifest(
        rows[0] / "pairs.jsonl", PAIR | {"label": "class"}, splits=(0.6, 0.2, 0.2), **options
    )
    columns = {"image": "png", "text": "json.text", "label": "json.label"}
    path = {
        split: [str(file) for file in sorted(shards.glob(f"{split}-*.tar"))] for split in SPLITS
    }
    names = manifest.class_names["label"]
    packed = ready_shards(path, columns, class_names=names, **{**options, "on_error": "raise"})
    for split in ("val", "test"):
        ours = list(getattr(packed, f"{split}_dataloader")())
        theirs = whole(getattr(manifest, f"{split}_set"))
        assert torch.equal(
            torch.cat([batch.inputs["image"] for batch in ours]), theirs.inputs["image"]
        )
        assert (
            torch.cat([batch.labels["label"] for batch in ours]).tolist()
            == theirs.labels["label"].tolist()
        )
        said = [
            packed.describe("text", item) for batch in ours for item in batch.items["text"].tolist()
        ]
        assert said == [manifest.describe("text", item) for item in theirs.items["text"].tolist()]
    assert sum(map(len, packed.train_dataloader())) == len(whole(manifest.train_set))


def test_the_report_says_what_was_left_out_and_why(shards: Path) -> None:
    report = json.loads((shards / "report.json").read_text())
    assert report["kept"] == 57
    assert report["dropped"] == {"bad caption": 1, "missing file": 1, "too large": 1}
    assert [(row["row"], row["reason"]) for row in report["rows"]] == [
        (6, "missing file"), (10, "bad caption"), (12, "too large"),
    ]  # fmt: skip
    assert sum(report["shards"].values()) == 57


def test_a_run_that_was_killed_goes_on_and_ends_the_same(
    rows, shards: Path, tmp_path: Path
) -> None:
    arguments = settings(rows[0], tmp_path / "shards")
    done = run(*arguments, "workers=1", killed=True)
    assert done.returncode != 0
    there = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "shards").glob("*.tar")}
    assert 0 < len(there) < len(content(shards)) - 1
    assert list((tmp_path / "shards").glob("*.part"))
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "shards") == content(shards)
    assert not list((tmp_path / "shards").glob("*.part"))
    for name, changed in there.items():
        assert (tmp_path / "shards" / name).stat().st_mtime_ns == changed, (
            "a finished shard was made again"
        )
    other = run(*(a for a in arguments if not a.startswith("samples=")), "samples=8")
    assert other.returncode == 1
    assert "made with other settings" in other.stderr


def test_the_way_back(rows, shards: Path, tmp_path: Path) -> None:
    files = [
        f"{split}-{index:06}.tar"
        for split in SPLITS
        for index in range(len(list(shards.glob(f"{split}-*"))))
    ]
    (shards.parent / "all").mkdir()
    for number, name in enumerate(files):
        (shards.parent / "all" / f"{number:03}.tar").write_bytes((shards / name).read_bytes())
    done = run(
        f"path={shards.parent}/all/{{000..{len(files) - 1:03}}}.tar", f"output={tmp_path / 'files'}"
    )
    assert done.returncode == 0, done.stderr
    lines = [
        json.loads(line)
        for line in (tmp_path / "files" / "manifest.jsonl").read_text().splitlines()
    ]
    assert len(lines) == 57
    for line in lines:
        row = rows[1][int(line["key"])]
        assert line["text"] == row["caption"]
        assert line["label"] == row["class"]
        assert ("image" in line) == bool(row["filepath"])
        if row["filepath"]:
            assert (tmp_path / "files" / line["image"]).read_bytes() == (
                rows[0] / row["filepath"]
            ).read_bytes()


def test_the_way_back_keeps_the_columns_of_files(tmp_path: Path) -> None:
    inner = {
        "key": "theirs",
        "image": 3,
        "caption": "red",
        "text": ["red", "crimson"],
        "vector": [1],
    }
    samples = [
        sample(0) | {"json": inner, "npy": vector(1, 2)},
        sample(1) | {"json": b"{no json"},
        {"__key__": "000002", "json": {"caption": "alone"}, "cls": 1},
        {"__key__": "000003", "txt": "text alone"},
    ]
    write_shard(tmp_path / "a.tar", samples)
    done = run(f"path={tmp_path}/a.tar", f"output={tmp_path / 'files'}")
    assert done.returncode == 0, done.stderr
    first, last = map(json.loads, (tmp_path / "files" / "manifest.jsonl").read_text().splitlines())
    assert first == {
        "key": "000000", "image": "000000-a/000000.png", "vector": "000000-a/000000.npy", "text": ["red", "crimson"],
        "json_key": "theirs", "json_image": 3, "json_vector": [1], "caption": "red",
    }  # fmt: skip
    assert last == {"key": "000003", "text": "text alone"}
    assert (
        "data.columns.image=image data.columns.text=text data.columns.vector=vector\n"
        in done.stdout
    )
    assert json.loads((tmp_path / "files" / "report.json").read_text())["dropped"] == {
        "bad value": 1,
        "missing field": 1,
    }
    assert {file.name for file in (tmp_path / "files" / "000000-a").iterdir()} >= {
        "000000.png",
        "000000.npy",
    }
    assert not (tmp_path / "files" / "000000-a" / "000001.png").exists()


def test_pictures_can_be_stored_small(rows, tmp_path: Path) -> None:
    done = run(*settings(rows[0], tmp_path / "small"), "size=6")
    assert done.returncode == 0, done.stderr
    data = ready_shards(
        {split: str(tmp_path / "small" / f"{split}-000000.tar") for split in SPLITS}, image_size=6
    )
    picture = data.describe("image", next(iter(data.val_dataloader())).items["image"][0].item())
    assert picture.shape == (6, 6, 3)
    assert np.ptp(picture.reshape(-1, 3), axis=0).max() < 60


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    assert "give path=" in run().stderr
    assert (
        "error: data.path: there is no file no.csv"
        in run("path=no.csv", f"output={tmp_path}", "columns.text=a").stderr
    )
    # so that the right command does not find the settings of the wrong one
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["path=no.tar"], "path: there is no file no.tar"),
        (["workers=0"], "workers=0 must be a whole number"),
        (["samples=many"], "samples=many must be a whole number"),
        (["splits=a"], "splits=a must be three numbers"),
        (["columns.text=captoin"], "Did you mean 'caption'"),
    ],
)
def test_a_wrong_command_leaves_nothing_for_the_right_one_to_find(
    words: list[str], message: str, tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "pairs.csv").write_text("caption\nred\n")
    monkeypatch.syspath_prepend(SHARDS)
    given = [] if words[0].startswith("path=") else [f"path={tmp_path / 'pairs.csv'}"]
    monkeypatch.setattr(sys, "argv", ["make.py", *given, f"output={tmp_path / 'shards'}", *words])
    with pytest.raises(SystemExit, match=message):
        importlib.import_module("make").main()
    assert not (tmp_path / "shards").exists()
