"""An output that cannot be written is refused before any work, and damaged JSON is said."""

from pathlib import Path

import pytest
import torch

from polymodal.data.loading.bad_samples import Skips
from polymodal.data.stream.skips import SEEN, summary_of
from polymodal.errors import ConfigError, StorageError
from polymodal.files import check_output, read_json, writing


def test_an_output_may_lie_in_folders_that_are_not_there_yet(tmp_path: Path) -> None:
    check_output(tmp_path / "a" / "b" / "c.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("below", "message"),
    [("file/x.csv", "output=.*file is no folder"), ("x" * 300 + "/y.csv", "File name too long")],
)
def test_an_output_that_cannot_be_is_refused(tmp_path: Path, below: str, message: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=message):
        check_output(tmp_path / below)


def test_a_folder_that_is_not_writable_is_named(tmp_path: Path, monkeypatch) -> None:
    # root may write everywhere but on a read-only disk
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(
        ConfigError, match=f"output={tmp_path}/new/x .*the folder {tmp_path} is not writable"
    ):
        check_output(tmp_path / "new" / "x")


def test_what_fails_while_it_is_written_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match="index=.* cannot be written: Is a directory"),
        writing(tmp_path, "index"),
    ):
        tmp_path.write_text("")


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe", b"[1]"])
def test_damaged_json_is_empty_and_said(tmp_path: Path, content: bytes, caplog) -> None:
    file = tmp_path / "x.json"
    assert read_json(file) == {}
    file.write_bytes(content)
    assert read_json(file) == {}
    assert ("x.json cannot be read" in caplog.text) == (content != b"[1]")


def test_nothing_stands_after_a_colon_where_nothing_was_left_out() -> None:
    assert summary_of([0] * (SEEN + 1)) == "0 of 0 samples that were read left out."
    skips = Skips.__new__(Skips)
    skips.reasons = torch.zeros(3, dtype=torch.uint8)
    assert skips.summary() == "None of 3 rows left out."
