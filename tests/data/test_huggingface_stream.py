"""Streams in the formats of the Hugging Face hub, all from local folders."""

from pathlib import Path

import datasets
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from tests.data.shards import COLOURS, picture, used

from polymodal.data.huggingface_stream import HuggingFaceStream
from polymodal.data.stream.reader import number_of_name
from polymodal.errors import ConfigError, DataError

SKIP = {"on_error": "skip", "max_bad_fraction": 0.1}
COLUMNS = {"image": "image", "text": "caption", "label": "colour"}


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def table(count: int, first: int = 0) -> datasets.Dataset:
    numbers = range(first, first + count)
    columns = {
        "image": [{"bytes": picture(list(COLOURS)[n % 3]), "path": None} for n in numbers],
        "caption": [[f"image {n}", f"number {n}"] for n in numbers],
        "colour": [n % 3 for n in numbers],
    }
    features = datasets.Features(
        image=datasets.Image(),
        caption=datasets.List(datasets.Value("string")),
        colour=datasets.ClassLabel(3, list(COLOURS)),
    )
    return datasets.Dataset.from_dict(columns, features)


def ready(path: Path | str, columns=COLUMNS, **options) -> HuggingFaceStream:
    data = HuggingFaceStream(
        str(path), columns, **({"image_size": 4, "vocab_size": 300, "batch_size": 4} | options)
    )
    data.setup()
    return data


@pytest.mark.parametrize("workers", [0, 2])
def test_its_own_splits_are_taken(workers: int, tmp_path: Path) -> None:
    parts = {"train": table(10), "validation": table(5, 10), "test": table(3, 15)}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "set")
    data = ready(tmp_path / "set", num_workers=workers)
    batches = list(data.val_dataloader())
    assert [len(batch) for batch in batches] == [8, 2]
    assert batches[0].labels["label"].tolist() == [1, 1, 2, 2, 0, 0, 1, 1]
    assert batches[0].inputs["image"][0, :, 0, 0].tolist() == list(COLOURS["green"])
    said = [
        data.describe("text", item) for batch in batches for item in batch.items["text"].tolist()
    ]
    assert said[:4] == ["image 10", "number 10", "image 11", "number 11"]
    assert data.class_names == data.state_dict()["learned"] == {"label": list(COLOURS)}
    assert sum(map(len, data.train_dataloader())) == 10
    other = HuggingFaceStream(
        str(tmp_path / "set"), COLUMNS, image_size=4, vocab_size=300, batch_size=4
    )
    # of a model that was trained elsewhere
    other.load_state_dict({"learned": {"label": ["blue", "red", "green"]}})
    other.setup()
    assert next(iter(other.val_dataloader())).labels["label"].tolist() == [2, 2, 0, 0, 1, 1, 2, 2]
    assert other.class_names == {"label": ["blue", "red", "green"]}


def test_else_a_hash_splits_the_rows(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for number in range(3):
        table(20, 20 * number).to_parquet(str(tmp_path / "files" / f"{number}.parquet"))
    data = ready("parquet", options={"data_dir": str(tmp_path / "files")}, splits=(0.6, 0.2, 0.2))
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    parts = [
        {item for batch in loader for item in batch.items["image"].tolist()} for loader in loaders
    ]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 60
    assert len(data.source.shards) == 3
    loader = ready("parquet", options={"data_dir": str(tmp_path / "files")}).train_dataloader()
    assert torch.cat([batch.id for batch in loader]).unique().numel() > 40


def test_a_test_split_is_never_trained_on(tmp_path: Path) -> None:
    parts = {"train": table(40), "test": table(6, 40), "unlabeled": table(9, 46)}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "set")
    data = ready(tmp_path / "set", splits=(0.5, 0.3, 0.2))

    def seen(loader) -> set[int]:
        return {
            int(data.describe("text", item).split()[1])
            for batch in loader
            for item in batch.items["text"].tolist()
        }

    train, val, test = map(
        seen, (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    )
    assert test == set(range(40, 46))
    assert train | val == set(range(40))
    assert not train & val
    assert len(train) > len(val) > 5
    datasets.DatasetDict({"a": table(4), "b": table(4)}).save_to_disk(tmp_path / "other")
    with pytest.raises(
        ConfigError, match=r"the splits a, b, none of them for training.*data\.options\.split"
    ):
        ready(tmp_path / "other")


def test_a_cell_may_name_a_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "green.png").write_bytes(picture("green"))
    urls = [f"file://{tmp_path}/green.png"] * 29 + [f"file://{tmp_path}/lost.png"]
    cells = pa.array(
        [{"bytes": None, "path": url} for url in urls],
        pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    )
    parquet.write_table(
        pa.table({"image": cells, "caption": ["green"] * 30}), tmp_path / "a.parquet"
    )
    named, files = (
        {"image": "image", "text": "caption"},
        dict.fromkeys(("train", "test"), str(tmp_path / "a.parquet")),
    )
    data = ready(
        "parquet", named, options={"data_files": files | {"validation": files["test"]}}, **SKIP
    )
    batches = list(data.val_dataloader())
    assert sum(map(len, batches)) == 29
    assert batches[0].inputs["image"][0, :, 0, 0].tolist() == list(COLOURS["green"])
    list(used(data, batches))
    assert data.skips["val"].counts() == {"missing file": 1}


def test_what_cannot_be_is_told(tmp_path: Path) -> None:
    table(30).save_to_disk(tmp_path / "set")
    with pytest.raises(DataError, match=r"data\.columns\.text=captoin: .*Did you mean 'caption'"):
        ready(tmp_path / "set", COLUMNS | {"text": "captoin"})
    with pytest.raises(DataError, match=r"data\.path=.*/nothing"):
        ready(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="no code of a data set is trusted"):
        ready(tmp_path / "set", options={"trust_remote_code": True})


def test_values_of_any_type_are_those_of_tables(tmp_path: Path) -> None:
    columns = {"caption": ["a", "b", "c"], "smoker": [True, False, None], "day": [1.0, 2.0, None]}
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    files = {name: str(tmp_path / "a.parquet") for name in ("train", "validation", "test")}
    options = {
        "options": {"data_files": files},
        "columns": {"text": "caption", "label": "smoker", "group": "day"},
    }
    data = ready("parquet", **options, class_names=["False", "True"])
    found = [data.reader.read(entry.record) for entry in data.source.entries(0)]
    assert [one.label for one in found] == [1, 0, -1]
    assert found[0].group == number_of_name("1")
    days = ready(
        "parquet", **options | {"columns": {"text": "caption", "label": "day"}}, label_kind="value"
    )
    assert [days.reader.read(entry.record).label for entry in days.source.entries(0)][:2] == [1, 2]
