"""Tar shards: what is in a batch, splits, dirt, and what is never done with what they hold."""

import io
import json
import tarfile
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import fsspec
import numpy as np
import pytest
import soundfile
import torch
import torch.distributed as dist
from tests.data.media.test_video import encoded
from tests.data.shards import (
    PAIR,
    by_split,
    picture,
    ready,
    sample,
    used,
    vector,
    write_shard,
    write_shards,
)

from polymodal.data.loading.splits import hashed_split
from polymodal.data.media.video import read_video
from polymodal.data.stream import preview as stream_preview
from polymodal.data.stream.records import Record
from polymodal.data.stream.tar import TarShards, expanded
from polymodal.data.webdataset import WebDataset
from polymodal.errors import ConfigError, DataError
from polymodal.objectives.classification import Classification
from polymodal.objectives.clip import CLIP
from polymodal.training.data_checks import check_data

SKIP = {"on_error": "skip", "max_bad_fraction": 0.5}


def add(file: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(file, "a") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file


def keys(loader, data) -> list[str]:
    return [
        data._found(item // 2**15).key
        for batch in used(data, loader)
        for item in batch.items["image"].tolist()
    ]


def test_a_batch_holds_what_the_shard_does(tmp_path: Path) -> None:
    files = write_shards(tmp_path, [3, 2])
    data = ready(
        by_split(files), PAIR | {"label": "json.colour"}, class_names=["red", "green", "blue"]
    )
    first, second = list(data.val_dataloader())
    assert first.inputs["image"].dtype == torch.uint8
    assert first.inputs["image"].shape == (4, 3, 4, 4)
    assert first.inputs["image"][:, :, 0, 0].tolist()[:3] == [
        [220, 30, 30],
        [30, 200, 40],
        [20, 40, 230],
    ]
    rows = [*first.inputs["text"].tolist(), *second.inputs["text"].tolist()]
    assert [" ".join(data.tokenizer.decode(row).split()) for row in rows] == [
        f"a {colour} image {n}" for n, colour in enumerate(["red", "green", "blue", "red", "green"])
    ]
    assert torch.cat([first.labels["label"], second.labels["label"]]).tolist() == [0, 1, 2, 0, 1]
    assert first.present == {}
    assert len(set(first.group.tolist() + second.group.tolist())) == 5
    assert data.describe("text", int(second.items["text"][0])) == "a green image 4"
    assert data.describe("image", int(second.items["image"][0])).shape == (4, 4, 3)
    assert data.class_names == {"label": ["red", "green", "blue"]}
    other = WebDataset(
        by_split(files), PAIR | {"label": "json.colour"}, class_names=["red", "green", "blue"]
    )
    other.load_state_dict({"learned": {"label": ["blue", "red", "green"]}})
    other.setup()
    assert next(iter(other.val_dataloader())).labels["label"].tolist()[:3] == [1, 2, 0]
    floats = data.on_after_batch_transfer(second, 0).inputs["image"]
    assert floats[0, 1, 0, 0] == pytest.approx((200 / 255 - 0.5) / 0.25)


def test_all_captions_are_judged_and_one_is_trained_on(tmp_path: Path) -> None:
    files = write_shards(tmp_path, [4])
    data = ready(
        by_split(files), {"image": "png", "text": ["txt", "json.captions"], "group": "json.colour"}
    )
    batch = next(iter(data.val_dataloader()))
    assert len(batch) == 16
    assert len(set(batch.items["image"].tolist())) == 4
    assert len(set(batch.items["text"].tolist())) == len(set(batch.id.tolist())) == 16
    assert len(set(batch.group.tolist())) == 3
    assert [data.describe("text", i) for i in batch.items["text"][4:8].tolist()] == [
        "a green image 1", "one", "two", "three",
    ]  # fmt: skip
    assert len(next(iter(data.train_dataloader()))) == 4


def test_splits_by_hash_are_apart_whole_and_fixed(tmp_path: Path) -> None:
    files = write_shards(tmp_path, [40, 40])
    data = ready(files)
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    parts = [sorted(keys(loader, data)) for loader in loaders]
    assert sorted(sum(parts, [])) == [f"{n:06}" for n in range(80)]
    shares = (0.8, 0.1, 0.1)
    assert all(
        hashed_split(key, shares) == part for part, found in enumerate(parts) for key in found
    )
    write_shard(
        tmp_path / "b.tar",
        [sample(n) | {"__key__": f"{n}", "json": {"page": n % 20}} for n in range(80)],
    )
    data = ready([str(tmp_path / "b.tar")], PAIR | {"group": "json.page"})
    pages = [
        {int(key) % 20 for key in keys(loader, data)}
        for loader in (data.train_dataloader(), data.val_dataloader())
    ]
    assert not pages[0] & pages[1]
    assert len(list(data.train_dataloader().dataset.split.first(None))) == len(pages[0]) * 4


def test_samples_of_one_split_by_are_in_one_split(tmp_path: Path) -> None:
    samples = [sample(n) | {"json": {"page": n % 20, "book": f"b{n % 10}"}} for n in range(80)]
    # without a book: by the page
    samples += [sample(n) | {"json": {"page": n}} for n in range(80, 90)]
    file = str(write_shard(tmp_path / "a.tar", samples))
    data = ready(
        file, PAIR | {"group": "json.page", "split_by": "json.book"}, splits=(0.5, 0.3, 0.2)
    )
    for part, loader in enumerate(
        (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    ):
        batches = list(loader)
        found = {int(key) for key in keys(batches, data)}
        names = {f"b{n % 10}" if n < 80 else str(n) for n in range(90)}
        mine = {name for name in names if hashed_split(name, (0.5, 0.3, 0.2)) == part}
        assert found == {n for n in range(90) if (f"b{n % 10}" if n < 80 else str(n)) in mine}
        groups = {group for batch in batches for group in batch.group.tolist()}
        # positives as the group says
        assert len(groups) == len({n % 20 if n < 80 else n for n in found})


def test_equal_keys_of_two_shards_are_no_positives(tmp_path: Path) -> None:
    shards = [[sample(i) | {"txt": f"caption {i} of {n}"} for i in range(3)] for n in range(2)]
    files = [str(write_shard(tmp_path / f"{n}.tar", own)) for n, own in enumerate(shards)]
    batch = next(iter(ready(by_split(files), batch_size=6).val_dataloader()))
    assert len(set(batch.group.tolist())) == 6
    groups = {"group": "json.group"}  # a field that some samples have
    some = [
        sample(n) | ({"json": {"group": "a"}} if n < 2 else {"json": {"group": ""}})
        for n in range(4)
    ]
    file = str(write_shard(tmp_path / "b.tar", some))
    batch = next(iter(ready(by_split(file), PAIR | groups).val_dataloader()))
    assert len(set(batch.group.tolist())) == 3
    assert batch.group[0] == batch.group[1]


def test_sounds_vectors_and_absent_modalities(tmp_path: Path) -> None:
    stream = io.BytesIO()
    soundfile.write(stream, np.full(900, 0.5), 8000, format="FLAC")
    samples = [
        {
            "__key__": "a",
            "flac": stream.getvalue(),
            "npy": vector(1, 2, 3),
            "txt": "all of it",
            "cls": 1,
        },
        {"__key__": "b", "npy": vector(4, 5, 6), "txt": "", "cls": 0},
        {"__key__": "c", "flac": stream.getvalue(), "txt": "no vector"},
    ]
    file = write_shard(tmp_path / "a.tar", samples)
    columns = {"audio": "flac;wav", "clip": "npy", "text": "txt", "label": "cls"}
    data = ready(
        by_split(str(file)), columns, kinds={"clip": "vector"}, sample_rate=8000, max_seconds=0.1
    )
    batch = next(iter(data.val_dataloader()))
    assert batch.inputs["audio"].shape == (3, 800)
    assert batch.inputs["clip"].tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0]]
    there = {"audio": [True, False, True], "clip": [True, True, False], "text": [True, False, True]}
    assert {name: mask.tolist() for name, mask in batch.present.items()} == there
    assert batch.labels["label"].tolist() == [1, 0, -1]
    assert not batch.inputs["text"][1].any()
    value = ready(
        by_split(str(file)),
        columns | {"label": "json.value"},
        kinds={"clip": "vector"},
        label_kind="value",
    )
    assert next(iter(value.val_dataloader())).labels["label"].isnan().all()


def test_shards_that_are_packed_and_shards_at_a_url(tmp_path: Path) -> None:
    (file,) = write_shards(tmp_path, [6])
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as packed, tarfile.open(file) as plain:
        for member in plain:
            packed.addfile(member, plain.extractfile(member))
    with fsspec.open("memory://shards/b.tar", "wb") as stream:
        stream.write(Path(file).read_bytes())
    plain = ready(by_split(file))
    for other in (str(tmp_path / "a.tar.gz"), "memory://shards/b.tar"):
        data = ready(by_split(other))
        for one, two in zip(data.val_dataloader(), plain.val_dataloader(), strict=True):
            assert torch.equal(one.inputs["image"], two.inputs["image"])
            assert torch.equal(one.id, two.id)
        assert sum(map(len, data.train_dataloader())) == 6


def test_patterns_of_names() -> None:
    assert expanded("a/{08..11}.tar") == [f"a/{n:02}.tar" for n in range(8, 12)]
    assert expanded(["{x,y}.tar", "https://z/{0..1}.tar"]) == [
        "x.tar",
        "y.tar",
        "https://z/0.tar",
        "https://z/1.tar",
    ]
    with pytest.raises(ConfigError, match="no command is run"):
        expanded("pipe:touch {a,b}")
    with pytest.raises(ConfigError, match="names no shard"):
        expanded([])


class Evil:
    """Leaves a mark where an unpickling decoder would look at it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    stream = io.BytesIO()
    torch.save(Evil(tmp_path / "mark"), stream)
    evil = stream.getvalue()
    array = io.BytesIO()
    np.save(array, np.array([Evil(tmp_path / "mark")], dtype=object), allow_pickle=True)
    file = tmp_path / "a.tar"
    for n, content in enumerate([evil, array.getvalue()]):
        members = [
            (f"{n}.{ending}", content) for ending in ("pyd", "pickle", "pth", "npy", "npz", "pt")
        ]
        add(file, *members, (f"{n}.txt", b"a text"))
    for field in ("pyd", "pickle", "pth", "npy", "npz", "pt"):
        for kind in ("vector", "image", "audio"):
            columns = {"text": "txt", "thing": field}
            with pytest.raises(DataError, match=r"a\.tar|none of the first"):
                list(ready(by_split(str(file)), columns, kinds={"thing": kind}).val_dataloader())
    assert not (tmp_path / "mark").exists()


def test_a_name_outside_of_the_shard_is_refused(tmp_path: Path) -> None:
    (file,) = write_shards(tmp_path / "shards", [6])
    add(Path(file), ("../evil.txt", b"x"), ("/etc/evil.txt", b"y"), ("a/../../evil.txt", b"y"))
    data = ready(by_split(file), batch_size=9, **SKIP)
    assert sum(map(len, used(data, data.val_dataloader()))) == 6
    assert data.skips["val"].counts() == {"bad name": 3}
    assert not list(tmp_path.rglob("evil*"))
    with pytest.raises(DataError, match=r"000\.tar, \.\./evil: it lies outside"):
        list(ready(by_split(file)).val_dataloader())


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("share", [0.35, 0.5, 0.75])
def test_a_shard_that_is_cut_off(share: float, workers: int, tmp_path: Path) -> None:
    files = write_shards(tmp_path, [8, 8])
    content = Path(files[0]).read_bytes()
    whole = len(content.rstrip(b"\0")) + 512
    Path(files[0]).write_bytes(content[: int(whole * share)])
    data = ready(by_split(files), num_workers=workers, **SKIP)
    for split, loader in (("train", data.train_dataloader()), ("val", data.val_dataloader())):
        found = keys(loader, data)
        assert len(set(found)) == len(found)
        assert {f"{n:06}" for n in range(8, 16)} <= set(found)
        assert 8 + int(8 * share) - 1 <= len(found) < 16
        assert data.skips[split].counts() == {"damaged shard": 1}
    with pytest.raises(DataError, match=r"000\.tar: it cannot be read on"):
        list(ready(by_split(files)).train_dataloader())


def test_a_shard_that_ends_between_two_members_is_not_whole(tmp_path: Path) -> None:
    (file,) = write_shards(tmp_path, [4])
    with tarfile.open(file) as tar:
        third = tar.getmembers()[6].offset
    Path(file).write_bytes(Path(file).read_bytes()[:third])
    with pytest.raises(
        DataError, match="it cannot be read on: .*where a member or the end should be"
    ):
        list(ready(by_split(file)).val_dataloader())


def test_shards_that_are_missing_empty_or_no_archive(tmp_path: Path) -> None:
    files = write_shards(tmp_path, [8, 0, 8])
    (tmp_path / "empty.tar").touch()
    (tmp_path / "text.tar").write_text("no archive " * 1000)
    wrong = [str(tmp_path / name) for name in ("empty.tar", "text.tar", "lost.tar")]
    data = ready(by_split([*files, *wrong]), **SKIP)
    assert sum(map(len, used(data, data.val_dataloader()))) == 16
    assert data.skips["val"].counts() == {"damaged shard": 2, "missing file": 1}
    with pytest.raises(DataError, match=r"there is no file .*lost\.tar"):
        ready(by_split([*files, *wrong]))
    with pytest.raises(DataError, match=r"text\.tar: it cannot be read on"):
        list(ready(by_split([*files, wrong[1]])).val_dataloader())
    with pytest.raises(DataError, match=r"The train split is empty\.$"):
        ready(by_split(files[1]))
    with pytest.raises(
        DataError, match=r"The train split is empty\. .*text\.tar: it cannot be read on: .*[^:]$"
    ):
        ready(by_split(wrong[1]), **SKIP)


FAULTS = {
    "empty file": {"png": b""},
    "damaged file": {"png": picture()[:40]},
    "bad caption": {"txt": " \n "},
    "bad text": {"txt": b"caf\xe9 \xff"},
    "bad value": {"json": b"{no json"},
    "missing field": {"png": None, "txt": None},
}


@pytest.mark.parametrize("reason", FAULTS)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_sample_is_named_or_left_out(reason: str, workers: int, tmp_path: Path) -> None:
    bad = sample(3) | FAULTS[reason]
    samples = [
        sample(0),
        sample(1),
        sample(2),
        {k: v for k, v in bad.items() if v is not None},
        sample(4),
    ]
    file = str(write_shard(tmp_path / "a.tar", samples))
    columns = PAIR | {"label": "json.label"}
    with pytest.raises(DataError, match=r"a\.tar, 000003: ") as caught:
        list(ready(by_split(file), columns).val_dataloader())
    assert "data.on_error=skip" in str(caught.value)
    data = ready(by_split(file), columns, num_workers=workers, **SKIP)
    assert sorted(keys(data.train_dataloader(), data)) == [f"{n:06}" for n in (0, 1, 2, 4)]
    assert data.skips["train"].counts() == {reason: 1}
    assert [len(batch) for batch in data.val_dataloader()] == [3, 1]


def test_too_many_bad_samples_end_it(tmp_path: Path, caplog) -> None:
    samples = [sample(n) | ({"png": b""} if n % 4 == 1 else {}) for n in range(12)]
    file = str(write_shard(tmp_path / "a.tar", samples))
    for workers in (0, 2):
        data = ready(by_split(file), on_error="skip", max_bad_fraction=0.2, num_workers=workers)
        with pytest.raises(DataError, match="empty file 3.*\n.*max_bad_fraction=0.2"):
            list(used(data, data.train_dataloader()))
    data = ready(by_split(file), on_error="skip", max_bad_fraction=0.25)
    list(used(data, data.train_dataloader()))
    data.teardown("fit")
    data.teardown("test")
    assert [r.message for r in caplog.records][
        -1
    ] == "train: 3 of 12 samples that were read left out: empty file 3."


@pytest.mark.filterwarnings("ignore:This DataLoader")
@pytest.mark.parametrize("workers", [0, 2, 5])
def test_too_many_bad_samples_end_an_epoch_of_known_length(workers: int, tmp_path: Path) -> None:
    samples = [sample(n) | ({"png": b""} if n % 4 == 1 else {}) for n in range(12)]
    file = str(write_shard(tmp_path / "a.tar", samples))
    options = {"on_error": "skip", "num_workers": workers, "epoch_samples": 12}
    data = ready(by_split(file), max_bad_fraction=0.05, **options)
    loader = data.train_dataloader()
    with pytest.raises(DataError, match=r"of 12 samples .*\n.*max_bad_fraction=0\.05"):
        list(used(data, islice(loader, len(loader))))  # nobody asks for more
    data = ready(by_split(file), max_bad_fraction=0.7, **options)
    loader = data.train_dataloader()
    assert len(list(used(data, islice(loader, len(loader))))) == 3


def test_what_is_left_out_is_told_of_all_processes(tmp_path: Path, monkeypatch, caplog) -> None:
    samples = [sample(n) | ({"png": b""} if n % 4 == 1 else {}) for n in range(12)]
    file = str(write_shard(tmp_path / "a.tar", samples))
    data = ready(by_split(file), on_error="skip", max_bad_fraction=0.5)
    assert data.skipped() == {}
    list(used(data, data.train_dataloader()))
    list(used(data, data.val_dataloader()))
    assert data.skipped() == {"empty file": 6}
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_backend", lambda: "gloo")
    # two others found as much
    monkeypatch.setattr(dist, "all_reduce", lambda total, _: total.mul_(3))
    caplog.clear()
    data.trainer = SimpleNamespace(is_global_zero=False)
    for _ in range(2):
        assert data.skipped() == {"empty file": 18}
    assert not caplog.records
    data.trainer.is_global_zero = True
    data.skipped()
    data.teardown("fit")
    told = [
        f"{name}: 9 of 36 samples that were read left out: empty file 9."
        for name in ("train", "val")
    ]
    assert [record.message for record in caplog.records] == told


def test_videos(tmp_path: Path) -> None:
    samples = [
        {"__key__": str(n), "mp4": encoded("mp4", 10 + n), "txt": f"clip {n}"} for n in range(3)
    ]
    file = str(write_shard(tmp_path / "a.tar", [*samples, {"__key__": "3", "txt": "none"}]))
    data = ready(by_split(file), {"video": "mp4;webm", "text": "txt"}, frames=2)
    batch = next(iter(data.val_dataloader()))
    assert batch.inputs["video"].shape == (4, 2, 3, 4, 4)
    assert batch.present["video"].tolist() == [True, True, True, False]
    (tmp_path / "own.mp4").write_bytes(samples[0]["mp4"])
    assert np.array_equal(batch.inputs["video"][0], read_video(tmp_path / "own.mp4", 2, 4, 3))
    assert data.on_after_batch_transfer(batch, 0).inputs["video"].is_floating_point()


def test_for_a_batch_that_cannot_be_read_another_sample_stands(tmp_path: Path) -> None:
    bad = [sample(n) | {"png": b""} for n in range(4)]
    file = str(write_shard(tmp_path / "a.tar", [*bad, *map(sample, range(4, 6))]))
    data = ready(by_split(file), batch_size=1, on_error="skip", max_bad_fraction=1.0)
    assert keys(data.val_dataloader(), data) == ["000004"] * 5 + ["000005"]
    none = str(write_shard(tmp_path / "b.tar", bad))
    data = ready(by_split(none), batch_size=4, on_error="skip", max_bad_fraction=1.0)
    with pytest.raises(DataError, match="No sample of the val split can be read"):
        list(data.val_dataloader())


def test_a_field_that_no_sample_has_is_told_with_those_that_they_have(tmp_path: Path) -> None:
    (file,) = write_shards(tmp_path, [5])
    with pytest.raises(
        DataError, match=r"data\.columns\.image=pn: none of the first 5 .*'png'.*json, png, txt"
    ):
        ready(by_split(file), PAIR | {"image": "pn"})
    with pytest.raises(DataError, match=r"json\.caption: .*Did you mean 'json\.captions'"):
        ready(by_split(file), PAIR | {"text": "json.caption"})


@pytest.mark.parametrize(
    ("text", "why"), [(b"\xe9", "txt holds bytes that are not UTF-8"), (b"", "there is nothing in")]
)
def test_a_field_that_no_sample_can_use_is_told_as_such(
    text: bytes, why: str, tmp_path: Path
) -> None:
    file = write_shard(tmp_path / "a.tar", [sample(i) | {"txt": text} for i in range(5)])
    with pytest.raises(
        DataError, match=f"txt: none of the first 5 .* has one that can be used. The first: {why}"
    ):
        ready(by_split([str(file)]), PAIR)


def test_hidden_members_are_never_read(tmp_path: Path) -> None:
    file, members = tmp_path / "a.tar", []
    for n in range(6):
        members += [
            (f"./d/{n}.png", picture()),
            (f"__MACOSX/d/._{n}.png", b"\0"),
            (f"d/._{n}.txt", b"\0"),
        ]
        members += [
            (f"./d/{n}.txt", b"\xef\xbb\xbfa %d" % n),
            (f"d/.ipynb_checkpoints/{n}.png", picture()),
        ]
    add(file, *members)
    data = ready(by_split([str(file)]), PAIR, batch_size=12)
    assert set(data.facts("val").present) == {frozenset(["image", "text"])}
    batch = next(iter(data.val_dataloader()))
    # without the mark of UTF-8
    texts = [data.tokenizer.decode(row) for row in batch.inputs["text"].tolist()]
    assert sorted(text.split() for text in texts) == [["a", str(n)] for n in range(6)]


def test_a_stream_that_gives_nothing_ends_in_time(tmp_path: Path, monkeypatch) -> None:
    (file,) = write_shards(tmp_path, [5])

    def blocked(self, shard):
        import threading

        threading.Event().wait()
        yield

    monkeypatch.setattr(TarShards, "entries", blocked)
    with pytest.raises(DataError, match=r"no sample came within data\.timeout=0\.2 s.*000\.tar"):
        ready(by_split(file), timeout=0.2)


def test_a_record_finds_fields_and_keys() -> None:
    inner = json.dumps({"a": {"b": 1}, "c": None}).encode()
    record = Record(0, "", "", {"json": inner, "seg.png": b"x", "row": {"x": 2}, "jpg": None})
    assert record.find("jpg;seg.png") == ("seg.png", b"x")
    assert record.find("json.c;json.a.b") == ("json.a.b", 1)
    assert record.find("row.x") == ("row.x", 2)
    assert record.find("json.a.b.c") is record.find("txt.a") is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {}}, "names no modality"),
        ({"columns": PAIR | {"split": "json.split"}}, r"data\.columns\.split: a stream"),
        ({"columns": {"tabular": "json.value"}}, r"data\.columns\.tabular: a stream"),
        ({"splits": (0.5, 0.2, 0.2)}, "add up to 1"),
        ({"std": (1.0, 2.0)}, r"data\.std"),
        ({"path": {"training": "a.tar"}}, "train, val, test"),
    ],
)
def test_settings_that_cannot_be(options: dict, message: str, tmp_path: Path) -> None:
    (file,) = write_shards(tmp_path, [5])
    with pytest.raises(ConfigError, match=message):
        ready(**({"path": file} | options))


def test_values_of_json_are_read_as_those_of_tables(tmp_path: Path) -> None:
    inner = [
        {"caption": "plain", "label": True, "scene": 1.0},
        {"caption": float("nan"), "label": "true", "scene": "1"},
        {"caption": ["one ", float("nan")], "label": " False", "scene": float("nan")},
        {"caption": '["two", "three"]', "label": float("nan"), "scene": " 1.00 "},
    ]
    shard = write_shard(
        tmp_path / "0.tar", (sample(number) | {"json": one} for number, one in enumerate(inner))
    )
    columns = {"image": "png", "text": "json.caption", "label": "json.label", "group": "json.scene"}
    data = ready(by_split(str(shard)), columns, class_names=["False", "true"])
    found = [data.reader.read(entry.record) for entry in data.source.entries(0)]
    assert [one.values["text"] for one in found] == [["plain"], None, ["one"], ["two", "three"]]
    assert [one.label for one in found] == [1, 1, 0, -1]
    assert found[0].group == found[1].group == found[3].group != found[2].group
    assert data.class_names == {"label": ["False", "true"]}
    strange = write_shard(
        tmp_path / "1.tar", [sample(0) | {"json": {"caption": "a", "label": "1e39"}}]
    )
    values = ready(by_split(str(strange)), columns, label_kind="value")
    with pytest.raises(DataError, match=r"'1e39' is no finite number of float32"):
        list(values.val_dataloader())


def test_equal_captions_are_positives_of_each_other(tmp_path: Path) -> None:
    """Unless a group is given, or there are two modalities beside the text."""
    rows = [
        sample(i)
        | {
            "txt": ["a dog", "a cat", "A  Dog"][i % 3]
            if i < 3
            else f"a {'cat' if i % 2 else 'dog'}"
        }
        for i in range(6)
    ]
    rows = [row | {"npy": vector(i)} for i, row in enumerate(rows)]
    files = str(write_shard(tmp_path / "a.tar", rows))
    for columns, groups in (
        (PAIR, 2),
        (PAIR | {"group": "json.value"}, 6),
        (PAIR | {"vector": "npy"}, 6),
    ):
        batch = next(iter(ready(by_split(files), columns, batch_size=6).val_dataloader()))
        assert len(set(batch.group.tolist())) == groups
        assert (batch.group[0] == batch.group[2]) == (groups == 2)
        assert batch.group[0] != batch.group[1]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_shards_in_which_nothing_is_a_pair(split: str, tmp_path: Path) -> None:
    """All images, then all texts: each of the members is a sample of its own."""
    good, apart = write_shards(tmp_path / "good", [20]), tmp_path / "apart.tar"
    members = [
        (f"{n}.{ending}", picture() if ending == "png" else b"a")
        for ending in ("png", "txt")
        for n in range(9)
    ]
    add(apart, *members)
    data = ready(dict.fromkeys(("train", "val", "test"), good) | {split: str(apart)})
    with pytest.raises(
        DataError, match=rf"The {split} split: none of its 18 .*: image 9, text 9\. In a tar file"
    ) as error:
        check_data(data, CLIP(["image", "text"]), ["image", "text"], ["train", "val", "test"])
    assert ("test=false" in str(error.value)) == (split == "test")
    check_data(
        data,
        CLIP(["image", "text"]),
        ["image", "text"],
        [n for n in ("train", "val", "test") if n != split],
    )


def test_labels_of_shards_are_looked_at(tmp_path: Path, caplog, monkeypatch) -> None:
    rows = [sample(i) | {"cls": "1", "none": ""} for i in range(30)]
    files = str(write_shard(tmp_path / "a.tar", rows))
    columns, only = PAIR | {"label": "cls"}, Classification("label", 2)
    with pytest.raises(
        DataError,
        match=r"The train split: all of its 30 labels are the same \(data.columns.label=cls\)",
    ):
        check_data(ready(by_split(files), columns), only, ["image"], ["train"])
    with pytest.raises(DataError, match=r"The test split: none of its 30 samples has a label"):
        check_data(ready(by_split(files), PAIR | {"label": "none"}), only, ["image"], ["test"])
    monkeypatch.setattr(stream_preview, "ENOUGH", 10)  # the rest may hold others: it is only said
    check_data(ready(by_split(files), columns, tokenizer_samples=5), only, ["image"], ["train"])
    assert "all of its first 10 labels are the same" in caplog.text


def test_a_training_may_do_without_test_shards(tmp_path: Path) -> None:
    files = write_shards(tmp_path, [10, 10])
    path = {"train": files[0], "val": files[1]}
    with pytest.raises(
        ConfigError, match=r"no test: give data.path.test=<path>. To do without it: test=false"
    ):
        ready(path)
    data = WebDataset(path, PAIR, image_size=4, vocab_size=300)
    data.wanted = ("train", "val")
    data.setup()
    assert set(data.previews) == {"train", "val"}
    # of other data: all of them
    whole = WebDataset(files, PAIR, image_size=4, vocab_size=300, splits=[0.0, 0.0, 1.0])
    whole.wanted = ("test",)
    whole.tokenizer = data.tokenizer
    whole.setup("test")
    ids = torch.cat([batch.id for batch in whole.test_dataloader()])
    assert whole.counted(ids.numpy()) == (20, None)
