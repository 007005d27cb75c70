"""Files are whole or not there, and nothing that lies in their way is written through."""

import os
from pathlib import Path

import pytest

from polymodal.files import replacing, write_whole
from polymodal.loggers.csv import CSVLogger
from polymodal.report.style import plot
from polymodal.training.final import finish


def test_a_file_is_the_old_one_until_the_block_ends(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(file) as part:
        part.write_text("half" * (1 // 0))
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert file.read_text() == "old"
    with replacing(file) as part:
        part.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert file.stat().st_mode & 0o777 == 0o666 & ~_umask()  # as any new file


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("kind", ["link", "hard link", "rest"])
def test_what_has_the_name_of_the_unfinished_file_is_not_written_through(
    kind: str, tmp_path: Path
) -> None:
    other, file = tmp_path / "other", tmp_path / "run" / "config.yaml"
    other.write_text("theirs")
    file.parent.mkdir()
    part = file.with_name("config.yaml.part")
    {
        "link": lambda: part.symlink_to(other),
        "hard link": lambda: part.hardlink_to(other),
        "rest": part.touch,
    }[kind]()
    write_whole(file, "ours")
    assert (other.read_text(), file.read_text()) == ("theirs", "ours")
    assert [path.name for path in file.parent.iterdir()] == ["config.yaml"]


def test_a_folder_in_the_way_is_an_error_and_stays(tmp_path: Path) -> None:
    (tmp_path / "a.part").mkdir()
    with pytest.raises(OSError, match=r"a\.part"):
        write_whole(tmp_path / "a", "x")
    assert (tmp_path / "a.part").is_dir()


def test_links_with_the_names_of_files_of_a_run_are_not_followed(tmp_path: Path) -> None:
    other, run = tmp_path / "other", tmp_path / "run"
    other.write_text("theirs")
    run.mkdir()
    for name in ("metrics.json", "metrics.csv"):
        (run / f"{name}.part").symlink_to(other)
        (run / name).symlink_to(other)
    (run / "curves.png").symlink_to(other)
    finish({"test/accuracy": 0.5, "time/total_seconds": 1.0}, run)
    CSVLogger(str(run)).log_metrics({"a": 1.0}, 0)
    with plot(run / "curves.png", size=(1, 1)):
        pass
    assert other.read_text() == "theirs"
    assert not any(path.is_symlink() for path in run.iterdir())
    assert (run / "metrics.csv").read_text().split() == ["a,step", "1.0,0"]
    assert (run / "curves.png").read_bytes()[:4] == b"\x89PNG"
