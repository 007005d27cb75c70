"""Each section of the page, run as Streamlit runs it but without a server."""

import re
from pathlib import Path

import pytest

from polymodal.demo import contributions
from polymodal.demo.held_out import HeldOut
from tests.conftest import ROOT

pytest.importorskip("streamlit", reason="pip install -e '.[demo]'")
from streamlit.testing.v1 import AppTest  # noqa: E402

from polymodal.demo.serve import options  # noqa: E402


def page(monkeypatch: pytest.MonkeyPatch, checkpoint: Path) -> AppTest:
    monkeypatch.setattr("sys.argv", ["page.py", f"checkpoint={checkpoint}", "devices=cpu"])
    shown = AppTest.from_file(str(ROOT / "src" / "polymodal" / "demo" / "page.py"), default_timeout=60).run()
    assert not shown.exception
    return shown


def test_a_sentence_finds_pictures(monkeypatch, clip: Path, aligned: HeldOut) -> None:
    shown = page(monkeypatch, clip)
    assert shown.header[0].value == "Search"
    shown.slider[0].set_value(4)
    shown.text_input[0].set_value("a red picture").run()
    assert not shown.exception
    captions = [image.captions[0] for image in shown.get("image")]
    found = aligned.search("text", "a red picture", "image", 4)
    expected = [f"{cosine:.3f} {aligned.title(row)}" for cosine, row in zip(found.cosine, found.row, strict=True)]
    assert [caption.replace("\\", "") for caption in captions] == expected


def test_a_picture_is_classified_by_names(monkeypatch, clip: Path, pairs: Path) -> None:
    shown = page(monkeypatch, clip)
    shown.sidebar.radio[0].set_value("Classify by name").run()
    shown.text_area[0].set_value("red\n\nblue\nred")
    shown.file_uploader[0].upload("x.exe", (pairs.parent / "images" / "000.png").read_bytes()).run()
    assert not shown.exception
    assert len(shown.get("arrow_vega_lite_chart")) + len(shown.get("vega_lite_chart")) == 1
    shown.file_uploader[0].upload("picture.png", b"<html>").run()
    assert "no picture" in shown.error[0].value


def test_the_map_is_drawn(monkeypatch, clip: Path) -> None:
    shown = page(monkeypatch, clip)
    shown.sidebar.radio[0].set_value("Embedding map").run()
    assert not shown.exception
    assert len(shown.get("arrow_vega_lite_chart")) + len(shown.get("vega_lite_chart")) == 1


def test_a_prediction_is_taken_apart(monkeypatch, classifier: Path) -> None:
    shown = page(monkeypatch, classifier)
    assert shown.header[0].value == "Predict"
    charts = len(shown.get("arrow_vega_lite_chart")) + len(shown.get("vega_lite_chart"))
    assert charts == 3  # probabilities, contributions, weights
    assert [
        said.value for said in shown.markdown if re.fullmatch(r"Right is \*\*(red|green|blue|grey)\*\*\.", said.value)
    ]
    shown.toggle[0].set_value(True).run()
    assert "something to answer" in shown.info[0].value
    shown.text_input[0].set_value("a red picture").run()
    assert not shown.exception
    assert not shown.info


def test_of_many_modalities_nothing_is_said_to_add_up(monkeypatch, classifier: Path) -> None:
    shown = page(monkeypatch, classifier)
    assert [caption.value for caption in shown.caption if "Shapley values: they add up" in caption.value]
    monkeypatch.setattr(contributions, "MOST", 1)
    shown = page(monkeypatch, classifier)
    assert [caption.value for caption in shown.caption if "With more than 1 modalities these are no" in caption.value]
    assert not [caption.value for caption in shown.caption if "they add up" in caption.value]


def test_a_sentence_without_a_place_for_the_name_is_explained(monkeypatch, clip: Path) -> None:
    shown = page(monkeypatch, clip)
    shown.sidebar.radio[0].set_value("Classify by name").run()
    shown.text_input[0].set_value("a picture").run()
    assert "needs {}" in shown.info[0].value


def test_it_is_for_this_machine_alone_and_tells_nobody() -> None:
    from polymodal.config.command import DemoSettings

    given = dict(option.removeprefix("--").split("=") for option in options(DemoSettings(upload_mb=3)))
    assert given["server.address"] == "127.0.0.1"
    assert given["browser.gatherUsageStats"] == "false"
    assert given["server.maxUploadSize"] == "3"
