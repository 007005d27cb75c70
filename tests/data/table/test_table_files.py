"""Files of tables as people have them: quotation marks, ragged rows, encodings, JSON of any
fields."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.manifests import ready, write_jsonl

from polymodal.data.table import json_rows
from polymodal.data.table.delimited import Delimited
from polymodal.data.table.files import read_tables
from polymodal.data.table.json_rows import JsonRows
from polymodal.data.table.quotation import quotation_of
from polymodal.errors import ConfigError, DataError

TEXT = {"text": "caption"}
WANTED = {"caption": "data.columns.text"}


def lines(count: int) -> list[str]:
    return [f"{index}.png,caption {index}" for index in range(count)]


def written(
    file: Path, rows: list[str], header: str = "filepath,caption", encoding: str = "utf-8"
) -> Path:
    tab = file.suffix == ".tsv"
    text = "\n".join(row.replace(",", "\t", 1) if tab else row for row in [header, *rows]) + "\n"
    file.write_bytes(text.encode(encoding))
    return file


def captions(file: Path) -> list[str | None]:
    return read_tables([file], WANTED).column("caption").to_pylist()


def test_marks_of_a_tsv_that_are_not_in_pairs_are_text(tmp_path: Path) -> None:
    rows = lines(40)
    rows[10:12] = ['10.png,"best of" pizza', '11.png,"the end']
    rows[30] = '30.png,"a new day'
    table = read_tables([written(tmp_path / "a.tsv", rows)], WANTED)
    assert table.column("caption").to_pylist() == [row.split(",", 1)[1] for row in rows]
    assert "quotation marks are in pairs" in table.notes[0]


@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_tsv_whose_marks_close_by_chance_in_another_row(count: int, tmp_path: Path) -> None:
    rows = lines(10)
    rows[2] = '2.png,"the end'
    rows[2 + count - 1] = f'{2 + count - 1}.png,a ruler of 12"'
    assert captions(written(tmp_path / "a.tsv", rows)) == [row.split(",", 1)[1] for row in rows]


def test_a_tsv_with_quoted_cells(tmp_path: Path) -> None:
    texts = ['say "hi"', "two\nlines", "a\ttab", "plain", '"', 'a "b" c', ""] * 3
    frame = pd.DataFrame({"filepath": range(len(texts)), "caption": texts})
    frame.to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    table = read_tables([tmp_path / "a.tsv"], WANTED)
    assert table.column("caption").to_pylist() == [text or None for text in texts]
    assert not table.notes


CELLS = st.text(st.sampled_from('ab",;\n\t é'), max_size=8)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_what_csv_writers_write_is_read(
    tmp_path_factory, rows: list, end: str, all_quoted: bool
) -> None:
    stream = io.StringIO()
    quoting = csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL
    csv.writer(stream, lineterminator=end, quoting=quoting).writerows(
        [["filepath", "caption"], *rows]
    )
    file = tmp_path_factory.mktemp("csv") / "a.csv"
    file.write_text(stream.getvalue(), newline="")
    read = Delimited(file, ",")
    table, bad = read.read(["filepath", "caption"])
    assert not bad
    expected = [tuple(cell or None for cell in row) for row in rows]
    assert [tuple(row.values()) for row in table.to_pylist()] == expected


def test_a_mark_that_does_not_close_is_named_with_its_line(tmp_path: Path) -> None:
    rows = lines(40)
    rows[11] = '11.png,"the end'
    rows[20] = '20.png,"in, marks"'
    file = written(tmp_path / "a.csv", rows)
    with pytest.raises(
        DataError, match=r"a\.csv, row 12: line 13 opens a quotation mark that does not close"
    ):
        ready(file, TEXT)
    data = ready(file, TEXT, on_error="skip", max_bad_fraction=0.05)
    assert len(data.samples.row) == 39
    assert data.samples.row.tolist() == [row for row in range(40) if row != 11]
    assert data.samples.contents["text"].texts.to_pylist()[19] == "in, marks"
    rows[20] = "20.png,plain"
    # to the end of the file
    with pytest.raises(DataError, match="row 12: line 13 opens a quotation mark"):
        ready(written(file, rows), TEXT)


def test_lines_within_a_cell_that_look_like_rows_are_told(tmp_path: Path) -> None:
    rows = lines(10)
    rows[2], rows[5] = '2.png,"the end', '5.png,a ruler of 12"'
    table = read_tables([written(tmp_path / "a.csv", rows)], WANTED)
    assert len(table) == 7
    assert "1 cells hold lines that look like rows" in table.notes[0]
    rows[2], rows[5] = '2.png,"two lines', 'of one, two or three words"'
    assert not read_tables([written(tmp_path / "a.csv", [*rows[:3], rows[5]])], WANTED).notes


def test_text_after_a_closing_mark_is_told(tmp_path: Path) -> None:
    rows = ['0.png,"he \\"said\\" so"', '1.png,"a" ', '2.png,"a ""b"""', '3.png,c "d"']
    table = read_tables([written(tmp_path / "a.csv", rows)], WANTED)
    assert table.column("caption").to_pylist() == ['he \\said\\" so"', "a ", 'a "b"', 'c "d"']
    (note,) = table.notes
    assert "1 cells go on after their closing quotation mark" in note
    assert repr(rows[0][6:])[1:-1] in note
    assert not read_tables([written(tmp_path / "b.csv", rows[1:])], WANTED).notes


def test_a_column_that_a_table_may_do_without(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", lines(3))
    with pytest.raises(
        ConfigError,
        match=r"\.split=part: .* no such column\. .*Without it: data\.columns\.split=null\. It has",
    ):
        read_tables([file], WANTED | {"part": "data.columns.split"})
    with pytest.raises(ConfigError, match=r"Did you mean 'filepath'\? It has: filepath, caption"):
        read_tables([file], {"part": "data.columns.image"})


def test_what_stands_between_columns_is_told(tmp_path: Path) -> None:
    for ending, header in (
        ("csv", "filepath;caption"),
        ("csv", "filepath\tcaption"),
        ("tsv", "filepath,caption"),
    ):
        (tmp_path / f"a.{ending}").write_text(f"{header}\n1.png\n")
        with pytest.raises(
            ConfigError,
            match=f"{header[8]!r}".replace("\\", r"\\") + " seems to stand between its columns",
        ):
            read_tables([tmp_path / f"a.{ending}"], WANTED)


def test_marks_within_text_are_text(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", ['1.png,a 12" ruler', '2.png,"a ""12"" ruler"', "3.png,''"])
    assert captions(file) == ['a 12" ruler', 'a "12" ruler', "''"]


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_bytes_of_a_code_page_in_a_row_of_another_length(ending: str, tmp_path: Path) -> None:
    rows = ["0.png,grün", "1.png,plain", "2.png,grün\t, blau", "3.png,漢"]
    file = written(tmp_path / f"a.{ending}", rows[:3], encoding="cp1252")
    file.write_bytes(
        file.read_bytes() + written(tmp_path / f"b.{ending}", rows[3:]).read_bytes().split(b"\n")[1]
    )
    table = read_tables([file], WANTED)
    cells = table.column("caption").cast(pa.large_binary()).to_pylist()
    assert cells == ["grün".encode("cp1252"), b"plain", None, "漢".encode()]
    assert list(table.bad) == [2]
    assert table.bad[2].startswith("line 4 has 3 cells and the header 2: '2.png")


def test_a_quoted_header_of_a_tsv_whose_cells_are_not(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('"filepath"\t"caption"\n1\t"a" b\n2\tc\n')
    assert captions(tmp_path / "a.tsv") == ['"a" b', "c"]


def test_a_header_that_does_not_close_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"filepath,caption\n' + "1,a\n" * 100_000)
    with pytest.raises(
        DataError, match=r"a\.csv: the header opens a quotation mark that does not close"
    ):
        read_tables([tmp_path / "a.csv"], WANTED)


def test_many_marks_are_read_in_a_moment() -> None:
    content = b"\n".join(b'%d.png,"a ""word"", and more"' % index for index in range(50_000))
    assert quotation_of(memoryview(content), ",", 2) == (True, False, {}, (), ())
    assert len(quotation_of(memoryview(b'1,"a\n' * 2000), ",", 2).open) == 2000


@pytest.mark.parametrize(
    ("wrong", "cells"), [("7.png,a dog, running", 3), ("7.png", 1), ("7.png,a,b,,", 5)]
)
@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_a_row_of_another_length_is_named_or_left_out(
    wrong: str, cells: int, ending: str, tmp_path: Path, caplog
) -> None:
    rows = lines(40)
    rows[7] = wrong.replace(",", "\t") if ending == "tsv" else wrong
    rows[3] = '3.png,"of two\nlines"'
    file = written(tmp_path / f"a.{ending}", ["", *rows])
    with pytest.raises(
        DataError, match=rf"row 8: line 11 has {cells} cells and the header 2: '7\.png"
    ):
        ready(file, TEXT)
    data = ready(file, TEXT, on_error="skip", max_bad_fraction=0.05)
    assert data.samples.row.tolist() == [row for row in range(40) if row != 7]
    assert data.samples.contents["text"].texts.to_pylist()[7] == "caption 8"
    assert data.samples.skips.counts() == {"bad value": 1}
    assert f"a.{ending}, row 8: line 11 has {cells} cells" in caplog.messages[0]
    assert data.unread() == {f"{file}, row 8": data.samples.skips.problems[7]}
    with pytest.raises(DataError, match="1 of 40 rows left out"):
        ready(file, TEXT, on_error="skip", max_bad_fraction=0.01)


def test_rows_of_another_length_in_several_files_and_blocks(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("polymodal.data.table.delimited.BLOCK", 64)
    rows = lines(40)
    wrong = {"a.csv": (3, 17, 39), "b.csv": (0, 38)}
    for name, places in wrong.items():
        written(
            tmp_path / name,
            [row + ",x" if index in places else row for index, row in enumerate(rows)],
        )
    table = read_tables([tmp_path / name for name in wrong], WANTED, [0, 1])
    assert sorted(table.bad) == [3, 17, 39, 40, 78]
    expected = [
        None if index in (3, 17, 39, 40, 78) else f"caption {index % 40}" for index in range(80)
    ]
    assert table.column("caption").to_pylist() == expected
    assert table.bad[78].startswith("line 40 has 3 cells")


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_say_what_they_are(ending: str, encoding: str, tmp_path: Path) -> None:
    file = tmp_path / f"a.{ending}"
    if ending == "jsonl":
        file.write_bytes(
            "".join(json.dumps({"caption": c}, ensure_ascii=False) + "\n" for c in "äß漢").encode(
                encoding
            )
        )
    else:
        written(file, [f"1.png,{c}" for c in "äß漢"], "Größe,caption", encoding)
    assert captions(file) == ["ä", "ß", "漢"]
    columns = {"caption": "x", "größe": "data.columns.image"}
    if ending != "jsonl":
        with pytest.raises(ConfigError, match="Did you mean 'Größe'"):
            read_tables([file], columns)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_utf_16_without_a_mark_is_named(encoding: str, ending: str, tmp_path: Path) -> None:
    (tmp_path / f"a.{ending}").write_bytes("filepath,caption\n1,a\n".encode(encoding))
    with pytest.raises(DataError, match="seems to be UTF-16 without its mark. Save it as UTF-8"):
        read_tables([tmp_path / f"a.{ending}"], WANTED)
    (tmp_path / "b.csv").write_bytes("filepath,caption\n1,a\n".encode("utf-16")[:-1])
    with pytest.raises(DataError, match="begins as UTF-16 and cannot be read so"):
        read_tables([tmp_path / "b.csv"], WANTED)


def test_a_header_of_a_code_page(tmp_path: Path) -> None:
    """It is read where nobody asks for the column, and where somebody does."""
    file = written(
        tmp_path / "a.csv",
        [f"{index}.png,caption,{index}" for index in range(5)],
        "filepath,caption,Größe",
        "cp1252",
    )
    assert captions(file) == ["caption"] * 5
    sizes = read_tables([file], {"Größe": "data.columns.tabular"}).column("Größe").to_pylist()
    assert sizes == [str(index) for index in range(5)]
    written(file, ["1.png,grün"], encoding="cp1252")
    with pytest.raises(
        DataError, match="row 1: caption holds bytes that are not UTF-8: save the file as UTF-8"
    ):
        ready(file, TEXT)


def test_fields_that_nobody_wants_are_of_any_type(tmp_path: Path) -> None:
    others = [1, "coco_1", None, [1], {"a": 1}, 1.5, True, 10**30]
    rows = [{"caption": f"c {index}", "other": others[index % len(others)]} for index in range(20)]
    assert captions(write_jsonl(tmp_path / "a.jsonl", rows)) == [
        f"c {index}" for index in range(20)
    ]
    mixed = read_tables([tmp_path / "a.jsonl"], {"caption": "x"} | {"other": "y"})
    assert sorted(mixed.bad) == [4, 12]  # a record is no value; a list is one of several
    plain = write_jsonl(
        tmp_path / "b.jsonl", [{"other": value} for value in (1, "coco_1", None, 1.5, True, 10**30)]
    )
    texts = read_tables([plain], {"other": "y"}).column("other").to_pylist()
    assert texts == ["1", "coco_1", None, "1.5", "True", str(10**30)]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("indent", [None, 2])
def test_one_list_of_records_is_a_table(name: str, indent: int | None, tmp_path: Path) -> None:
    rows = [
        {"caption": [f"a {index}", f"b {index}"] if index % 2 else f"a {index}"}
        for index in range(6)
    ]
    (tmp_path / name).write_text("\n " + json.dumps(rows, indent=indent))
    expected = [
        row["caption"] if isinstance(row["caption"], list) else [row["caption"]] for row in rows
    ]
    assert captions(tmp_path / name) == expected


def test_lists_and_texts_in_parts_of_a_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(json_rows, "ROWS", 2)
    cells = ["a", None, ["b", "c"], None, "d", "e", [], [None, "f"]]
    rows = JsonRows(
        write_jsonl(tmp_path / "a.jsonl", [{"caption": cell} for cell in cells]), ["caption"]
    )
    expected = [cell if cell is None or isinstance(cell, list) else [cell] for cell in cells]
    assert rows.table["caption"].to_pylist() == expected
    assert rows.names == ["caption"]


@pytest.mark.parametrize(
    "line", ['{"caption": "x"', "[1, 2]", "7", '"x"', '{"caption": {"a": 1}}', '{"caption": [[1]]}']
)
def test_a_line_that_is_no_record_is_named_or_left_out(line: str, tmp_path: Path) -> None:
    rows = [json.dumps({"caption": f"caption {index}"}) for index in range(40)]
    rows[7] = line
    (tmp_path / "a.jsonl").write_text("\n".join([*rows[:3], "", *rows[3:]]))
    with pytest.raises(DataError, match=r"a\.jsonl, row 8: "):
        ready(tmp_path / "a.jsonl", TEXT)
    data = ready(tmp_path / "a.jsonl", TEXT, on_error="skip", max_bad_fraction=0.05)
    assert data.samples.row.tolist() == [row for row in range(40) if row != 7]


@pytest.mark.parametrize("written_as", ["json", "python", "numpy"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "jsonl"])
def test_several_captions_of_a_cell_in_any_format(
    written_as: str, ending: str, tmp_path: Path
) -> None:
    lists = [[f"it's {index}", f'a "{index}", b'] for index in range(12)]
    texts = {
        "json": [json.dumps(items) for items in lists],
        "python": [str(items) for items in lists],
        "numpy": [str(np.array(items, dtype=object)) for items in lists],
    }[written_as]
    file = tmp_path / f"a.{ending}"
    frame = pd.DataFrame({"filepath": range(12), "caption": texts})
    if ending == "parquet":
        frame.to_parquet(file)
    elif ending == "jsonl":
        frame.to_json(file, orient="records", lines=True)
    else:
        frame.to_csv(file, index=False, sep="\t" if ending == "tsv" else ",")
    content = ready(file, TEXT).samples.contents["text"]
    assert content.texts.to_pylist() == [item for items in lists for item in items]
    assert content.count.tolist() == [2] * 12


def test_blanks_around_names_and_captions_are_no_part_of_them(tmp_path: Path) -> None:
    parts = ["train", " Val", "test "]
    rows = [
        f"{' cat' if index % 2 else 'cat '},{parts[index % 3]}, caption {index} "
        for index in range(30)
    ]
    data = ready(
        written(tmp_path / "a.csv", rows, "class,part,caption"),
        TEXT | {"label": "class", "split": "part"},
    )
    assert data.class_names["label"] == ["cat"]
    assert [len(part) for part in (data.train_set, data.val_set, data.test_set)] == [10, 10, 10]
    assert data.samples.contents["text"].texts.to_pylist() == [
        f"caption {index}" for index in range(30)
    ]


def test_too_many_categories_are_named(tmp_path: Path) -> None:
    rows = [f"{['a', 'b', 'A'][index % 3]},{index}" for index in range(60)]
    file = written(tmp_path / "a.csv", rows, "kind,caption")
    with pytest.raises(
        ConfigError, match=r"cardinalities=\[2\].*\[3\] categories, kind 'A', 'a', 'b'"
    ):
        ready(file, {"tabular": ["kind"]}, cardinalities=[2])


@pytest.mark.parametrize("kind", ["list", "large_list", "fixed_size_list", "dictionary"])
def test_lists_and_categories_of_every_type_of_parquet(kind: str, tmp_path: Path) -> None:
    lists = [[f"a {index}", f"b {index}"] for index in range(12)]
    types = {
        "list": pa.list_(pa.string()),
        "large_list": pa.large_list(pa.large_string()),
        "fixed_size_list": pa.list_(pa.string(), 2),
        "dictionary": pa.list_(pa.dictionary(pa.int32(), pa.string())),
    }
    column = (
        pa.array(lists, pa.list_(pa.string())).cast(types[kind])
        if kind != "dictionary"
        else pa.array(lists, types[kind])
    )
    pa.parquet.write_table(pa.table({"caption": column}), tmp_path / "a.parquet")
    assert ready(tmp_path / "a.parquet", TEXT).samples.contents["text"].texts.to_pylist() == sum(
        lists, []
    )
