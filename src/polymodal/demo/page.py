"""The page itself, as Streamlit runs it: from top to bottom, again after each click."""

from __future__ import annotations

import base64
import io
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import altair
import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

from polymodal.by_hand import batch_of
from polymodal.config.command import DemoSettings, parsed
from polymodal.demo.contributions import MOST, answer
from polymodal.demo.held_out import HeldOut, opened
from polymodal.demo.uploads import RATE, Upload
from polymodal.errors import PolymodalError
from polymodal.report.style import COLOURS

# no strings below the constants, as elsewhere: Streamlit would show them
ACROSS = 5  # pictures in a row
SIDE = 160  # of a found picture, in pixels
LIKELY = 12  # classes that are shown
ADD_UP = "Shapley values: they add up to the difference to an answer that is given without any modality."
LEFT_OUT = (
    f"What the answer loses without this modality alone. With more than {MOST} modalities these are no Shapley values, "
    "and do not add up."
)


def main() -> None:
    """The title, the choice of what to do, and that."""
    settings, changes = parsed(sys.argv[1:], DemoSettings)
    held = opened(settings, tuple(changes))
    st.set_page_config("polymodal", layout="wide")
    most = settings.upload_mb * 2**20
    sections: dict[str, Callable[[HeldOut, int], None]] = {"Embedding map": embedding_map}
    if held.askable and len(held.modalities) > 1:
        sections = {"Search": search} | sections
        if held.texts and set(held.askable) - set(held.texts):
            sections["Classify by name"] = zero_shot
    if held.model.fusion is not None:
        sections = {"Predict": predict} | sections
    with st.sidebar:
        st.title(plain(held.name))
        st.caption(f"{len(held.table['id']):,} held-out samples of {', '.join(map(plain, held.modalities))}")
        chosen = st.radio("What to do", list(sections), label_visibility="collapsed")
    st.header(chosen)
    try:
        sections[chosen](held, most)
    except PolymodalError as error:
        st.error(plain(str(error)))


def search(held: HeldOut, most: int) -> None:
    """The nearest held-out items to a sentence, a picture or a sound."""
    left, right, end = st.columns([2, 2, 3])
    by = left.radio("Ask with", [*held.texts, *(n for n in held.askable if n not in held.texts)], horizontal=True)
    find = right.radio("Find", [n for n in held.modalities if n != by] + [by], horizontal=True)
    top = end.slider("How many", 1, 50, 10)
    if given := ask(held, by, most):
        with given as query:
            found = held.search(by, query, find, top)
        contents = [held.show(find, item) for item in found.item]
        if not contents:
            st.info(f"No held-out sample has {plain(find)}.")
        elif isinstance(contents[0], np.ndarray):
            pictures(contents, [f"{cosine:.3f} {held.title(row)}" for cosine, row in zip(*found[::2], strict=True)])
            st.caption("Before each name stands the cosine of its picture's vector to yours; 1 is the most.")
        else:
            names = [content or f"{held.title(row)} ({row})" for content, row in zip(contents, found.row, strict=True)]
            ranked = [f"{place}. {name}" for place, name in enumerate(names, 1)]  # two captions may be the same
            bars(dict(zip(ranked, found.cosine.tolist(), strict=True)), "cosine")


def zero_shot(held: HeldOut, most: int) -> None:
    """Classes that are told by nothing but their names."""
    left, right = st.columns(2)
    with left:
        by = st.radio("Classify", [name for name in held.askable if name not in held.texts], horizontal=True)
        given = ask(held, by, most)
    names = right.text_area(
        "Classes, one a line", "\n".join(held.class_names[:30]), height=200, max_chars=5000
    ).splitlines()
    names = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    template = right.text_input("The sentence of a class; {} is its name", next(iter(templates(held)), "{}"))
    if "{}" not in template:
        right.info("The sentence needs {} where the name is to stand: without it all classes are the same.")
    elif given and names:
        with given as query:
            values = held.zero_shot(by, query, held.texts[0], names, template)
        ranked = sorted(zip(names, values, strict=True), key=lambda pair: -pair[1])
        with right:
            bars(dict(ranked[:LIKELY]), "probability")


def embedding_map(held: HeldOut, _: int) -> None:
    """All modalities in one space; pictures and sentences are seen by pointing at them."""
    with st.spinner("The map is drawn once"):
        points = pd.DataFrame(held.points)
    if points.empty:
        st.info("There are too few samples for a map.")
        return
    contents = [held.show(name, item) for name, item in zip(points.modality, points.item, strict=True)]
    points["image"] = [data_uri(content) if isinstance(content, np.ndarray) else None for content in contents]
    points["content"] = [content if isinstance(content, str) else "" for content in contents]
    chosen = st.pills("Modalities", held.modalities, selection_mode="multi", default=held.modalities)
    frequent = [name for name in points.class_name.value_counts().index if name][: len(COLOURS) - 1]
    points["class"] = points.class_name.where(points.class_name.isin(frequent), "other")
    colours = altair.Scale(domain=[*frequent, "other"], range=[*COLOURS[: len(frequent)], "#b0b0b0"])
    chart = altair.Chart(points[points.modality.isin(chosen)]).mark_point(filled=True, size=45, opacity=0.8)
    axis = altair.Axis(labels=False, ticks=False, title=None, grid=False, domain=False)
    chart = chart.encode(
        x=altair.X("x", axis=axis),
        y=altair.Y("y", axis=axis),
        color=altair.Color("class", scale=colours),
        shape=altair.Shape("modality", scale=altair.Scale(domain=held.modalities)),
        tooltip=["image", "content", "modality", "class_name"],
    )
    st.altair_chart(chart.properties(height=680).interactive(), width="stretch")
    st.caption("t-SNE. Scroll to zoom, drag to move, point at a sample to see it.")


def predict(held: HeldOut, most: int) -> None:
    """The answer, what each modality adds to it, and what it is without some of them."""
    own = bool(held.askable) and st.toggle("My own input")
    if own:
        with ExitStack() as files:
            given = {name: ask(held, name, most) for name in held.askable}
            paths = {name: files.enter_context(query) for name, query in given.items() if query}
            batch = batch_of(held.data, [paths], held.modalities) if paths else None
        shown: Mapping[str, Any] = paths
    else:
        number = int(st.number_input("Held-out sample", 0, len(held.examples) - 1))
        batch, shown = held.example(number)
        for column, (name, content) in zip(st.columns(max(1, len(shown))), shown.items(), strict=False):
            with column:
                st.caption(plain(name))
                see(content)
        if truth := held.truth(batch):
            st.markdown(f"Right is **{plain(truth)}**.")
    kept = st.pills("Modalities that the model is given", list(shown), selection_mode="multi", default=list(shown))
    if batch is None or not kept:
        st.info("Give the model something to answer to.")
        return
    said = answer(held.asked, batch, frozenset(shown) - frozenset(kept))
    left, right = st.columns(2)
    with left:
        ranked = dict(sorted(said.scores.items(), key=lambda pair: -pair[1])[:LIKELY])
        bars(said.scores if said.are_values else ranked, "value" if said.are_values else "probability")
    with right:
        of = next(iter(said.scores if said.are_values else ranked))
        bars(said.contribution, f"contribution to {of}")
        st.caption(ADD_UP if len(said.contribution) <= MOST else LEFT_OUT)
        if said.weights:
            bars(said.weights, "weight in the fusion")


def ask(held: HeldOut, name: str, most: int) -> AbstractContextManager[str] | None:
    """A sentence or a checked file of the visitor, to be opened as a path or a text; None while there is none.

    Raises:
        DataError: the file is too large, or not what it should be.
    """
    kind = held.kinds[name]
    if kind == "text":
        sentence = st.text_input(f"Sentence ({plain(name)})", placeholder=held.title(0), max_chars=1000)
        return nullcontext(sentence) if sentence.strip() else None
    file = st.file_uploader(f"{'Picture' if kind == 'image' else 'Sound'} ({plain(name)})", key=name)
    if file is None:
        return None
    image_max = held.data.media.image_max if held.data.media else None
    upload = Upload.checked(file.getvalue(), kind, most, image_max)
    see(upload.shown)
    return upload.file()


def see(content: Any) -> None:
    """A picture, a sound, a sentence, or that there is nothing to see."""
    if content is None:
        st.text("(numbers)")
    elif isinstance(content, str):
        st.text(content)
    elif content.ndim == 1:
        st.audio(content, sample_rate=RATE)
    else:
        st.image(enlarged(content))


def pictures(contents: list[np.ndarray], captions: list[str]) -> None:
    """In rows."""
    for start in range(0, len(contents), ACROSS):
        end = start + ACROSS
        for column, content, caption in zip(st.columns(ACROSS), contents[start:end], captions[start:end], strict=False):
            with column.container(border=True):
                st.image(enlarged(content), caption=plain(caption), width="stretch")


def bars(values: Mapping[str, float], title: str) -> None:
    """A row a name, in this order, with its value to the right of its bar."""
    table = pd.DataFrame({"name": list(values), "value": list(values.values())})
    table["end"] = table.value.clip(lower=0)
    span = altair.Scale(domain=[min(0.0, float(table.value.min())), max(1e-6, float(table.value.max()))])
    base = altair.Chart(table).encode(y=altair.Y("name", sort=None, title=None, axis=altair.Axis(labelLimit=420)))
    drawn = base.mark_bar(color=COLOURS[0]).encode(x=altair.X("value", title=title, scale=span))
    figures = base.mark_text(align="left", dx=4, color="gray").encode(
        x=altair.X("end", title=title), text=altair.Text("value", format=".3f")
    )
    st.altair_chart((drawn + figures).properties(height=75 + 26 * len(table)), width="stretch")


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


def templates(held: HeldOut) -> list[str]:
    """Sentences that the captions were put into in training."""
    return list(held.trained.config["data"].get("templates") or [])


def plain(text: str) -> str:
    """Words of the data or of a file are never Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~$:.-])", r"\\\1", text)


if __name__ == "__main__":
    main()
