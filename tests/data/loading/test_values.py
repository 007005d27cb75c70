"""One text per value: a table says the same in CSV, TSV, JSON lines and Parquet."""

import datetime as dt
import json
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from tests.data.manifests import ready, write_csv, write_jsonl
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers

from polymodal.data.loading.arrow import as_names, as_numbers, as_text, with_lists
from polymodal.data.loading.bad_samples import BadSampleError, Skips
from polymodal.data.loading.values import listed, name_of, number_of, text_of
from polymodal.data.manifest import Manifest
from polymodal.data.media.formats import read_vector
from polymodal.data.stream.reader import as_class, as_value
from polymodal.data.stream.records import Record
from polymodal.data.table.files import read_tables
from polymodal.data.table.rows import Rows
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.errors import DataError

FORMATS = ["csv", "tsv", "jsonl", "parquet"]

MOMENTS = st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2100, 1, 1))
WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs", "Cc"]),
    min_size=1,
)
COLUMNS = {
    "flag": st.booleans(),
    "count": st.integers(-(2**63), 2**63 - 1),
    "holes": st.none() | st.integers(-(2**53), 2**53).map(float),
    "number": st.none() | st.floats(width=64, allow_nan=False, allow_infinity=False),
    "day": st.none() | st.dates(dt.date(1970, 1, 1), dt.date(2100, 1, 1)),
    "moment": st.none()
    | MOMENTS
    | MOMENTS.map(lambda moment: moment.replace(hour=0, minute=0, second=0, microsecond=0)),
    "zoned": MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.timezone(dt.timedelta(hours=2)))),
    "price": st.decimals(-9999, 9999, places=2),
    "word": st.none()
    | WORDS.filter(
        lambda word: word == word.strip() and word.lower() not in ("nan", "true", "false")
    ),
}

SCHEMA = pa.schema(
    {
        "flag": pa.bool_(),
        "count": pa.int64(),
        "holes": pa.float64(),
        "number": pa.float64(),
        "day": pa.date32(),
        "moment": pa.timestamp("us"),
        "zoned": pa.timestamp("us", "+02:00"),
        "price": pa.decimal128(10, 2),
        "word": pa.string(),
    }
)


@st.composite
def frames(draw) -> dict[str, list]:
    size = draw(st.integers(1, 8))
    return {
        name: draw(st.lists(value, min_size=size, max_size=size)) for name, value in COLUMNS.items()
    }


def write(frame: dict[str, list], folder: Path) -> list[Path]:
    """The frame as pandas writes it; JSON lines as Python does."""
    files = [folder / f"table.{ending}" for ending in FORMATS]
    table = pa.table(frame, SCHEMA)
    whole = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    whole.to_csv(files[0], index=False)
    whole.to_csv(files[1], index=False, sep="\t")

    def plain(value: object) -> object:
        return float(value) if isinstance(value, Decimal) else str(value)

    files[2].write_text("".join(json.dumps(row, default=plain) + "\n" for row in table.to_pylist()))
    words = table["word"].dictionary_encode()
    parquet.write_table(table.set_column(table.column_names.index("word"), "word", words), files[3])
    return files


def columns_of(file: Path, names: list[str]) -> Rows:
    table = read_tables([file], dict.fromkeys(names, "data.columns.x"))
    return Rows(table, Skips(len(table), table.places, "raise", 0.0))


@settings(max_examples=60, deadline=None)
@given(frames())
def test_names_and_numbers_are_equal_in_all_formats(
    tmp_path_factory, frame: dict[str, list]
) -> None:
    files = write(frame, tmp_path_factory.mktemp("frame"))
    read = [columns_of(file, list(COLUMNS)) for file in files]
    for name in COLUMNS:
        expected = read[3].names(name).to_pylist()
        for file, rows in zip(files, read, strict=True):
            assert rows.names(name).to_pylist() == expected, (file.suffix, name)
        # equal values are equal names, and others are not
        values = [
            None if isinstance(value, float) and math.isnan(value) else value
            for value in frame[name]
        ]
        assert len(set(expected)) == len(set(values))
    for name in ("flag", "count", "holes", "price"):
        expected = np.array(
            [[math.nan if value is None else float(value)] for value in frame[name]]
        )
        for rows in read:
            assert np.array_equal(rows.numbers([name]), expected, equal_nan=True)


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (["True", "true", "TRUE", " true"], "True"),
        (["1", "1.0", "1.00", " 1 ", "1.0e+0"], "1"),
        (["1.5", "1.50"], "1.5"),
        (["100000000000000000000", "1e+20"], "100000000000000000000"),
        (["0.0000001", "1e-07", "1e-7"], "0.0000001"),
        (["0", "-0.0"], "0"),
        (["2024-01-31", "2024-01-31 00:00:00", "2024-01-31T00:00:00.000"], "2024-01-31"),
        (["2024-01-31 12:30:00", "2024-01-31T12:30:00.000000"], "2024-01-31 12:30:00"),
        (["2024-01-31T00:30:00Z", "2024-01-31 02:30:00+02:00"], "2024-01-31 00:30:00+00:00"),
        (["12:30:00", "12:30:00.000000"], "12:30:00"),
        (["cat", " cat", "cat\t"], "cat"),
        (["caf\u00e9", "cafe\u0301 "], "caf\u00e9"),
    ],
)
def test_equal_values_have_one_name(texts: list[str], name: str) -> None:
    assert {name_of(text) for text in texts} == {name}
    assert set(as_names(pa.array(texts, pa.large_string()))[0].to_pylist()) == {name}


@pytest.mark.parametrize(
    "text",
    ["007", "+5", "12e45", "1e5", "v1.0", "1.0.0", "2024-02-31 00:00:00", "1,5", "nan", "NA", "²"],
)
def test_other_texts_stay(text: str) -> None:
    assert name_of(text) == text
    assert as_names(pa.array([text], pa.large_string()))[0].to_pylist() == [text]


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=30)
    | st.from_regex(r"[-+]?[0-9]{1,4}\.?[0-9]{0,4}([eE][-+]?[0-9]{1,3})?", fullmatch=True)
)
def test_columns_and_single_values_are_named_by_one_rule(text: str) -> None:
    name = name_of(text)
    assert name_of(name) == name
    assert as_names(pa.array([text], pa.large_string()))[0].to_pylist() in (
        [name or None],
        [text.strip() or None],
    )
    if text == text.strip() and text.isascii():
        assert as_names(pa.array([text], pa.large_string()))[0].to_pylist() == [name or None]


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_floats_of_any_width_are_written_as_python_does(kind: pa.DataType) -> None:
    values = pa.array(np.array([1.0, 0.5, np.nan, -2.25]), pa.float64()).cast(kind)
    assert as_text(values)[0].to_pylist() == ["1.0", "0.5", None, "-2.25"]
    assert as_text(pa.array([0.1], pa.float32()))[0].to_pylist() == ["0.1"]
    assert as_names(values)[0].to_pylist() == ["1", "0.5", None, "-2.25"]


def test_equal_numbers_in_two_spellings_are_told(tmp_path: Path) -> None:
    file = write_csv(
        tmp_path / "a.csv", [{"version": text} for text in ("1.10", "1.1", "2.0", "3.50")]
    )
    rows = columns_of(file, ["version"])
    assert rows.names("version").to_pylist() == ["1.1", "1.1", "2", "3.5"]
    assert rows.notes == [
        "Column version: equal numbers and dates are one value: '1.10' as '1.1' is read."
    ]


@pytest.mark.parametrize("file", FORMATS)
def test_numbers_that_float32_does_not_hold_are_named(file: str, tmp_path: Path) -> None:
    rows = [{"x": 1.5, "y": index} for index in range(20)]
    rows[4]["x"] = 1e39
    path = tmp_path / f"a.{file}"
    if file == "jsonl":
        write_jsonl(path, rows)
    elif file == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        write_csv(path, rows, "\t" if file == "tsv" else ",")
    columns = {"tabular": ["x"], "label": "y"}
    for options in ({"numeric": 1, "label_kind": "class"}, {"numeric": 1, "label_kind": "value"}):
        with pytest.raises(DataError, match=r"row 5: x='?1e\+?39'? is no finite number of float32"):
            ready(path, columns, **options)
    data = ready(path, columns, numeric=1, on_error="skip", max_bad_fraction=0.1)
    assert len(data.samples.row) == 19
    assert data.samples.skips.counts() == {"bad number": 1}
    with pytest.raises(DataError, match="row 5: x="):
        ready(path, {"tabular": ["y"], "label": "x"}, numeric=1, label_kind="value")


@pytest.mark.parametrize(
    "value", [1e39, "1e39", math.inf, "Infinity", "1_0", "three", 10**400, b"nan"]
)
def test_numbers_of_streams_that_float32_does_not_hold(value: object) -> None:
    with pytest.raises(BadSampleError, match="no finite number"):
        as_value(value)


def test_values_of_streams() -> None:
    assert [as_value(value) for value in (True, "False", b" 1.5\n", 2, "1e3")] == [
        1,
        0,
        1.5,
        2,
        1000,
    ]
    assert all(math.isnan(as_value(value)) for value in (None, math.nan, "", "  "))
    names = ["1", "True", "cat"]
    assert [
        as_class(value, names) for value in (1.0, "1.0", True, b"true\n", " cat ", math.nan, None)
    ] == [
        *(0, 0, 1, 1, 2),
        *(-1, -1),
    ]
    assert text_of(dt.datetime(2024, 1, 31)) == text_of(dt.date(2024, 1, 31)) == "2024-01-31"
    assert number_of(Decimal("2.50")) == 2.5


def test_nan_in_json_is_nothing() -> None:
    record = Record(0, "a", "a", {"json": b'{"caption": NaN, "alt": "a cat", "list": [NaN, "b"]}'})
    assert record.find("json.caption") is None
    assert record.find("json.caption;json.alt") == ("json.alt", "a cat")


def test_nan_in_tables_of_json_is_nothing(tmp_path: Path) -> None:
    lines = [
        '{"caption": NaN, "n": 1, "c": "x"}',
        '{"caption": ["a", NaN], "n": NaN, "c": NaN}',
        '{"caption": "b"}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    rows = columns_of(tmp_path / "a.jsonl", ["caption", "n", "c"])
    texts, row = rows.captions(["caption"], 100)
    assert [
        (text, of) for text, of in zip(texts.to_pylist(), row.tolist(), strict=True) if text
    ] == [
        ("a", 1),
        ("b", 2),
    ]
    assert np.array_equal(rows.numbers(["n"]), [[1], [np.nan], [np.nan]], equal_nan=True)
    assert rows.names("c").to_pylist() == ["x", None, None]


def test_the_word_nan_stays_and_is_told(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", [{"caption": text} for text in ("nan", "a", "nan")])
    rows = columns_of(file, ["caption"])
    assert rows.captions(["caption"], 100)[0].to_pylist() == ["nan", "a", "nan"]
    assert "2 captions are the word 'nan'" in rows.notes[0]


ITEMS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=4)


@settings(max_examples=300, deadline=None)
@given(ITEMS)
def test_lists_that_are_written_as_text(items: list[str]) -> None:
    assert listed(json.dumps(items)) == items
    assert listed(str(items)) == items
    assert listed(f" {json.dumps(items, ensure_ascii=False)}\n") == items


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("abc ,'\"[]é", max_size=6), min_size=1, max_size=5))
def test_lists_as_pandas_writes_those_of_parquet(items: list[str]) -> None:
    """Such a cell is an array of NumPy, whose text has no commas."""
    assert listed(str(np.array(items, dtype=object))) == items


@pytest.mark.parametrize(
    "text",
    [
        "[a dog]",
        "[0, 10)",
        "['a'",
        "[[1], [2]]",
        "[1, {}]",
        "[" * 5000 + "]" * 5000,
        "a [b]",
        "['a' b]",
    ],
)
def test_texts_that_are_no_lists(text: str) -> None:
    assert listed(text) is None


@settings(max_examples=100, deadline=None)
@given(ITEMS)
def test_tuples_and_sets_of_texts_are_lists(items: list[str]) -> None:
    assert listed(str(tuple(items))) == items
    assert listed(str(set(items))) == sorted(set(items))


@pytest.mark.parametrize(
    "text", ["(a dog)", "('a dog')", "(1, 2)", "('a', 1)", "{'a': 'b'}", "{'a', 1}", "('a'"]
)
def test_other_brackets_are_text(text: str) -> None:
    assert listed(text) is None


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_an_empty_text_in_a_list_is_none(ending: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"caption": [["a", ""], [""], ["b"]], "class": ["x"] * 3})
    file = tmp_path / f"a.{ending}"
    if ending in ("csv", "tsv"):
        frame.to_csv(file, index=False, sep="," if ending == "csv" else "\t")
    elif ending == "jsonl":
        frame.to_json(file, orient="records", lines=True)
    else:
        frame.to_parquet(file)
    texts, row = columns_of(file, ["caption"]).captions(["caption"], 100)
    assert texts.to_pylist() == ["a", None, None, "b"]
    assert row.tolist() == [0, 0, 1, 2]


def test_lists_of_lists_are_told(tmp_path: Path) -> None:
    rows = columns_of(
        write_csv(
            tmp_path / "a.csv", [{"caption": text} for text in ("[['a']]", "[b]", "[('c',)]")]
        ),
        ["caption"],
    )
    assert rows.captions(["caption"], 100)[0].to_pylist() == ["[['a']]", "[b]", "[('c',)]"]
    assert (
        "2 cells look like lists of lists, and are read as text. The first: \"[['a']]\""
        in rows.notes[0]
    )


def test_a_duration_is_no_name() -> None:
    with pytest.raises(DataError, match="not duration"):
        as_names(pa.array([1, 2], pa.duration("s")))


def test_lists_among_texts_keep_their_rows() -> None:
    text = pa.array(
        ["a", '["b", "c"]', None, "[]", "['d']", "[e]", "('f', 'g')"], pa.large_string()
    )
    items, row, lists = with_lists(text)
    assert items.to_pylist() == ["a", "b", "c", None, "d", "[e]", "f", "g"]
    assert row.tolist() == [0, 1, 1, 2, 4, 5, 6, 6]
    assert lists


def test_numbers_of_every_type() -> None:
    for column in (
        pa.array(["True", "FALSE", "", None, "1.5"], pa.large_string()),
        pa.array([1.0, 0.0, np.nan, None, 1.5]),
        pa.array([Decimal("1.0"), Decimal("0.0"), None, None, Decimal("1.5")]),
    ):
        values, bad = as_numbers(column)
        assert np.array_equal(values, [1, 0, np.nan, np.nan, 1.5], equal_nan=True)
        assert not len(bad)
    assert as_numbers(pa.array([True, None]))[0].tolist()[0] == 1
    assert as_numbers(pa.array([1.0, np.inf, -1e39, 3.4e38]))[1].tolist() == [1, 2]


def tags(ending: str, cells: list, folder: Path) -> list[list[int]]:
    file = folder / f"tags.{ending}"
    rows = [{"text": f"word {index}", "tags": cell} for index, cell in enumerate(cells)]
    if ending == "jsonl":
        write_jsonl(file, rows)
    elif ending == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), file)
    else:
        pd.DataFrame(rows).to_csv(file, index=False, sep="\t" if ending == "tsv" else ",")
    data = ready(file, {"text": "text", "label": "tags"}, label_kind="tags")
    assert data.class_names["label"] == ["a", "b c"]
    return data.samples.labels["label"].tolist()


@pytest.mark.parametrize("ending", FORMATS)
def test_no_tag_is_not_an_unknown_tag(ending: str, tmp_path: Path) -> None:
    lists = [["a"], [], None, ["b c", " a"], ["a"], [], None, ["a"]] * 3
    assert (
        tags(ending, lists, tmp_path)
        == [[1, 0], [0, 0], [-1, -1], [1, 1], [1, 0], [0, 0], [-1, -1], [1, 0]] * 3
    )
    texts = ["a", "", None, "b c| a", "a", "", None, "a"] * 3
    assert (
        tags(ending, texts, tmp_path)
        == [[1, 0], [0, 0], [0, 0], [1, 1], [1, 0], [0, 0], [0, 0], [1, 0]] * 3
    )


@pytest.mark.parametrize("ending", FORMATS)
def test_unknown_values_of_a_new_table_are_counted_and_named(
    ending: str, tmp_path: Path, caplog
) -> None:
    columns = {"tabular": ["smoker"], "label": "class"}
    rows = [
        {"smoker": str(bool(index % 2)), "class": ["ill", "well "][index % 2]}
        for index in range(60)
    ]
    trained = ready(write_csv(tmp_path / "train.csv", rows), columns, cardinalities=[2])
    assert trained.class_names["label"] == ["ill", "well"]
    new = [{"smoker": bool(index % 2), "class": "well"} for index in range(30)]
    file = tmp_path / f"new.{ending}"
    table = pa.Table.from_pylist(new)
    if ending == "parquet":
        parquet.write_table(table, file)
    elif ending == "jsonl":
        write_jsonl(file, new)
    else:
        table.to_pandas().to_csv(file, index=False, sep="\t" if ending == "tsv" else ",")

    def opened(path: Path) -> Manifest:
        data = Manifest(
            str(path), columns, cardinalities=[2], on_error="skip", max_bad_fraction=1.0
        )
        data.load_state_dict(trained.state_dict())
        data.setup()
        return data

    data = opened(file)
    assert data.samples.contents["tabular"].values[:, 0].tolist() == [
        index % 2 for index in range(30)
    ]
    assert data.samples.labels["label"].tolist() == [1] * 30
    assert not caplog.messages
    strange = [
        row | ({"smoker": "yes"} if index < 4 else {"class": "dead"} if index < 6 else {})
        for index, row in enumerate(rows)
    ]
    opened(write_csv(tmp_path / "strange.csv", strange))
    assert caplog.messages[0].endswith(
        "smoker: 4 of 60 values were not in training: 'yes'. Known are 'False', 'True'."
    )
    assert caplog.messages[1].endswith(
        "class: 2 of 60 values were not in training: 'dead'. Known are 'ill', 'well'."
    )


def test_a_model_that_knows_names_with_blanks_is_still_read(tmp_path: Path) -> None:
    rows = [{"text": f"word {index}", "class": ["cat ", "1.0"][index % 2]} for index in range(40)]
    data = Manifest(str(write_csv(tmp_path / "a.csv", rows)), {"text": "text", "label": "class"})
    data.learned = {"label": ["1.0", "cat "]}
    data.setup()
    assert data.samples.labels["label"].tolist() == [1, 0] * 20


def test_parts_of_several_formats_are_one_table(tmp_path: Path) -> None:
    rows = [{"text": f"word {index}", "class": bool(index % 2), "n": index} for index in range(10)]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "val.parquet")
    path = {
        "train": str(write_csv(tmp_path / "train.csv", rows)),
        "val": str(tmp_path / "val.parquet"),
        "test": str(write_jsonl(tmp_path / "test.jsonl", rows)),
    }
    data = ready(path, {"text": "text", "label": "class", "tabular": ["n"]}, numeric=1)
    assert data.class_names["label"] == ["False", "True"]
    assert data.samples.labels["label"].tolist() == [index % 2 for index in range(10)] * 3
    numbers = data.samples.contents["tabular"].values.reshape(3, 10)
    assert np.array_equal(numbers[0], numbers[1])
    assert np.array_equal(numbers[0], numbers[2])


def test_numbers_far_from_those_of_the_training_are_left_out(tmp_path: Path) -> None:
    rows = [{"x": 1e-30 * index, "c": index} for index in range(40)]
    columns = {"tabular": ["x"], "text": "c"}
    trained = ready(write_csv(tmp_path / "a.csv", rows), columns, numeric=1)
    rows[3]["x"] = 1e20
    data = Manifest(str(write_csv(tmp_path / "b.csv", rows)), columns, numeric=1)
    data.load_state_dict(trained.state_dict())
    with pytest.raises(
        DataError, match="row 4: a number of tabular is too far from those of the training"
    ):
        data.setup()


def test_vectors_that_float32_does_not_hold(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([1, 1e39]))
    with pytest.raises(BadSampleError, match="NaN, infinite or above 3.4e38"):
        read_vector(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "model",
    [
        models.WordLevel({"[PAD]": 0, "[UNK]": 1, "a": 2}, unk_token="[UNK]"),
        models.WordPiece({"[PAD]": 0, "[UNK]": 1, "a": 2}, unk_token="[UNK]"),
        models.Unigram([("[PAD]", 0.0), ("[UNK]", 0.0), ("a", -1.0)], unk_id=1),
    ],
)
def test_words_that_the_tokenizer_does_not_know_are_counted(
    model: models.Model, tmp_path: Path, caplog
) -> None:
    backend = Backend(model)
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    data = Manifest(
        str(write_csv(tmp_path / "a.csv", [{"c": "a b a"}] * 20 + [{"c": "a"}] * 20)), {"text": "c"}
    )
    data.tokenizer = Tokenizer(backend)
    data.setup()
    assert caplog.messages == [
        "20 of 80 tokens of the captions are words that the tokenizer does not know."
    ]
    assert Tokenizer.train(["a b"], 300).unknown_id is None
