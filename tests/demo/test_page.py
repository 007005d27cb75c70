"""Each section of the page, run as Streamlit runs it but without a server."""

import io
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import soundfile

from polymodal.demo import contributions
from polymodal.demo.bars import percent
from polymodal.demo.held_out import HeldOut
from polymodal.formatting import readable
from tests.conftest import ROOT

pytest.importorskip("streamlit", reason="pip install -e '.[demo]'")
from streamlit.testing.v1 import AppTest  # noqa: E402

from polymodal.demo.serve import options  # noqa: E402


def page(monkeypatch: pytest.MonkeyPatch, checkpoint: Path, tab: str | None = None) -> AppTest:
    monkeypatch.setattr("sys.argv", ["page.py", f"checkpoint={checkpoint}", "devices=cpu"])
    shown = AppTest.from_file(
        str(ROOT / "src" / "polymodal" / "demo" / "page.py"), default_timeout=60
    )
    if tab is not None:
        shown.session_state["tab"] = tab
    shown.run()
    assert not shown.exception
    assert not shown.error
    return shown


def bars_of(shown: AppTest) -> list[dict[str, str]]:
    """Name -> number of each group of bars."""
    bodies = [html.proto.body for html in shown.get("html")]
    rows = [
        re.findall(r"<span[^>]*>([^<]*)</span><span[^>]*>([^<]*)</span>", body) for body in bodies
    ]
    return [{unescape(name): number for name, number in group} for group in rows if group]


def labelled(widgets, label: str):
    return next(widget for widget in widgets if widget.label.replace("\\", "") == label)


def button(shown: AppTest, label: str):
    return labelled(shown.button, label)


def test_the_first_look_is_an_answer(monkeypatch, clip: Path, aligned: HeldOut) -> None:
    shown = page(monkeypatch, clip)
    assert [tab.label for tab in shown.tabs] == ["Search", "Classify by name", "Map"]
    assert shown.text_input[0].value == aligned.example(0)[1]["text"]
    found = aligned.search("text", 0, "image", 10)
    expected = [
        f"{cosine:.3f} {aligned.title(row)}"
        for cosine, row in zip(found.cosine, found.row, strict=True)
    ]
    written = [text.value.replace("\\", "") for text in shown.markdown]
    assert [text for text in written if text in expected] == expected


def test_a_sentence_finds_pictures(monkeypatch, clip: Path, aligned: HeldOut) -> None:
    shown = page(monkeypatch, clip)
    shown.slider[0].set_value(4)
    shown.text_input[0].set_value("a red image").run()
    assert not shown.exception
    found = aligned.search("text", "a red image", "image", 4)
    expected = [
        f"{cosine:.3f} {aligned.title(row)}"
        for cosine, row in zip(found.cosine, found.row, strict=True)
    ]
    written = [text.value.replace("\\", "") for text in shown.markdown]
    assert [text for text in written if re.match(r"0\.\d|-0", text)] == expected
    shown.text_input[0].set_value("  ").run()
    assert "Give something to search with" in shown.info[0].value
    shown.text_input[0].set_value("日本").run()
    assert "Not in the vocabulary of the training captions: 日本" in [
        c.value for c in shown.caption
    ]


def test_a_click_on_an_example_fills_it_in(monkeypatch, clip: Path, aligned: HeldOut) -> None:
    shown = page(monkeypatch, clip)
    sentence = aligned.example(aligned.with_items(["text"])[6])[1]["text"]
    button(shown, sentence).click().run()
    assert shown.text_input[0].value == sentence
    before = {b.label for b in shown.button}
    button(shown, "Other examples").click().run()
    assert shown.text_input[0].value == sentence
    assert {b.label for b in shown.button} & before == {"Other examples"}


def test_a_picture_is_classified_by_names(monkeypatch, clip: Path, pairs: Path) -> None:
    shown = page(monkeypatch, clip, "Classify by name")
    assert set(bars_of(shown)[0]) == {"red", "green", "blue", "grey"}
    shown.text_area[0].set_value("red\n\nblue\nred")
    shown.file_uploader[0].upload("x.exe", (pairs.parent / "images" / "000.png").read_bytes()).run()
    assert not shown.exception
    assert set(bars_of(shown)[0]) == {"red", "blue"}
    shown.file_uploader[0].upload("image.png", b"<html>").run()
    assert "no image" in shown.error[0].value
    button(shown, "Example 2").click().run()  # takes the file away again
    assert not shown.error
    assert set(bars_of(shown)[0]) == {"red", "blue"}
    shown.text_area[0].set_value(" ").run()
    assert "Write the name of a class" in shown.info[0].value


def test_the_map_is_drawn(monkeypatch, clip: Path) -> None:
    shown = page(monkeypatch, clip, "Map")
    assert len(shown.get("arrow_vega_lite_chart")) + len(shown.get("vega_lite_chart")) == 1


def test_a_prediction_is_taken_apart(monkeypatch, classifier: Path) -> None:
    shown = page(monkeypatch, classifier)
    assert [tab.label for tab in shown.tabs] == ["Predict", "Map"]
    probabilities, contributions, weights = bars_of(shown)
    assert set(probabilities) == {"red", "green", "blue", "grey"}
    assert set(contributions) == set(weights) == {"image", "text"}
    assert [
        text.value
        for text in shown.markdown
        if re.fullmatch(r"The data say: \*\*(red|green|blue|grey)\*\*", text.value)
    ]
    shown.text_input[0].set_value("a red image").run()
    assert not [text.value for text in shown.markdown if text.value.startswith("The data say")]
    shown.pills[0].set_value([]).run()
    assert "something to answer" in shown.info[0].value
    shown.pills[0].set_value(["text"]).run()
    assert len(bars_of(shown)) == 1  # one modality adds all there is


def test_a_table_is_filled_in_as_people_write_it(
    monkeypatch, survival: Path, surviving: HeldOut
) -> None:
    shown = page(monkeypatch, survival)
    values = surviving.example(0)[1]["tabular"]
    assert [number.label for number in shown.number_input] == ["age", "fare"]
    assert [number.value for number in shown.number_input] == [values["age"], values["fare"]]
    assert {box.label: (box.options, box.value) for box in shown.selectbox} == {
        "sex": (["female", "male"], values["sex"]),
        "class": (["1st", "2nd", "3rd"], values["class"]),
    }
    assert labelled(shown.text_input, "text (name)").value == surviving.example(0)[1]["text"]
    shown.number_input[0].set_value(40.0)
    shown.selectbox[1].set_value("3rd").run()
    given = {"text": 0, "tabular": values | {"age": 40.0, "class": "3rd"}}
    scores = contributions.explain(surviving.predictor, surviving.batch(given)).scores
    assert bars_of(shown)[0] == {name: percent(value) for name, value in scores.items()}
    shown.number_input[0].set_value(1e300).run()
    assert "too large for the model" in shown.error[0].value


def test_a_value_has_the_name_of_its_column(monkeypatch, scores: Path, scoring: HeldOut) -> None:
    shown = page(monkeypatch, scores)
    said = contributions.explain(scoring.predictor, scoring.batch({"text": 0, "tabular": 0}))
    assert (shown.metric[0].label, shown.metric[0].value) == (
        "score",
        readable(said.scores["score"]),
    )
    assert f"The data say: **{scoring.truth(scoring.examples[0])}**" in [
        text.value for text in shown.markdown
    ]


def test_sounds_are_heard(monkeypatch, listening: Path, sounds: Path) -> None:
    shown = page(monkeypatch, listening)
    assert len(shown.get("audio")) == 10  # what was found
    shown.radio[0].set_value("audio").run()
    assert not shown.exception
    assert len(shown.get("audio")) == 3 + 1  # examples, and the one that is asked with
    silent = io.BytesIO()
    soundfile.write(silent, np.zeros(4000), 8000, format="WAV")
    shown.file_uploader[0].upload("silent.wav", silent.getvalue()).run()
    assert "The sound is silent" in shown.error[0].value


def test_of_many_modalities_nothing_is_said_to_add_up(monkeypatch, classifier: Path) -> None:
    shown = page(monkeypatch, classifier)
    assert [
        caption.value for caption in shown.caption if "Shapley values: they add up" in caption.value
    ]
    monkeypatch.setattr(contributions, "MOST", 1)
    shown = page(monkeypatch, classifier)
    assert [
        caption.value for caption in shown.caption if "these are no Shapley values" in caption.value
    ]
    assert not [caption.value for caption in shown.caption if "they add up" in caption.value]


def test_a_sentence_without_a_place_for_the_name_is_explained(monkeypatch, clip: Path) -> None:
    shown = page(monkeypatch, clip, "Classify by name")
    shown.text_input[0].set_value("an image").run()
    assert "needs {}" in shown.info[0].value


def test_it_is_for_this_machine_alone_and_tells_nobody() -> None:
    from polymodal.cli.programs import DemoSettings

    given = dict(
        option.removeprefix("--").split("=") for option in options(DemoSettings(upload_mb=3))
    )
    assert given["server.address"] == "127.0.0.1"
    assert given["browser.gatherUsageStats"] == "false"
    assert given["server.maxUploadSize"] == "3"
