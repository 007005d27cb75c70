"""Files that stand in the cells of a table are read as those on disk are."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from tests.data.manifests import PAIR, make_pairs, ready, whole

from polymodal.data.media import formats as media
from polymodal.errors import DataError


def embedded(folder: Path, rows: list[dict], how: str) -> Path:
    """The rows with the images in them: as bytes, or as records of bytes and name; or as records
    of a path alone."""
    make = {
        "bytes": lambda path: (folder / path).read_bytes(),
        "record": lambda path: {"bytes": (folder / path).read_bytes(), "path": "a.png"},
        "path": lambda path: {"bytes": None, "path": path},
        "mixed": lambda path: {
            "bytes": (folder / path).read_bytes() if int(path[-5]) % 2 else None,
            "path": None if int(path[-5]) % 2 else path,
        },
    }[how]
    record = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    cells = [make(path) if path else None for path in columns["filepath"]]
    columns["filepath"] = pa.array(cells, pa.binary() if how == "bytes" else record)
    file = folder / f"{how}.parquet"
    parquet.write_table(pa.table(columns), file, row_group_size=7)
    return file


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("how", ["bytes", "record", "path", "mixed"])
def test_bytes_are_the_same_pictures(how: str, cached: bool, tmp_path: Path, monkeypatch) -> None:
    rows = make_pairs(tmp_path, 40)
    rows[3]["filepath"] = ""
    parts = {"split": [*["train"] * 20, *["val"] * 10, *["test"] * 10]}
    rows = [row | {"split": split} for row, split in zip(rows, parts["split"], strict=True)]
    table = pa.Table.from_pylist(rows)
    parquet.write_table(table, tmp_path / "plain.parquet")
    options = {"image_cache": str(tmp_path / "cache")} if cached else {}
    columns = PAIR | {"split": "split"}
    expected = whole(ready(tmp_path / "plain.parquet", columns).train_set)
    file = embedded(tmp_path, rows, how)
    for turn in range(2):
        data = ready(file, columns, **options)
        if cached and turn:
            monkeypatch.setattr(
                media, "read_image", lambda *_, **__: pytest.fail("it was decoded already")
            )
            data = ready(file, columns, **options)
        batch = whole(data.train_set)
        assert torch.equal(batch.inputs["image"], expected.inputs["image"])
        assert torch.equal(batch.present["image"], expected.present["image"])
        assert data.describe("image", 5).shape == (8, 8, 3)


def test_equal_names_of_bytes_are_not_one_group(tmp_path: Path) -> None:
    rows = make_pairs(tmp_path, 40)
    data = ready(embedded(tmp_path, rows, "record"))
    assert len(np.unique(data.samples.group)) == 40
    data = ready(embedded(tmp_path, rows, "path"))
    assert sorted(map(len, (data.train_set, data.val_set, data.test_set)))[-1] < 40


def test_a_changed_picture_is_not_taken_from_the_cache(tmp_path: Path) -> None:
    rows, cache = make_pairs(tmp_path, 40), str(tmp_path / "cache")
    before = ready(embedded(tmp_path, rows, "bytes"), image_cache=cache).samples.contents["image"]
    first = before.read(0)
    content = (tmp_path / rows[1]["filepath"]).read_bytes()
    changed = bytearray((tmp_path / rows[0]["filepath"]).read_bytes())
    (tmp_path / rows[0]["filepath"]).write_bytes(content)
    after = ready(embedded(tmp_path, rows, "bytes"), image_cache=cache).samples.contents["image"]
    assert not np.array_equal(after.read(0), first)
    cached = before.cache
    assert np.array_equal(cached.get(0, bytes(changed), before.load), first)
    assert np.array_equal(cached.get(0, content, before.load), after.read(0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "row 8: drawing has no bytes"),
        (b"GIF89a no", "row 8: drawing is damaged or no image"),
    ],
)
def test_bad_bytes_are_named_by_their_row(content: bytes, message: str, tmp_path: Path) -> None:
    rows = make_pairs(tmp_path, 40)
    cells = [
        {"bytes": (tmp_path / row["filepath"]).read_bytes(), "path": "drawing"} for row in rows
    ]
    cells[7]["bytes"] = content
    table = pa.table({"filepath": cells, "caption": [row["caption"] for row in rows]})
    parquet.write_table(table, tmp_path / "p.parquet")
    data = ready(tmp_path / "p.parquet")
    with pytest.raises(DataError, match=message):
        [whole(part) for part in (data.train_set, data.val_set, data.test_set)]


def test_what_falls_into_one_split_is_a_column_of_its_own(tmp_path: Path) -> None:
    """A class is a group of positives, and yet in all splits; a scene is in one."""
    rows = [
        row | {"scene": f"scene {index // 3}"}
        for index, row in enumerate(make_pairs(tmp_path, 120))
    ]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    columns = PAIR | {"group": "class", "split_by": "scene"}
    data = ready(tmp_path / "p.parquet", columns, splits=(0.6, 0.2, 0.2))
    scenes = [
        set((part.chosen // 3).tolist()) for part in (data.train_set, data.val_set, data.test_set)
    ]
    assert sum(map(len, scenes)) == len(set.union(*scenes)) == 40
    assert all(
        len(whole(part).group.unique()) == 4
        for part in (data.train_set, data.val_set, data.test_set)
    )
    named = [
        row | {"part": ("train", "val", "test")[index // 3 % 3]} for index, row in enumerate(rows)
    ]
    parquet.write_table(pa.Table.from_pylist(named), tmp_path / "p.parquet")
    assert len(ready(tmp_path / "p.parquet", columns | {"split": "part"}).train_set) == 42
    named[0]["part"] = "test"
    parquet.write_table(pa.Table.from_pylist(named), tmp_path / "p.parquet")
    with pytest.raises(DataError, match="'scene 0' is in train and test"):
        ready(tmp_path / "p.parquet", columns | {"split": "part"})
