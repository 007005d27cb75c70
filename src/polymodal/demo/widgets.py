"""Parts of the page: examples to click, what a visitor can give, and how contents are shown."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
import streamlit as st
from PIL import Image

from polymodal.demo.fields import Field, Number, Value, fields_of, in_words
from polymodal.demo.held_out import HeldOut
from polymodal.demo.inputs import Given, unknown_words
from polymodal.demo.uploads import RATE, Upload
from polymodal.report.media import Sound

SIDE = 160
"""Of an image that is shown, in pixels, at least."""
CARD = 166
"""Width of a card with an image, in pixels: two beside each other on a phone."""
WIDE = 240
"""Width of a card with a sound."""
EXAMPLES, SOUNDS = 6, 3
"""Examples that are shown at a time; fewer where each has a player."""
FIELD = 170
"""Width of a column's widget: two beside each other on a phone."""
LABEL = 48
"""Letters of an example's name at most."""
MANY = 12
"""Columns of a table from which on they are folded up."""
KEPT: Final = "session"
"""Inputs stay when another tab is looked at."""


def chosen_example(held: HeldOut, place: str, names: Sequence[str]) -> int:
    """Held-out samples to click at; the number of the one that was clicked last, or else the first.

    Args:
        held: the model and its samples.
        place: start of the keys of these widgets.
        names: modalities that are given here.
    """
    numbers, state = held.with_items(names), st.session_state
    if f"{place}/example" not in state:
        _fill(held, place, names, numbers[0])
    kinds = {held.kinds[name] for name in names}
    turns = -(-len(numbers) // (SOUNDS if "audio" in kinds and "image" not in kinds else EXAMPLES))
    turn = state.get(f"{place}/turn", 0) % turns
    st.caption("Examples from the held-out data. Choose one, then change it as you like.")
    with st.container(horizontal=True, gap="small"):
        for position, number in enumerate(numbers[turn::turns], 1):
            _example_card(held, place, names, number, f"Example {position}")
        if turns > 1:
            st.button(
                "Other examples",
                key=f"{place}/other",
                type="tertiary",
                on_click=_turn,
                args=(place, turn + 1),
            )
    return int(state[f"{place}/example"])


def _turn(place: str, turn: int) -> None:
    st.session_state[f"{place}/turn"] = turn


def _example_card(held: HeldOut, place: str, names: Sequence[str], number: int, name: str) -> None:
    """A button, below an image or a sound; it has this name where the example has no words."""
    contents = held.example(number)[1]
    seen = [contents[name] for name in names if isinstance(contents.get(name), np.ndarray | Sound)]
    button: dict[str, Any] = {
        "key": f"{place}/{number}",
        "type": "primary" if st.session_state[f"{place}/example"] == number else "secondary",
        "on_click": _fill,
        "args": (held, place, names, number),
    }
    label = plain(_called(held, names, contents) or name)
    if not seen:
        st.button(label, **button)
        return
    with st.container(border=True, width=WIDE if isinstance(seen[0], Sound) else CARD, gap="small"):
        see(seen[0])
        st.button(label, width="stretch", **button)


def _called(held: HeldOut, names: Sequence[str], contents: Mapping[str, Any]) -> str:
    """A sentence of an example, or else its row in words."""
    texts = [name for name in names if held.kinds[name] == "text"]
    sentences = [contents[name] for name in texts if contents.get(name)]
    tables = [contents[name] for name in names if isinstance(contents.get(name), dict)]
    rows = [in_words(values) for values in tables]
    return shortened(next(iter([*sentences, *rows]), ""))


def _fill(held: HeldOut, place: str, names: Sequence[str], number: int) -> None:
    """Puts an example into the widgets."""
    state, contents = st.session_state, held.example(number)[1]
    state[f"{place}/example"] = number
    for name in names:
        if held.kinds[name] == "text":
            state[f"{place}/{name}"] = contents.get(name) or ""
        for field in fields_of(held.data, name):
            state[f"{place}/{name}/{field.name}"] = contents.get(name, {}).get(field.name)
        # another key is another uploader, without a file
        state[f"{place}/{name}/files"] = state.get(f"{place}/{name}/files", 0) + 1


def input_widgets(
    held: HeldOut, place: str, names: Sequence[str], number: int, files: ExitStack, most: int
) -> dict[str, Given]:
    """Widgets for each modality, and what they hold: what is still of the example by its number.

    Args:
        held: the model and its samples.
        place: start of the keys of these widgets.
        names: modalities.
        number: of the chosen example.
        files: keeps uploaded files as long as they are needed.
        most: bytes of a file.

    Raises:
        DataError: a file is too large, or not what it should be.
    """
    given: dict[str, Given] = {}
    for name in names:
        value = _given(held, f"{place}/{name}", name, number, files, most)
        if value is not None:
            given[name] = value
    return given


def _given(
    held: HeldOut,
    key: str,
    name: str,
    number: int,
    files: ExitStack,
    most: int,
) -> Given | None:
    """The widget of a modality, and what it holds; None where that is nothing."""
    kind, fields, contents = held.kinds[name], fields_of(held.data, name), held.example(number)[1]
    # a sentence
    if kind == "text":
        label = plain(held.label(name))
        sentence = st.text_input(label, key=key, max_chars=1000, persist_state=KEPT)
        _note_unknown_words(held, sentence)
        if not sentence.strip():
            return None
        return number if sentence == contents.get(name) else sentence
    # a row of a table
    if fields:
        values = _table(plain(name), key, fields)
        if all(value is None for value in values.values()):
            return None
        return number if values == contents.get(name) else values
    # a file, above which its content is shown
    st.caption(plain(name))
    shown, file = st.container(), None
    if name in held.inputs:
        what = "image" if kind == "image" else "sound"
        file = st.file_uploader(f"Your own {what}", key=f"{key}/{st.session_state[f'{key}/files']}")
    with shown:
        if file is not None:
            upload = _checked(held, kind, file.getvalue(), most)
            see(upload.shown if kind == "image" else Sound(upload.shown, RATE))
            return files.enter_context(upload.file())
        if name in contents:
            see(contents[name])
            return number
        st.text("The example has none.")
    return None


def _checked(held: HeldOut, kind: str, content: bytes, most: int) -> Upload:
    image_max = held.data.media.image_max if held.data.media else None
    return Upload.checked(content, kind, most, image_max)


def _note_unknown_words(held: HeldOut, sentence: str) -> None:
    if sentence.strip() and (unknown := unknown_words(held.data.tokenizer, sentence)[1]):
        st.caption(f"Not in the vocabulary of the training captions: {plain(', '.join(unknown))}")


def _table(label: str, key: str, fields: Sequence[Field]) -> dict[str, Value]:
    """A widget a column; one that is left empty is missing."""
    st.caption(label)
    holder = st.expander(f"{len(fields)} columns") if len(fields) > MANY else st.container()
    values: dict[str, Value] = {}
    with holder, st.container(horizontal=True, gap="small"):
        for field in fields:
            with st.container(width=FIELD):
                values[field.name] = _column(field, f"{key}/{field.name}")
    return values


def _column(field: Field, key: str) -> Value:
    shared: dict[str, Any] = {"key": key, "placeholder": "missing", "persist_state": KEPT}
    if isinstance(field, Number):
        shared |= {"step": field.step, "format": "%g"}
        return st.number_input(plain(field.name), value=None, **shared)
    return st.selectbox(plain(field.name), list(field.names), index=None, **shared)


def see(content: Any) -> None:
    """An image, a sound, a row of a table, a sentence, or that there is nothing to see."""
    if content is None:
        st.text("(nothing to show)")
    elif isinstance(content, str):
        st.text(content)
    elif isinstance(content, dict):
        st.text(in_words(content))
    elif isinstance(content, Sound):
        st.audio(content.waveform, sample_rate=content.rate)
    else:
        height, width = content.shape[:2]
        st.image(enlarged(content), width=max(1, min(SIDE * width // height, 3 * SIDE)))


def cards(contents: Sequence[Any], captions: Sequence[str]) -> None:
    """Images or sounds, each with a caption, as many in a row as there is place."""
    with st.container(horizontal=True, gap="small"):
        for content, caption in zip(contents, captions, strict=True):
            width = WIDE if isinstance(content, Sound) else CARD
            with st.container(border=True, width=width, gap="small"):
                see(content)
                st.markdown(plain(caption))


def enlarged(content: np.ndarray) -> Image.Image:
    """(S, S) or (S, S, 3) uint8 with a larger side SIDE at least."""
    image = Image.fromarray(content)
    factor = max(1, -(-SIDE // max(image.size)))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.LANCZOS)


def data_uri(content: np.ndarray) -> str:
    """A small PNG within the page."""
    image, stream = Image.fromarray(content), io.BytesIO()
    image.thumbnail((96, 96))
    image.save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def plain(text: str) -> str:
    """Words of the data or of a file are never Markdown."""
    # of a link the brackets are enough; a label is read aloud with its backslashes
    return re.sub(r"([\\`*_{}\[\]<>#+!|~$:.-])", r"\\\1", text)


def shortened(text: str, most: int = LABEL) -> str:
    """The start of a long text."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
