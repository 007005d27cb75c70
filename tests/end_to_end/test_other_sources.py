"""Every source that is a table trains with one `data=` choice: class folders, hub data sets,
videos, cells of bytes."""

import csv
import logging
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet
from tests.data.manifests import make_pairs, write_csv
from tests.data.shards import sample, write_shard
from tests.data.test_folder import make_classes
from tests.end_to_end.test_experiments import QUIET, run

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.inference.evaluate import evaluate

SMALL = [
    "data.image_size=16",
    "data.num_workers=0",
    "data.vocab_size=300",
    "debug=fast",
    "data.batch_size=16",
]
SPLITS = "data.splits=[0.6,0.2,0.2]"


def typed(*words: str) -> list[str]:
    """What a user types, shortened."""
    return [*as_hydra_arguments([*words, *SMALL]), *QUIET]


@pytest.fixture(scope="module")
def classes(tmp_path_factory) -> Path:
    return make_classes(tmp_path_factory.mktemp("classes"), 80)


def test_class_folders_are_aligned_with_their_names(classes: Path, tmp_path: Path) -> None:
    words = [
        "data=folder",
        f"data.path={classes}",
        SPLITS,
        "callbacks=[checkpoint,report,zero_shot_names]",
    ]
    metrics = run(tmp_path, *typed(*words, "data.templates=['an image of a {}.','the {}']"))
    assert 0 <= metrics["test/image_to_text/recall@1"] <= 1
    assert 0 <= metrics["test/zero_shot/accuracy"] <= 1
    assert {"zero_shot.png", "image_to_text.png"} <= {
        file.name for file in (tmp_path / "report").iterdir()
    }


def test_class_folders_are_classified(classes: Path, tmp_path: Path) -> None:
    words = [
        "data=folder",
        f"data.path={classes}",
        SPLITS,
        "callbacks=[checkpoint]",
        "encoder/text=none",
    ]
    supervised = ["objective=classification", "fusion=sum", "head=linear", "outputs=4"]
    metrics = run(tmp_path / "run", *typed(*words, *supervised))
    assert evaluate(tmp_path / "run", ["devices=cpu"])["test/accuracy"] == pytest.approx(
        metrics["test/accuracy"]
    )


def test_a_hub_data_set_is_trained_on(classes: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    words = [
        "data=huggingface",
        f"data.name={classes}",
        "data.columns.image=image",
        "data.columns.text=label",
    ]
    words += [
        "data.templates=['an image of a {}.']",
        SPLITS,
        "callbacks=[checkpoint]",
        "data.num_workers=1",
    ]
    metrics = run(tmp_path / "run", *typed(*words))
    assert 0 <= metrics["test/image_to_text/recall@1"] <= 1


def test_videos_are_trained_on(tmp_path: Path) -> None:
    rows = []
    for n in range(60):
        (tmp_path / str(n)).mkdir()
        for index in range(3):
            Image.new("RGB", (20, 16), (4 * n, 80 * index, 100)).save(
                tmp_path / str(n) / f"{index}.png"
            )
        rows.append({"clip": n, "caption": f"clip {n}", "bright": n > 30})
    file = write_csv(tmp_path / "clips.csv", rows)
    words = [
        "data=manifest",
        f"data.path={file}",
        "data.columns.video=clip",
        "data.frames=2",
        "data.flip=0.5",
        SPLITS,
    ]
    words += ["encoder/video=mean", "encoder/image=none", "callbacks=[checkpoint,report]"]
    metrics = run(tmp_path / "clip", *typed(*words, "data.columns.text=caption"))
    assert 0 <= metrics["test/text_to_video/recall@1"] <= 1
    assert (tmp_path / "clip" / "report" / "video_to_text.png").exists()
    words += ["encoder/text=none", "data.columns.label=bright", "outputs=2"]
    metrics = run(
        tmp_path / "class", *typed(*words, "objective=classification", "fusion=sum", "head=linear")
    )
    assert 0 <= metrics["test/accuracy"] <= 1


def test_what_is_left_out_of_shards_is_among_the_metrics(tmp_path: Path) -> None:
    samples = [sample(n) | ({"png": b"no image"} if n % 20 == 0 else {}) for n in range(60)]
    file = str(write_shard(tmp_path / "a.tar", samples))
    words = [
        "data=webdataset",
        f"data.path={{train: {file}, val: {file}, test: {file}}}",
        "data.epoch_samples=60",
    ]
    words += [
        "data.on_error=skip",
        "data.max_bad_fraction=0.2",
        "callbacks=[checkpoint,skipped]",
        *SMALL,
    ]
    words += [f"trainer.limit_{split}_batches=1.0" for split in ("train", "val", "test")]
    quiet = [word for word in QUIET if word != "logger=none"]
    metrics = run(tmp_path / "run", *as_hydra_arguments(words), *quiet)
    skipped = {key: value for key, value in metrics.items() if key.startswith("data/")}
    assert list(skipped) == ["data/skipped/damaged_file"]
    # three of each split, each time that they came
    assert skipped["data/skipped/damaged_file"] >= 9


def test_what_is_left_out_is_among_the_metrics(tmp_path: Path, caplog) -> None:
    """Parquet with bytes, some of them broken."""
    rows = make_pairs(tmp_path, 80)
    cells = [
        (tmp_path / row["filepath"]).read_bytes() if n % 20 else b"no image"
        for n, row in enumerate(rows)
    ]
    captions = [row["caption"] if n != 7 else " " for n, row in enumerate(rows)]
    parquet.write_table(
        pa.table({"image": pa.array(cells, pa.binary()), "text": captions}), tmp_path / "p.parquet"
    )
    words = [
        "data=manifest",
        f"data.path={tmp_path}/p.parquet",
        "data.columns.image=image",
        "data.columns.text=text",
    ]
    words += [
        "data.on_error=skip",
        "data.max_bad_fraction=0.2",
        "callbacks=[checkpoint,skipped]",
        SPLITS,
        *SMALL,
    ]
    words += [f"trainer.limit_{split}_batches=1.0" for split in ("train", "val", "test")]
    quiet = [word for word in QUIET if word != "logger=none"]
    with caplog.at_level(logging.WARNING):
        metrics = run(tmp_path / "run", *as_hydra_arguments(words), *quiet)
    assert {key: value for key, value in metrics.items() if key.startswith("data/")} == {
        "data/skipped/damaged_file": 4,
        "data/skipped/bad_caption": 1,
    }
    assert "5 of 80 rows left out: damaged file 4 (first:" in caplog.text
    assert caplog.text.count("left out") <= 2  # after the epoch, and new ones after the test
    with (tmp_path / "run" / "metrics.csv").open(newline="") as stream:
        told = [row["data/skipped/damaged_file"] for row in csv.DictReader(stream)]
    assert float(told[-1]) == 4
