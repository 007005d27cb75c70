"""Your own data: what the table says is what the batches hold."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from tests.data.manifests import COLOURS, PAIR, make_pairs, ready, whole, write_csv, write_jsonl

from polymodal.batch import PAD
from polymodal.data.loading.dataset import BatchIndices
from polymodal.data.loading.splits import hashed_splits
from polymodal.data.manifest import Manifest
from polymodal.errors import ConfigError, DataError


def captions_of(data: Manifest, batch) -> list[str]:
    """What the tokens say, without blanks: the tokenizer puts one before every digit."""
    return [joined(data.tokenizer.decode(row.tolist())) for row in batch.inputs["text"]]


def joined(caption: str) -> str:
    return caption.replace(" ", "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("pairs")


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict]:
    return make_pairs(folder)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_same_batches(ending: str, folder: Path, rows: list[dict]) -> None:
    file = folder / f"pairs.{ending}"
    if ending == "jsonl":
        write_jsonl(file, rows)
    elif ending == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), file)
    else:
        write_csv(file, rows, "\t" if ending == "tsv" else ",")
    data = ready(file, PAIR | {"label": "class"})
    assert sum(map(len, (data.train_set, data.val_set, data.test_set))) == len(rows)
    assert data.class_names == {"label": sorted(COLOURS)}
    for dataset in (data.train_set, data.val_set, data.test_set):
        batch = whole(dataset)
        assert batch.inputs["image"].dtype == torch.uint8
        assert batch.inputs["image"].shape[1:] == (3, 8, 8)
        captions = captions_of(data, batch)
        for index in range(len(batch)):
            row = rows[int(batch.items["image"][index])]
            assert captions[index] == joined(row["caption"])
            assert data.class_names["label"][batch.labels["label"][index]] == row["class"]
            mean = batch.inputs["image"][index].float().mean((1, 2))
            assert torch.allclose(mean, torch.tensor(COLOURS[row["class"]]).float(), atol=15)
            assert data.describe("text", int(batch.items["text"][index])) == row["caption"]
            shown = data.describe("image", int(batch.items["image"][index]))
            assert np.array_equal(shown.transpose(2, 0, 1), batch.inputs["image"][index])
        assert batch.present == {}
        assert len(batch.group.unique()) == len(batch)


def test_text_stays_text(folder: Path) -> None:
    """Numbers, line breaks, quotes and words such as NA are captions as they stand."""
    captions = ["007", "NA", "nan", "null", 'two\nlines, "quoted"', "true", "2020-01-01", "1e5"] * 4
    data = ready(
        write_csv(folder / "odd.csv", [{"caption": c} for c in captions]), {"text": "caption"}
    )
    assert data.samples.contents["text"].texts.to_pylist() == captions


def test_workers_load_the_same(folder: Path, rows: list[dict]) -> None:
    file = write_csv(folder / "workers.csv", rows)
    data, two = (
        ready(file, num_workers=n, batch_size=8, image_cache=str(folder / "cache")) for n in (0, 2)
    )
    for a, b in zip(data.train_dataloader(), two.train_dataloader(), strict=True):
        assert torch.equal(a.inputs["image"], b.inputs["image"])
        assert torch.equal(a.inputs["text"], b.inputs["text"])
        assert torch.equal(a.id, b.id)


def test_an_empty_cell_is_an_absent_modality(folder: Path, rows: list[dict]) -> None:
    holes = [dict(row) for row in rows]
    for index, row in enumerate(holes):
        row["caption"] = "" if index % 3 == 0 else row["caption"]
        row["filepath"] = "" if index % 3 == 1 else row["filepath"]
    for file in (
        write_csv(folder / "holes.csv", holes),
        write_jsonl(folder / "holes.jsonl", holes),
    ):
        data = ready(file, PAIR)
        batch = whole(data.train_set)
        number = batch.items["image"] % 3
        assert torch.equal(batch.present["text"], number != 0)
        assert torch.equal(batch.present["image"], number != 1)
        assert not batch.inputs["image"][number == 1].any()
        assert (batch.inputs["text"][number == 0] == PAD).all()
        assert (batch.inputs["text"][number == 1][:, 0] != PAD).all()


@pytest.mark.parametrize("how", ["list", "id"])
def test_several_captions_are_sampled_in_training_and_all_used_in_evaluation(
    how: str, folder: Path, rows: list[dict]
) -> None:
    counts = [1 + index % 3 for index in range(len(rows))]
    captions = [
        [f"{row['class']} {index} way {k}" for k in range(counts[index])]
        for index, row in enumerate(rows)
    ]
    if how == "list":
        listed = [
            {"filepath": row["filepath"], "caption": c}
            for row, c in zip(rows, captions, strict=True)
        ]
        data = ready(write_jsonl(folder / "several.jsonl", listed))
    else:  # rows of one id need not stand together
        repeated = [
            {"filepath": row["filepath"], "caption": c[k]}
            for k in range(3)
            for row, c in zip(rows, captions, strict=True)
            if k < len(c)
        ]
        data = ready(write_csv(folder / "several.csv", repeated), PAIR | {"id": "filepath"})
    assert len(data.samples.row) == len(rows)
    test = whole(data.test_set)
    shown = Counter(test.items["image"].tolist())
    assert shown == {sample: counts[sample] for sample in shown}
    assert sorted(captions_of(data, test)) == sorted(
        joined(c) for sample in shown for c in captions[sample]
    )
    assert len(test.id.unique()) == len(test)
    assert len(test.items["text"].unique()) == len(test)
    for image, group in zip(test.items["image"], test.group, strict=True):
        assert (test.group[test.items["image"] == image] == group).all()
    seen = Counter()
    for epoch in range(30):
        batch = data.train_set[BatchIndices(range(len(data.train_set)), epoch)]
        assert len(batch.items["image"].unique()) == len(data.train_set)
        seen.update(captions_of(data, batch))
    assert set(seen) == {joined(c) for sample in data.train_set.chosen for c in captions[sample]}


def test_splits_by_column(folder: Path, rows: list[dict]) -> None:
    names = ["train", "validation", "test", "Train", "dev"]
    named = [row | {"part": names[index % 5]} for index, row in enumerate(rows)]
    data = ready(write_csv(folder / "column.csv", named), PAIR | {"split": "part"})
    for dataset, numbers in (
        (data.train_set, {0, 3}),
        (data.val_set, {1, 4}),
        (data.test_set, {2}),
    ):
        assert set((whole(dataset).items["image"] % 5).tolist()) == numbers


def test_splits_by_file_each_with_its_own_folder(tmp_path: Path) -> None:
    path = {}
    for name, count in (("train", 8), ("val", 4), ("test", 6)):
        (tmp_path / name).mkdir()
        path[name] = str(
            write_csv(tmp_path / name / "pairs.csv", make_pairs(tmp_path / name, count))
        )
    data = ready(path)
    assert [len(part) for part in (data.train_set, data.val_set, data.test_set)] == [8, 4, 6]
    assert whole(data.test_set).inputs["image"].any()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=40, unique=True),
    st.integers(0, 39),
)
def test_a_groups_split_depends_on_its_name_alone(names: list[str], which: int) -> None:
    name = names[which % len(names)]
    together = hashed_splits(pa.array(names, pa.large_string()), (0.6, 0.2, 0.2))
    alone = hashed_splits(pa.array([name], pa.large_string()), (0.6, 0.2, 0.2))
    assert together[names.index(name)] == alone[0]


def test_hashed_splits_have_their_shares() -> None:
    split = hashed_splits(
        pa.array([f"group {n}" for n in range(20_000)], pa.large_string()), (0.7, 0.2, 0.1)
    )
    assert np.allclose(np.bincount(split) / 20_000, (0.7, 0.2, 0.1), atol=0.01)


def test_no_group_is_in_two_splits(folder: Path, rows: list[dict]) -> None:
    grouped = [row | {"scene": f"scene {index // 3}"} for index, row in enumerate(rows)]
    data = ready(
        write_csv(folder / "groups.csv", grouped),
        PAIR | {"group": "scene"},
        splits=(0.5, 0.25, 0.25),
    )
    batches = [whole(part) for part in (data.train_set, data.val_set, data.test_set)]
    for batch in batches:
        assert len(batch.group.unique()) * 3 == len(batch)
        assert len((batch.items["image"] // 3).unique()) * 3 == len(batch)
    assert sum(len(batch.group.unique()) for batch in batches) == len(
        torch.cat([b.group for b in batches]).unique()
    )
    # the same image in several rows is of one group without being told
    twice = write_csv(folder / "twice.csv", rows + [row | {"caption": "again"} for row in rows])
    data = ready(twice)
    for part in (data.train_set, data.val_set, data.test_set):
        assert Counter(Counter(whole(part).group.tolist()).values()).keys() == {2}


def test_a_torn_group_is_refused(folder: Path, rows: list[dict]) -> None:
    torn = [
        row | {"part": "train" if index < 40 else "val" if index < 50 else "test"}
        for index, row in enumerate(rows)
    ]
    torn[55]["filepath"] = torn[3]["filepath"]
    with pytest.raises(DataError, match=r"images/003\.png.*train and test"):
        ready(write_csv(folder / "torn.csv", torn), PAIR | {"split": "part"})


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_labels_of_every_kind(ending: str, folder: Path, rows: list[dict]) -> None:
    for index, row in enumerate(rows):
        tags = ["odd"] * (index % 2) + ["third"] * (index % 3 == 0)
        row["many"] = tags if ending == "jsonl" else "|".join(tags)
        row["digit"] = str(index % 12) if index != 7 else ""
    file = folder / f"labels.{ending}"
    (write_jsonl if ending == "jsonl" else write_csv)(file, rows)
    number = ready(file).samples.row

    digits = ready(file, PAIR | {"label": "digit"})
    assert digits.class_names["label"] == [str(n) for n in range(12)]
    assert digits.samples.labels["label"].tolist() == [n % 12 if n != 7 else -1 for n in number]

    values = ready(file, PAIR | {"label": "value"}, label_kind="value")
    assert np.allclose(values.samples.labels["label"], number / len(rows))
    pairs = ready(file, PAIR | {"label": ["value", "digit"]}, label_kind="value")
    assert pairs.samples.labels["label"].shape == (len(rows), 2)
    assert np.isnan(pairs.samples.labels["label"][7]).tolist() == [False, True]

    tags = ready(file, PAIR | {"label": "many"}, label_kind="tags")
    assert tags.class_names["label"] == ["odd", "third"]
    expected = [[n % 2, int(n % 3 == 0)] for n in number]
    assert tags.samples.labels["label"].tolist() == expected
    assert whole(tags.train_set).labels["label"].dtype == torch.long


def test_a_table_is_standardised_and_its_categories_are_codes(folder: Path) -> None:
    random = np.random.default_rng(0)
    rows = [
        {
            "part": part,
            "age": "" if n == 3 else 40 + 10 * random.normal(),
            "one": 5,
            "sex": "fm"[n % 2],
        }
        for part in ("train", "val", "test")
        for n in range(30)
    ]
    rows[70]["sex"] = "x"  # never seen in training
    rows[5].update(age="", one="", sex="")
    columns = {"tabular": ["age", "one", "sex"], "split": "part"}
    data = ready(write_csv(folder / "table.csv", rows), columns, numeric=2, cardinalities=[2])
    batch = whole(data.train_set)
    table = batch.inputs["tabular"]
    known = ~table[:, 0].isnan()
    assert table[known, 0].mean().item() == pytest.approx(0, abs=1e-6)
    assert table[known, 0].std(correction=0).item() == pytest.approx(1, abs=1e-6)
    assert table[:5, 1].tolist() == [0] * 5  # a column without any spread
    assert table[:6, 2].tolist() == [0, 1, 0, 1, 0, -1]
    assert known.tolist() == [n not in (3, 5) for n in range(30)]
    assert batch.present["tabular"].tolist() == [n != 5 for n in range(30)]
    assert whole(data.test_set).inputs["tabular"][10, 2] == -1
    with pytest.raises(ConfigError, match=r"cardinalities=\[1\].*\[2\]"):
        ready(folder / "table.csv", columns, numeric=2, cardinalities=[1])
    with pytest.raises(ConfigError, match="3 columns.*make 2"):
        ready(folder / "table.csv", columns, numeric=2)


def test_sounds_and_vectors_are_read_and_padded(tmp_path: Path) -> None:
    random, rows = np.random.default_rng(0), []
    for n in range(30):
        soundfile.write(tmp_path / f"{n}.wav", np.full(100 + n, 0.5), 1000)
        np.save(tmp_path / f"{n}.npy", random.normal(size=5))
        rows.append(
            {
                "sound": f"{n}.wav" if n % 4 else "",
                "features": f"{n}.npy" if n % 3 else "",
                "caption": f"no {n}",
            }
        )
    columns = {"audio": "sound", "clip": "features", "text": "caption"}
    data = ready(
        write_csv(tmp_path / "a.csv", rows),
        columns,
        kinds={"clip": "vector"},
        sample_rate=1000,
        max_seconds=0.12,
    )
    batch = whole(data.train_set)
    for index, n in enumerate(batch.items["audio"].tolist()):
        length = min(100 + n, 120) if n % 4 else 0
        assert batch.inputs["audio"][index].count_nonzero() == length
        assert batch.present["audio"][index] == bool(n % 4)
        vector = np.load(tmp_path / f"{n}.npy").astype(np.float32) if n % 3 else np.zeros(5)
        assert np.array_equal(batch.inputs["clip"][index], vector)
    assert batch.inputs["clip"].dtype == torch.float32


def test_pictures_become_floats_on_the_device(folder: Path, rows: list[dict]) -> None:
    data = ready(write_csv(folder / "floats.csv", rows), mean=(0.1, 0.2, 0.3), std=(0.5,), flip=1.0)
    batch = whole(data.val_set)
    before = batch.inputs["image"].clone()
    after = data.on_after_batch_transfer(batch, 0).inputs["image"]
    assert torch.allclose(
        after, (before / 255 - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / 0.5, atol=1e-6
    )
    assert data.varying == ["image"]


def test_what_was_learned_goes_with_the_checkpoint(folder: Path, rows: list[dict]) -> None:
    columns = PAIR | {"label": "class", "tabular": ["value"]}
    data = ready(write_csv(folder / "first.csv", rows), columns, numeric=1)
    other = Manifest(
        str(write_csv(folder / "second.csv", rows[1::2])), columns, numeric=1, image_size=8
    )
    other.load_state_dict(data.state_dict())
    other.setup()
    assert other.class_names == data.class_names
    assert other.learned == data.learned
    assert other.tokenizer.to_json() == data.tokenizer.to_json()
    strange = Manifest(
        str(write_csv(folder / "third.csv", [r | {"class": "pink"} for r in rows])),
        columns,
        numeric=1,
    )
    strange.load_state_dict(data.state_dict())
    with pytest.raises(
        DataError, match=r"60 of 60 values were not in training: 'pink'\. Known are 'blue', 'green'"
    ):
        strange.setup()


def test_captions_are_put_into_templates(folder: Path, rows: list[dict]) -> None:
    templates = ("an image of {}.", "{}, seen once")
    several = [
        row | {"class": [row["class"], "thing"]} if n % 2 else row | {"class": [row["class"]]}
        for n, row in enumerate(rows)
    ]
    file = write_jsonl(folder / "templates.jsonl", several)
    columns = {"image": "filepath", "text": "class"}
    data = ready(file, columns, templates=templates)
    content = data.samples.contents["text"]
    assert content.count.tolist() == [4 if n % 2 else 2 for n in range(len(rows))]
    assert len(content.texts) == 5 * 2  # four colours and "thing": equal captions are one item
    for sample, row in enumerate(several):
        items = [content.item(sample, turn) for turn in range(content.count[sample])]
        assert [content.show(item) for item in items] == [
            t.format(word) for word in row["class"] for t in templates
        ]
        assert content.item(sample, 400) == items[0]
        assert joined(data.tokenizer.decode(content.read(items[1]).tolist())) == joined(
            content.show(items[1])
        )
    some = np.arange(len(rows)) == 1
    assert sorted(content.of_samples(some).to_pylist()) == sorted(
        t.format(word) for word in several[1]["class"] for t in templates
    )
    with pytest.raises(ConfigError, match="'an image' needs one {}"):
        ready(file, columns, templates=["an image"])


def test_evaluation_may_take_the_first_captions_alone(folder: Path, rows: list[dict]) -> None:
    listed = [
        row | {"caption": [f"{row['class']} {k}" for k in range(1 + n % 3)]}
        for n, row in enumerate(rows)
    ]
    file = write_jsonl(folder / "first.jsonl", listed)
    all, two = ready(file), ready(file, eval_captions=2)
    assert len(two.train_set) == len(all.train_set)
    samples = two.test_set.samples.turns
    assert (
        len(two.test_set)
        == np.minimum(samples[all.test_set.chosen[all.test_set.turn == 0]], 2).sum()
        < len(all.test_set)
    )
    assert set(whole(two.test_set).id.tolist()) < set(whole(all.test_set).id.tolist())
    assert {
        caption
        for _ in range(30)
        for caption in captions_of(two, whole(two.train_set))
        if caption[-1] == "2"
    }


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_column_may_be_called_by_a_number(ending: str, folder: Path, rows: list[dict]) -> None:
    """Tables without a header, or with a reset index, have a column 0: YAML and the command line
    read a number."""
    numbered = [
        {"0": row["filepath"], "1": row["class"], "2": index, "3": index // 2, "-1": "x"}
        for index, row in enumerate(rows)
    ]
    file = folder / f"numbered.{ending}"
    if ending == "csv":
        write_csv(file, numbered)
    else:
        parquet.write_table(pa.Table.from_pylist(numbered), file)
    by_name = {"image": "0", "label": "1", "tabular": ["2", "3"], "group": "3"}
    named = ready(file, by_name, numeric=2)
    numbers = ready(
        file,
        {"image": 0, "label": 1, "tabular": [2, 3], "group": 3, "id": None, "split": ""},
        numeric=2,
    )
    assert numbers.class_names == {"label": sorted(COLOURS)}
    assert len(set(numbers.samples.group.tolist())) == len(rows) // 2
    for one, other in ((named.train_set, numbers.train_set), (named.test_set, numbers.test_set)):
        assert torch.equal(whole(one).inputs["tabular"], whole(other).inputs["tabular"])
        assert torch.equal(whole(one).group, whole(other).group)
    with pytest.raises(ConfigError, match=r"data.columns.group=4: .* has no such column"):
        ready(file, {"image": 0, "group": 4})
