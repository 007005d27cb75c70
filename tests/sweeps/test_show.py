"""Tables of runs at 80 columns and wider."""

import pytest

from polymodal.sweeps.show import FEW, apart, short_names, show

KEYS = (
    "encoder.text",
    "encoder.text.width",
    "data.batch_size",
    "optimizer.lr",
    "objective.label_smoothing",
)


def rows(count: int, name: str = "{}") -> list[dict[str, str]]:
    common = {"status": "done", "seed": "0"}
    return [
        {"job": name.format(k)}
        | common
        | dict.fromkeys(KEYS, f"{k}.25")
        | {"best val/recall@1": f"0.{k:04}"}
        for k in range(count)
    ]


def printed(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    *arguments: list,
) -> list:
    monkeypatch.setenv("COLUMNS", str(width))
    show("Runs [x]", *arguments)
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= width
    return lines


def test_what_all_have_in_common_is_said_once() -> None:
    assert apart([{"job": "a", "x": "1", "y": "2"}, {"job": "a", "x": "1", "y": "3"}]) == (
        ["job", "y"],
        {"x": "1"},
    )
    assert apart([{"job": "a", "x": "1"}, {"job": "b"}]) == (["job", "x"], {})  # one has none
    # of one run there is nothing to compare
    assert apart([{"job": "a", "x": "1"}]) == (["job", "x"], {})


def test_names_are_short_while_they_differ() -> None:
    columns = [
        "job",
        "encoder.text.width",
        "encoder.image.width",
        "optimizer.lr",
        "best val/recall@1",
        "recall@1",
    ]
    expected = [
        "job",
        "encoder.text.width",
        "encoder.image.width",
        "lr",
        "best recall@1",
        "recall@1",
    ]
    assert short_names(columns) == expected


def test_few_runs_are_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    details = [row | {"image_to_text/recall@1": "0.5"} for row in rows(3)]
    details[0]["image_to_text/recall@1"] = "0.25"
    lines = printed(capsys, monkeypatch, 80, rows(3), details)
    assert lines[0].startswith("Runs [x]")
    cells = [
        [cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")]
        for line in lines
        if line[0] in "│┃"
    ]
    assert cells[0] == ["job", "0", "1", "2"]
    assert ["encoder.text.width", "0.25", "1.25", "2.25"] in cells
    assert cells[-1] == ["image_to_text/recall@1", "0.25", "0.5", "0.5"]
    assert lines[-1] == "In all of them: status done, seed 0"


def test_long_names_of_runs_stand_below(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = rows(2, "clip_small/2026-01-01_00-00-00-00000{}")
    lines = printed(capsys, monkeypatch, 80, few, few)
    assert lines[-2:] == [f"{k + 1} is clip_small/2026-01-01_00-00-00-00000{k}" for k in range(2)]


def test_many_runs_are_rows_with_short_names_where_there_is_no_room(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = rows(FEW + 1)
    narrow = printed(capsys, monkeypatch, 80, many, many)
    head = [cell.strip() for cell in narrow[2].strip("┃").split("┃")]
    assert head == ["job", "text", "width", "batch_size", "lr", "label_smoothing", "best recall@1"]
    wide = printed(capsys, monkeypatch, 160, many, many)
    head = [cell.strip() for cell in wide[2].strip("┃").split("┃")]
    assert head == ["job", *KEYS, "best val/recall@1"]


def test_settings_are_left_out_first_where_there_is_no_room(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = rows(FEW + 1)
    narrow = printed(capsys, monkeypatch, 50, many, many)
    head = [cell.strip() for cell in narrow[2].strip("┃").split("┃")]
    assert head == ["job", "lr", "label_smoothing", "best recall@1"]
    assert " ".join(narrow[-3:]).startswith("No room for")
    assert "encoder.text.width" in " ".join(narrow[-3:])
