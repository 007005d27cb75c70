"""Parts of several processes become one table: all rows once, in order, whatever is null in one of
them."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv

from polymodal.errors import ConfigError, DataError
from polymodal.inference.table_writer import TableWriter, as_array, as_vectors


def part(ids: list[int], absent: bool = False) -> pa.Table:
    """Rows of these ids; with `absent` nothing is known but an error."""
    numbers = np.array(ids, dtype=np.int64)
    if absent:
        return pa.table({"id": numbers, "error": pa.array(["broken"] * len(ids), pa.string())})
    return pa.table(
        {
            "id": numbers,
            "x": as_vectors(np.outer(numbers, [1, 2]).astype(np.float32), numbers % 3 > 0),
            "tags": pa.array([["a", "b"][: number % 3] for number in ids], pa.list_(pa.string())),
            "error": pa.nulls(len(ids), pa.string()),
        }
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 3), st.integers(1, 7), st.sets(st.integers(0, 39)))
def test_all_rows_are_there_once_in_order(tmp_path_factory, count, processes, size, broken) -> None:
    output = tmp_path_factory.mktemp("parts") / "x.parquet"
    for rank, parts in enumerate([TableWriter(output, {"model": 1}) for _ in range(processes)]):
        # of fewer rows than processes one has it twice
        own = list(range(rank, count, processes)) or [count - 1]
        for start in range(0, len(own), size):
            rows = own[start : start + size]
            whole = [row for row in rows if row not in broken]
            tables = [part(whole), part([row for row in rows if row in broken], absent=True)]
            parts.add(pa.concat_tables(tables, promote_options="permissive"), "test", rank)
    assert sorted(set(parts.done("test").tolist())) == list(range(count))
    assert parts.join() == count
    table = pq.read_table(parts.output)
    assert table["id"].to_pylist() == list(range(count))
    x = as_array(table["x"])
    for row in range(count):
        known = row not in broken and row % 3 > 0
        assert x[row].tolist() == [row, 2 * row] if known else np.isnan(x[row]).all()
    assert json.loads(table.schema.metadata[b"polymodal"]) == {"model": 1}
    assert not parts.folder.exists()


def test_lists_are_text_in_csv_and_vectors_are_arrays_in_a_folder(tmp_path: Path) -> None:
    for name in ("x.csv", "x"):
        parts = TableWriter(tmp_path / name, {})
        parts.add(part([0, 1, 2]), "test", 0)
        parts.add(part([3], absent=True), "val", 0)
        parts.join()
    table = csv.read_csv(tmp_path / "x.csv")
    assert table["id"].to_pylist() == [3, 0, 1, 2]  # splits stand in their order
    assert table["tags"].to_pylist() == ["", "", "a", "a|b"]
    assert np.load(tmp_path / "x" / "x.npy")[2:].tolist() == [[1, 2], [2, 4]]
    assert pq.read_table(tmp_path / "x" / "rows.parquet").column_names == ["id", "tags", "error"]


def test_parts_of_other_work_and_a_finished_output_are_not_touched(tmp_path: Path) -> None:
    TableWriter(
        tmp_path / "x.parquet", {"model": 0}
    )  # wrote no part: what it left is in nobody's way
    TableWriter(tmp_path / "x.parquet", {"model": 1}).add(part([0]), "test", 0)
    with pytest.raises(ConfigError, match="other work"):
        TableWriter(tmp_path / "x.parquet", {"model": 2})
    parts = TableWriter(tmp_path / "x.parquet", {"model": 1})
    assert parts.done("test").tolist() == [0]
    parts.join()
    with pytest.raises(ConfigError, match="there already"):
        TableWriter(tmp_path / "x.parquet", {"model": 1})


def test_a_row_that_two_processes_have_after_a_stop_is_there_once(tmp_path: Path) -> None:
    output = tmp_path / "x.parquet"
    before = [TableWriter(output, {}) for _ in range(2)]
    for rank, row in ((0, 0), (0, 2), (1, 1)):
        before[rank].add(part([row]), "test", rank)
    assert sorted(TableWriter(output, {}).done("test").tolist()) == [0, 1, 2]
    again = [TableWriter(output, {}) for _ in range(2)]
    for rank in range(2):
        again[rank].add(part([3]), "test", rank)  # what is left is less than one for each of them
    assert again[0].join() == 4
    assert pq.read_table(output)["id"].to_pylist() == [0, 1, 2, 3]


def test_only_the_first_process_makes_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert not TableWriter(tmp_path / "x.parquet", {}).folder.exists()


def test_nothing_at_all_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    parts = TableWriter(tmp_path / "x.parquet", {})
    with pytest.raises(DataError, match="no sample"):
        parts.join()
    assert not list(tmp_path.iterdir())
