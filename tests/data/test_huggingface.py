"""Data sets of the `datasets` library: the rows that it has are those that we batch."""

import shutil
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
import soundfile
import torch
from datasets import Audio, ClassLabel, Dataset, DatasetDict, Features, Image, List, Value
from tests.data.manifests import COLOURS, make_pairs, whole
from tests.data.test_folder import make_classes

from polymodal.data.huggingface import HuggingFace
from polymodal.errors import ConfigError, DataError

COLUMNS = {"image": "image", "text": "caption", "label": "colour"}


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def made(folder: Path, count: int, first: int = 0) -> Dataset:
    """Images with their bytes within, a caption, a named class, and named tags."""
    rows = make_pairs(folder, count)
    features = Features(
        image=Image(),
        caption=Value("string"),
        colour=ClassLabel(names=list(COLOURS)),
        tags=List(ClassLabel(names=["odd", "third"])),
    )
    content = {
        "image": [str(folder / row["filepath"]) for row in rows],
        "caption": [f"number {first + n} {row['class']}" for n, row in enumerate(rows)],
        "colour": [list(COLOURS).index(row["class"]) if n else -1 for n, row in enumerate(rows)],
        "tags": [[0] * (n % 2) + [1] * (n % 3 == 0) if n else None for n in range(count)],
    }
    return Dataset.from_dict(content, features=features)


def ready(name: Path | str, columns=COLUMNS, **options) -> HuggingFace:
    data = HuggingFace(str(name), columns, **({"image_size": 8, "vocab_size": 300} | options))
    data.setup()
    return data


def sizes(data: HuggingFace) -> list[int]:
    return [len(part) for part in (data.train_set, data.val_set, data.test_set)]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    parts = {"train": 40, "validation": 12, "test": 8}
    made_parts = {name: made(tmp_path / name, count, 100 * count) for name, count in parts.items()}
    DatasetDict(made_parts).save_to_disk(tmp_path / "saved")
    for name in parts:
        shutil.rmtree(tmp_path / name)  # the bytes are in the data set
    return tmp_path / "saved"


@pytest.mark.parametrize("cached", [False, True])
def test_its_own_splits_pictures_captions_and_classes(
    cached: bool, saved: Path, tmp_path: Path
) -> None:
    for _ in range(1 + cached):
        data = ready(saved, image_cache=str(tmp_path / "images") if cached else None)
        assert sizes(data) == [40, 12, 8]
        assert data.class_names == {"label": sorted(COLOURS)}
        for dataset in (data.train_set, data.val_set, data.test_set):
            batch = whole(dataset)
            for index, label in enumerate(batch.labels["label"].tolist()):
                caption = data.describe("text", int(batch.items["text"][index]))
                colour = caption.split()[-1]
                assert caption.split()[1] == str(100 * len(dataset) + index)
                assert label == (data.class_names["label"].index(colour) if index else -1)
                mean = batch.inputs["image"][index].float().mean((1, 2))
                assert torch.allclose(mean, torch.tensor(COLOURS[colour]).float(), atol=15)
            assert len(batch.group.unique()) == len(batch)


def test_the_files_are_mapped_and_not_copied(saved: Path) -> None:
    before = pa.total_allocated_bytes()
    data = ready(saved, {"image": "image"})
    content = data.samples.contents["image"].cells.content
    assert content.nbytes > 5000
    whole(data.val_set)
    assert pa.total_allocated_bytes() - before < content.nbytes


def test_tags_are_known_by_name(saved: Path) -> None:
    data = ready(saved, {"image": "image", "label": "tags"}, label_kind="tags")
    assert data.class_names["label"] == ["odd", "third"]
    assert data.samples.labels["label"][:4].tolist() == [[-1, -1], [1, 0], [0, 0], [1, 1]]


def test_a_missing_split_is_made_of_train_and_a_named_one_is_what_it_is(saved: Path) -> None:
    loaded = datasets.load_from_disk(str(saved))
    del loaded["validation"]
    loaded.save_to_disk(saved.parent / "two")
    data = ready(saved.parent / "two", splits=(0.6, 0.3, 0.1))
    train, val, test = sizes(data)
    assert (train + val, test) == (40, 8)
    assert val > 5
    again = ready(saved.parent / "two", splits=(0.6, 0.3, 0.1))
    assert np.array_equal(data.val_set.chosen, again.val_set.chosen)
    assert sum(sizes(ready(saved, split="train"))) == 40
    assert sizes(ready(saved, split={"train": "validation", "val": "test", "test": "train"})) == [
        12,
        8,
        40,
    ]
    loaded["train"].shuffle(seed=0).save_to_disk(saved.parent / "one")
    assert sum(sizes(ready(saved.parent / "one"))) == 40


def test_folders_of_pictures_and_slices(tmp_path: Path) -> None:
    root = tmp_path / "images"
    for at in ("train", "test"):
        make_classes(root, 40, at)
    data = ready(root, {"image": "image", "label": "label"}, splits=(0.6, 0.2, 0.2))
    assert data.class_names["label"] == ["very_blue", "very_green", "very_grey", "very_red"]
    assert sizes(data)[2] == 40
    shutil.move(root, tmp_path / "moved")
    elsewhere = ready(
        "imagefolder", {"image": "image"}, data_dir=str(tmp_path / "moved"), splits=(0.6, 0.2, 0.2)
    )
    assert np.array_equal(data.val_set.chosen, elsewhere.val_set.chosen)
    slices = {"train": "train[:50%]", "val": "train[50%:]", "test": "test[:8]"}
    assert sizes(ready(tmp_path / "moved", {"image": "image"}, split=slices)) == [20, 20, 8]


def test_labels_become_captions_by_templates(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "images", 60)
    options = {"templates": ["a picture of a {}."], "splits": (0.6, 0.2, 0.2)}
    data = ready(root, {"image": "image", "text": "label"}, **options)
    batch = whole(data.train_set)
    assert len(batch.items["text"].unique()) == 4
    assert data.describe("text", int(batch.items["text"][0])).startswith("a picture of a very_")


def test_sounds_and_parquet_files(tmp_path: Path) -> None:
    for n in range(30):
        soundfile.write(tmp_path / f"{n}.wav", np.full(100 + n, 0.5), 1000)
    content = [{"bytes": (tmp_path / f"{n}.wav").read_bytes(), "path": "a.wav"} for n in range(30)]
    record = Features(
        sound={"bytes": Value("binary"), "path": Value("string")}, number=Value("int64")
    )
    dataset = Dataset.from_dict({"sound": content, "number": list(range(30))}, features=record)
    dataset = dataset.cast_column("sound", Audio())
    dataset.save_to_disk(tmp_path / "saved")
    dataset.to_parquet(tmp_path / "sounds.parquet")
    for name, files in ((tmp_path / "saved", None), ("parquet", str(tmp_path / "sounds.parquet"))):
        wanted = {"audio": "sound", "label": "number"}
        data = ready(
            name,
            wanted,
            data_files=files,
            sample_rate=1000,
            label_kind="value",
            splits=(0.6, 0.2, 0.2),
        )
        batch = whole(data.train_set)
        lengths = (batch.inputs["audio"] != 0).sum(1)
        assert torch.equal(lengths, 100 + batch.labels["label"].long())
        assert sum(sizes(data)) == 30


def test_what_is_wrong_is_said(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"data\.columns\.text=captoin: .*saved, train has no .*Did you mean 'caption'",
    ):
        ready(saved, COLUMNS | {"text": "captoin"})
    with pytest.raises(ConfigError, match="has no split 'tset'. It has: train, validation, test"):
        ready(saved, split={"train": "train", "test": "tset"})
    with pytest.raises(ConfigError, match=r"all of train and some of it too: give train\[:90%\]"):
        ready(saved, split={"train": "train", "val": "train[90%:]"})
    with pytest.raises(ConfigError, match="data.split has test"):
        ready(saved, split={"test": "test"})
    with pytest.raises(DataError, match="data.name=nobody/nothing: "):
        ready("nobody/nothing")
    with pytest.raises(DataError, match="data.name=parquet: .*x.parquet"):
        ready("parquet", data_files=str(tmp_path / "x.parquet"))
    strange = DatasetDict({"a": made(tmp_path, 4), "b": made(tmp_path, 4)})
    strange.save_to_disk(tmp_path / "strange")
    with pytest.raises(ConfigError, match="data.split: say which of a, b is what"):
        ready(tmp_path / "strange")
    with pytest.raises(DataError, match="Column tags: a cell is one"):
        ready(saved, {"image": "tags"})


def test_values_of_any_type_are_those_of_tables(tmp_path: Path) -> None:
    columns = {"caption": [f"a {n}" for n in range(30)], "smoker": [bool(n % 2) for n in range(30)]}
    Dataset.from_dict(columns | {"version": [1.0 + n % 3 for n in range(30)]}).save_to_disk(
        tmp_path / "set"
    )
    data = ready(
        tmp_path / "set",
        {"text": "caption", "label": "smoker", "group": "version"},
        splits=(0.4, 0.3, 0.3),
    )
    assert data.class_names["label"] == ["False", "True"]
    assert data.samples.labels["label"].tolist() == [n % 2 for n in range(30)]
    assert len(np.unique(data.samples.group)) == 3
