"""Dirty data: each fault is named with its row and file, or is left out and counted."""

import logging
from pathlib import Path

import numpy as np
import pytest
from tests.data.manifests import PAIR, bomb, make_pairs, ready, whole, write_csv, write_jsonl
from tests.processes import run_processes
from torch._utils import ExceptionWrapper

from polymodal.config.messages import show
from polymodal.data.loading.bad_samples import BadSampleError, Skips
from polymodal.data.manifest import Manifest
from polymodal.errors import ConfigError, DataError

VALUES = PAIR | {"label": "value"}


@pytest.fixture
def rows(tmp_path: Path) -> list[dict]:
    return make_pairs(tmp_path, 40)


def read_all(data) -> int:
    return sum(len(whole(part)) for part in (data.train_set, data.val_set, data.test_set))


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:60])


FILES = {
    "missing file": Path.unlink,
    "empty file": lambda file: file.write_bytes(b""),
    "damaged file": truncated,
    "too large": lambda file: file.write_bytes(bomb(30_000, 30_000)),
}
CELLS = {
    "blank": ("bad caption", {"caption": "   "}, "nothing but blanks"),
    "long": ("bad caption", {"caption": "word " * 20_000}, "longer than data.max_caption=20000"),
    "NaN": ("bad number", {"value": "nan"}, "value='nan' is no finite number"),
    "infinite": ("bad number", {"value": "1e999"}, "no finite number"),
    "word": ("bad number", {"value": "about 3"}, "value='about 3'"),
    "path": ("missing file", {"filepath": "a\0b"}, "there is no file"),
    "folder": ("missing file", {"filepath": "images"}, "there is no file"),
}


@pytest.mark.parametrize("reason", FILES)
def test_a_bad_file_is_named_or_left_out(
    reason: str, rows: list[dict], tmp_path: Path, caplog
) -> None:
    FILES[reason](tmp_path / rows[7]["filepath"])
    file = write_csv(tmp_path / "pairs.csv", rows)
    with pytest.raises(DataError, match=r"pairs\.csv, row 8: .*images/007\.png"):
        read_all(ready(file))
    data = ready(file, on_error="skip", max_bad_fraction=0.05)
    assert read_all(data) == 39
    (tmp_path / rows[7]["filepath"]).write_bytes((tmp_path / rows[6]["filepath"]).read_bytes())
    assert read_all(data) == 39  # what is left out stays out, and is counted once
    assert data.samples.skips.counts() == {reason: 1}
    with caplog.at_level(logging.WARNING):
        data.teardown("fit")
        data.teardown("test")
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert told == [f"1 of 40 rows left out: {reason} 1 (first: {file}, row 8)."]


@pytest.mark.parametrize("fault", CELLS)
def test_a_bad_cell_is_named_or_left_out(fault: str, rows: list[dict], tmp_path: Path) -> None:
    reason, change, message = CELLS[fault]
    rows[7] |= change
    file = (
        write_jsonl(tmp_path / "p.jsonl", rows)
        if fault == "path"
        else write_csv(tmp_path / "p.csv", rows)
    )
    with pytest.raises(DataError, match=rf"row 8: .*{message}"):
        read_all(ready(file, VALUES, label_kind="value"))
    data = ready(file, VALUES, label_kind="value", on_error="skip", max_bad_fraction=0.05)
    assert read_all(data) == 39
    assert data.samples.skips.counts() == {reason: 1}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_bytes_that_are_no_text(ending: str, rows: list[dict], tmp_path: Path) -> None:
    rows[7]["caption"] = "MARK"
    file = tmp_path / f"pairs.{ending}"
    (write_csv if ending == "csv" else write_jsonl)(file, rows)
    file.write_bytes(file.read_bytes().replace(b"MARK", b"caf\xe9 \xff"))
    with pytest.raises(DataError, match="row 8: caption holds bytes that are not UTF-8"):
        ready(file)
    data = ready(file, on_error="skip", max_bad_fraction=0.05)
    assert read_all(data) == 39
    assert data.samples.skips.counts() == {"bad text": 1}


def test_too_many_are_an_error_while_reading_and_while_training(
    rows: list[dict], tmp_path: Path
) -> None:
    for row in rows[::4]:
        row["caption"] = " "
    file = write_csv(tmp_path / "pairs.csv", rows)
    with pytest.raises(
        DataError, match=r"5 of 40 rows left out: bad caption 5 .*\n.*max_bad_fraction=0\.1"
    ):
        ready(file, on_error="skip", max_bad_fraction=0.1)
    file = write_csv(tmp_path / "pairs.csv", make_pairs(tmp_path, 40))
    for row in rows[1::4]:
        (tmp_path / row["filepath"]).unlink()
    data = ready(file, on_error="skip", max_bad_fraction=0.1, batch_size=4)
    with pytest.raises(DataError, match=r"5 of 40 rows left out: missing file 5"):
        list(data.train_dataloader())


def test_an_error_in_a_loading_process_is_one_message_too(
    rows: list[dict], tmp_path: Path, capsys
) -> None:
    data = ready(write_csv(tmp_path / "pairs.csv", rows))
    (tmp_path / rows[7]["filepath"]).unlink()
    try:
        read_all(data)
    except DataError:
        sent = ExceptionWrapper(where="in a worker")  # what a loading process makes of it
    with pytest.raises(DataError) as caught:
        sent.reraise()
    assert "Traceback" in str(caught.value)
    show(caught.value)
    message = capsys.readouterr().err
    assert message.startswith(f"error: {tmp_path}/pairs.csv, row 8: there is no file")
    assert message.count("\n") == 1


def test_workers_count_together(rows: list[dict], tmp_path: Path) -> None:
    for row in rows[::10]:
        (tmp_path / row["filepath"]).write_bytes(b"")
    file = write_csv(tmp_path / "pairs.csv", rows)
    data = ready(
        file,
        on_error="skip",
        max_bad_fraction=0.5,
        num_workers=2,
        batch_size=6,
        splits=(0.6, 0.2, 0.2),
    )
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    assert sum(len(batch) for loader in loaders for batch in loader) == 36
    assert data.samples.skips.counts() == {"empty file": 4}


def test_for_a_batch_that_cannot_be_read_the_next_sample_stands(
    rows: list[dict], tmp_path: Path
) -> None:
    data = ready(write_csv(tmp_path / "pairs.csv", rows), on_error="skip", max_bad_fraction=1.0)
    chosen = data.train_set.chosen.tolist()
    for sample in (*chosen[:3], chosen[-1]):
        (tmp_path / rows[sample]["filepath"]).unlink()
    assert data.train_set[[0, 1, 2]].items["image"].tolist() == [chosen[3]]
    assert data.train_set[[len(chosen) - 1]].items["image"].tolist() == [chosen[3]]
    for sample in chosen[3:-1]:
        (tmp_path / rows[sample]["filepath"]).unlink()
    with pytest.raises(DataError, match="No sample of a split can be read"):
        data.train_set[[0, 1, 2]]


def test_a_column_that_is_not_there(rows: list[dict], tmp_path: Path) -> None:
    for file in (write_csv(tmp_path / "p.csv", rows), write_jsonl(tmp_path / "p.jsonl", rows)):
        with pytest.raises(
            ConfigError, match=r"data\.columns\.text=captions: .*Did you mean 'caption'.*filepath"
        ):
            ready(file, {"image": "filepath", "text": "captions"})
    (tmp_path / "excel.csv").write_text("filepath;caption\na.png;red\n")
    with pytest.raises(
        ConfigError, match=r"excel\.csv has no such column\. ';' seems to stand between its columns"
    ):
        ready(tmp_path / "excel.csv", {"image": "filepath", "text": "caption"})


def test_rows_of_one_id_that_contradict_each_other(rows: list[dict], tmp_path: Path) -> None:
    rows = [
        row | {"id": index // 2, "filepath": rows[index // 2]["filepath"]}
        for index, row in enumerate(rows)
    ]
    rows[9]["filepath"] = rows[12]["filepath"]
    file = write_csv(tmp_path / "pairs.csv", rows)
    with pytest.raises(DataError, match=r"row 10: id '4' has another filepath than in .*row 9"):
        ready(file, PAIR | {"id": "id"})
    data = ready(file, PAIR | {"id": "id"}, on_error="skip", max_bad_fraction=0.05)
    assert len(data.samples.row) == 20
    assert data.samples.contents["text"].count.tolist() == [2] * 4 + [1] + [2] * 15
    labels = {"text": "caption", "id": "id", "label": "value"}
    with pytest.raises(DataError, match="row 2: id '0' has another value than"):
        ready(file, labels, label_kind="value")
    rows = [row | {"value": "" if index % 2 else 0} for index, row in enumerate(rows)]
    # 0 is not "unknown"
    with pytest.raises(DataError, match="row 2: id '0' has another value than"):
        ready(write_csv(file, rows), labels, label_kind="value")


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("no.csv", None, "there is no file"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"filepath,caption\n", "no rows"),
        ("a.csv", b"filepath,caption\na,b,c\n", "row 1: line 2 has 3 cells and the header 2"),
        (
            "a.jsonl",
            b'{"filepath": "a", "caption": "b"}\n{"filepath": ',
            "row 2: it is no JSON: Expecting value",
        ),
        (
            "a.jsonl",
            b'{"filepath": {"x": 1}, "caption": "b"}\n',
            r'row 1: filepath is one value, or a list of them, not {"x": 1}',
        ),
        ("a.parquet", b"PAR1 no", "cannot be read"),
        ("a.txt", b"a", "ends in one of .csv"),
    ],
)
def test_a_manifest_that_cannot_be_read(
    path: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / path).write_bytes(content)
    with pytest.raises((DataError, ConfigError), match=message) as caught:
        ready(tmp_path / path)
    assert path in str(caught.value) or "filepath" in str(caught.value)


def test_an_empty_split(rows: list[dict], tmp_path: Path) -> None:
    file = write_csv(tmp_path / "p.csv", [row | {"part": "train"} for row in rows])
    with pytest.raises(DataError, match="The val split is empty. Samples: train 40, val 0"):
        ready(file, PAIR | {"split": "part"})
    rows[3]["part"] = "holdout"
    with pytest.raises(DataError, match="row 4: part='holdout' is no split"):
        ready(
            write_csv(tmp_path / "p.csv", [{"part": "train"} | row for row in rows]),
            PAIR | {"split": "part"},
        )


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({}, {}, "names no modality"),
        ({"picture": "filepath"}, {}, r"data\.kinds\.picture"),
        ({"image": ["a", "b"]}, {}, "give one column"),
        (PAIR, {"kinds": {"sound": "audio"}}, r"no data\.columns\.sound"),
        (PAIR, {"splits": (0.5, 0.2, 0.2)}, "add up to 1"),
        (PAIR, {"mean": (1.0, 2.0)}, r"data\.mean"),
        (PAIR | {"label": ["a", "b"]}, {}, "label_kind=value"),
    ],
)
def test_settings_that_cannot_be(
    columns: dict, options: dict, message: str, rows: list[dict], tmp_path: Path
) -> None:
    rows = [row | {"a": 1, "b": 2} for row in rows]
    with pytest.raises(ConfigError, match=message):
        ready(write_csv(tmp_path / "p.csv", rows), columns, **options)
    with pytest.raises(ConfigError, match="train, val, test"):
        ready({"train": "a.csv", "testing": "b.csv"})


def test_a_run_may_do_without_validation_and_test(rows: list[dict], tmp_path: Path) -> None:
    files = {
        name: str(write_csv(tmp_path / f"{name}.csv", own))
        for name, own in (("a", rows[:30]), ("b", rows[30:]))
    }
    path = {"train": files["a"], "val": files["b"]}
    with pytest.raises(
        ConfigError, match=r"data.path has train, val, and no test: .*data.path.test=.* test=false"
    ):
        ready(path)
    data = Manifest(path, PAIR, image_size=8)
    data.wanted = ("train", "val")
    data.setup()
    assert [len(part) for part in (data.train_set, data.val_set, data.test_set)] == [30, 10, 0]
    table = write_csv(
        tmp_path / "p.csv",
        [row | {"part": "val" if n < 10 else "train"} for n, row in enumerate(rows)],
    )
    for columns, options in ((PAIR | {"split": "part"}, {}), (PAIR, {"splits": (0.7, 0.3, 0.0)})):
        with pytest.raises(
            DataError, match=r"The test split is empty. Samples: train \d+, .* test=false"
        ):
            ready(table, columns, **options)
        data = Manifest(str(table), columns, image_size=8, **options)
        data.wanted = ("train", "val")
        data.setup()
        assert len(data.train_set) + len(data.val_set) == len(rows)
    data = Manifest(str(table), PAIR | {"split": "part"}, image_size=8)
    data.wanted = ("test",)
    with pytest.raises(DataError, match=r"The test split is empty") as caught:
        data.setup("test")
    assert "test=false" not in str(caught.value)  # an evaluation cannot do without it


def test_broken_sounds_and_vectors(tmp_path: Path) -> None:
    rows = []
    for n in range(40):
        np.save(tmp_path / f"{n}.npy", np.full(3, float(n)))
        rows.append({"vector": f"{n}.npy"})
    np.save(tmp_path / "0.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "1.npy", np.array([1, np.nan, 2]))
    np.save(tmp_path / "2.npy", np.zeros((3, 1)))
    np.save(tmp_path / "4.npy", np.zeros(4))
    (tmp_path / "6.npy").write_bytes(b"RIFF no sound, no array")
    file = write_csv(tmp_path / "p.csv", rows)
    data = ready(
        file, {"vector": "vector"}, on_error="skip", max_bad_fraction=0.5, splits=(0.5, 0.25, 0.25)
    )
    assert read_all(data) == 35
    assert data.samples.skips.counts() == {"damaged file": 2, "bad number": 1, "bad value": 2}
    sounds = ready(file, {"audio": "vector"}, on_error="skip", max_bad_fraction=0.5)
    with pytest.raises(DataError, match="damaged file 21"):
        read_all(sounds)


def _noted(rank: int, world_size: int) -> dict[str, int]:
    skips = Skips(10, str, "skip", 1.0)
    skips.reject(0, BadSampleError("bad caption", "found by all while reading"))
    skips.reject(1 + rank, BadSampleError("missing file", "found by one"))
    skips.sum_over_processes()
    return skips.counts()


@pytest.mark.slow
def test_processes_count_each_row_once() -> None:
    assert run_processes(_noted, 2) == [{"missing file": 2, "bad caption": 1}] * 2


def test_where_nothing_is_left_it_is_said_why(tmp_path: Path) -> None:
    rows = [{"caption": " ", "name": index, "label": "x"} for index in range(5)]
    columns = {"text": "caption", "id": "name", "label": "label"}
    with pytest.raises(DataError, match="5 of 5 rows left out: bad caption 5"):
        ready(
            write_csv(tmp_path / "pairs.csv", rows), columns, on_error="skip", max_bad_fraction=1.0
        )


def test_a_run_that_goes_on_knows_what_was_left_out(tmp_path: Path) -> None:
    rows = make_pairs(tmp_path, 40)
    (tmp_path / rows[3]["filepath"]).write_bytes(b"")
    file = write_csv(tmp_path / "pairs.csv", rows)
    options = {"on_error": "skip", "max_bad_fraction": 0.5, "splits": (0.6, 0.2, 0.2)}
    first = ready(file, **options)
    for part in (first.train_set, first.val_set, first.test_set):
        part[list(range(len(part)))]
    assert first.skipped() == {"empty file": 1}
    again, other = (Manifest(str(file), PAIR, image_size=8, **options) for _ in range(2))
    again.position = (1, 2)
    for data in (again, other):
        data.load_state_dict(first.state_dict())
        data.setup()
    assert again.skipped() == {"empty file": 1}
    assert other.skipped() == {}  # the files may be others now
