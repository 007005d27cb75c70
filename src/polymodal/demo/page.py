"""The page itself, as Streamlit runs it: from top to bottom, again after each click."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from typing import Any

import altair
import numpy as np
import pandas as pd
import streamlit as st

from polymodal.cli.programs import DemoSettings, parsed
from polymodal.demo.bars import bars, percent, points
from polymodal.demo.contributions import MOST, Explanation, explain
from polymodal.demo.fields import in_words
from polymodal.demo.held_out import HeldOut, opened
from polymodal.demo.outputs import label_name
from polymodal.demo.widgets import KEPT, cards, chosen_example, data_uri, input_widgets, plain
from polymodal.errors import PolymodalError
from polymodal.formatting import readable, signed
from polymodal.report.media import Sound
from polymodal.report.style import COLOURS

# no strings below the constants, as elsewhere: Streamlit would show them
LIKELY = 12  # classes that are shown
SUGGESTED = 24  # classes that are written into the page
ADD_UP = "Shapley values: they add up to the difference to the answer without any modality."
LEFT_OUT = (
    f"What the answer loses without this modality alone. With more than {MOST} modalities these "
    "are no Shapley values, and do not add up."
)


def main() -> None:
    """The name of the run, and a tab for each thing that its model can do."""
    settings, changes = parsed(sys.argv[1:], DemoSettings)
    held = opened(settings, tuple(changes))
    st.set_page_config(f"{held.name} · polymodal", layout="wide")
    st.html("<style>.stMainBlockContainer {padding-top: 3rem}</style>")
    st.markdown(f"## {plain(held.name)}")
    modalities = ", ".join(map(plain, held.modalities))
    st.caption(f"{len(held.table['id']):,} held-out samples of {modalities}")
    contents: dict[str, Callable[[HeldOut, int], None]] = {
        "Predict": predict,
        "Search": search,
        "Classify by name": zero_shot,
        "Map": embedding_map,
    }
    # of the hidden tabs nothing is computed
    names = held.tabs
    if not names:
        st.info("There are too few held-out samples to show anything.")
        return
    tabs = st.tabs(names, key="tab", on_change="rerun", bind="query-params")
    for name, tab in zip(names, tabs, strict=True):
        if not tab.open:
            continue
        with tab:
            try:
                contents[name](held, settings.upload_mb * 2**20)
            except PolymodalError as error:
                st.error(plain(str(error)))


def predict(held: HeldOut, most: int) -> None:
    """The answer to what is given, and what each modality adds to it."""
    # inputs on the left, of which some may be left out
    number = chosen_example(held, "predict", held.modalities)
    left, right = st.columns([2, 3], gap="large")
    with ExitStack() as files:
        with left:
            given = input_widgets(held, "predict", held.modalities, number, files, most)
            kept = list(given)
            if len(given) > 1:
                kept = st.pills(
                    "The model is given",
                    list(given),
                    selection_mode="multi",
                    default=list(given),
                    format_func=plain,
                    key=f"predict/kept/{','.join(given)}",
                )
        if not kept:
            right.info("Give the model something to answer to, or choose an example.")
            return
        explanation = explain(held.predictor, held.batch(given), frozenset(given) - frozenset(kept))
    # the prediction on the right, beside the label of an example
    objective = held.predictor.supervised
    assert objective is not None
    with right:
        show_prediction(explanation, label_name(held.trained, objective))
        is_example = all(value == number for value in given.values())
        truth = held.truth(held.examples[number]) if is_example else ""
        if truth:
            st.markdown(f"The data say: **{plain(truth)}**")
        show_contributions(explanation)


def show_prediction(explanation: Explanation, label: str) -> None:
    """Values in their units, or the most likely classes."""
    if explanation.are_values:
        for name, value in explanation.scores.items():
            st.metric(plain(name), readable(value))
        return
    ranked = dict(sorted(explanation.scores.items(), key=lambda pair: -pair[1])[:LIKELY])
    st.markdown(f"#### {plain(label)}")
    st.html(bars(ranked, percent, 1.0))
    if len(ranked) < len(explanation.scores):
        st.caption(f"The {LIKELY} most likely of {len(explanation.scores):,}.")


def show_contributions(explanation: Explanation) -> None:
    """What each modality adds to an answer, where there are several."""
    if len(explanation.contribution) < 2:
        return
    st.markdown(f"#### What each modality adds to “{plain(explanation.of)}”")
    written: Callable[[float], str] = signed if explanation.are_values else points
    st.html(bars(explanation.contribution, written))
    if explanation.base is None:
        st.caption(LEFT_OUT)
    else:
        base = readable(explanation.base) if explanation.are_values else percent(explanation.base)
        st.caption(f"Without any modality it is {plain(base)}. {ADD_UP}")
    if explanation.weights:
        st.markdown("#### Weight in the fusion")
        st.html(bars(explanation.weights, percent, 1.0))


def search(held: HeldOut, most: int) -> None:
    """The nearest held-out items to a sentence, an image, a sound or a row."""
    left, right, end = st.columns([2, 2, 3])
    by = left.radio("Search with", held.queries, horizontal=True, format_func=plain)
    others = [name for name in held.queries if name != by]
    find = right.radio("Find", [*others, by], horizontal=True, format_func=plain, key=f"find/{by}")
    top = end.slider("How many", 1, 50, 10)
    place = f"search/{by}"
    number = chosen_example(held, place, [by])
    with ExitStack() as files:
        given = input_widgets(held, place, [by], number, files, most)
        if not given:
            st.info("Give something to search with, or choose an example.")
            return
        found = held.search(by, given[by], find, top)
    contents = [held.show(find, item) for item in found.item]
    cosines = found.cosine.tolist()
    st.markdown(f"#### Nearest {plain(find)}")
    if isinstance(contents[0], np.ndarray | Sound):
        rows = zip(cosines, found.row, strict=True)
        cards(contents, [f"{cosine:.3f} {held.title(row)}" for cosine, row in rows])
    else:
        pairs = zip(map(sentence_of, contents), found.row, strict=True)
        names = [name or f"{held.title(row)} ({row})" for name, row in pairs]
        # two captions may be the same
        ranked = [f"{place}. {name}" for place, name in enumerate(names, 1)]
        st.html(bars(dict(zip(ranked, cosines, strict=True)), "{:.3f}".format, 1.0))
    st.caption("The number is the cosine of the two vectors; 1 is the most.")


def zero_shot(held: HeldOut, most: int) -> None:
    """Classes by nothing but their names."""
    # what is classified: any modality but text
    choices = [name for name in held.queries if name not in held.texts]
    by = choices[0]
    if len(choices) > 1:
        by = st.radio("Classify", choices, horizontal=True, format_func=plain)
    place = f"classify/{by}"
    number = chosen_example(held, place, [by])
    left, right = st.columns([2, 3], gap="large")
    with ExitStack() as files:
        with left:
            given = input_widgets(held, place, [by], number, files, most)
            typed = st.text_area(
                "Classes, one a line",
                "\n".join(suggested(held)),
                height=200,
                max_chars=5000,
                key="classify/classes",
                persist_state=KEPT,
            )
            template = st.text_input(
                "The sentence of a class; {} is its name",
                next(iter(templates(held)), "{}"),
                key="classify/template",
                persist_state=KEPT,
            )
        # each class once, in the order of the lines
        lines = [line.strip() for line in typed.splitlines()]
        names = list(dict.fromkeys(line for line in lines if line))
        with right:
            if "{}" not in template:
                st.info("The sentence needs {} for the name: without it all classes are the same.")
            elif not names:
                st.info("Write the name of a class, or several, one a line.")
            elif not given:
                st.info("Give something to classify, or choose an example.")
            else:
                values = held.zero_shot(by, given[by], held.texts[0], names, template)
                ranked = sorted(zip(names, values, strict=True), key=lambda pair: -pair[1])
                st.html(bars(dict(ranked[:LIKELY]), percent, 1.0))


def suggested(held: HeldOut) -> list[str]:
    """Names of the classes that are frequent in the data, or else some of its sentences."""
    labels = held.table["label"]
    counts = labels[labels >= 0].bincount(minlength=len(held.class_names))
    order = counts.argsort(descending=True).tolist()
    names = [held.class_names[place] for place in order if counts[place]]
    numbers = held.with_items(held.texts[:1])[:SUGGESTED]
    return names[:SUGGESTED] or [held.example(number)[1][held.texts[0]] for number in numbers]


def templates(held: HeldOut) -> list[str]:
    """Sentences that the captions were put into in training."""
    return list(held.trained.config["data"].get("templates") or [])


def embedding_map(held: HeldOut, _: int) -> None:
    """All modalities in one space; images and sentences are seen by pointing at them."""
    with st.spinner("The map is drawn once"):
        places = map_of(held)
    chosen = held.modalities
    if len(chosen) > 1:
        chosen = st.pills(
            "Modalities",
            chosen,
            selection_mode="multi",
            default=chosen,
            format_func=plain,
            key="map/modalities",
            persist_state=KEPT,
        )
    st.altair_chart(drawn(places[places.modality.isin(chosen)], held.modalities), width="stretch")
    st.caption("t-SNE of the vectors. Scroll to zoom, drag to move, point at a sample to see it.")


@cache
def map_of(held: HeldOut) -> pd.DataFrame:
    """A row a vector: its place, and what there is to see of it."""
    table = pd.DataFrame(held.points)
    items = zip(table.modality, table.item, strict=True)
    contents = [held.show(name, item) for name, item in items]
    images = (isinstance(content, np.ndarray) for content in contents)
    table["image"] = [data_uri(c) if has else None for c, has in zip(contents, images, strict=True)]
    table["content"] = [sentence_of(content) for content in contents]
    frequent = [name for name in table.class_name.value_counts().index if name][: len(COLOURS) - 1]
    table["class"] = table.class_name.where(table.class_name.isin(frequent), "other")
    return table


def sentence_of(content: Any) -> str:
    """A sentence, or the words of a row; "" of anything else."""
    if isinstance(content, dict):
        return in_words(content)
    return content if isinstance(content, str) else ""


def drawn(table: pd.DataFrame, modalities: Sequence[str]) -> Any:
    """The chart: colours are classes, or modalities where there are no classes."""
    names = [name for name in dict.fromkeys(table["class"]) if name != "other"]
    legend = altair.Legend(orient="bottom", columns=2, labelLimit=150)
    # grey is seen on white and on black
    grey: dict[str, Any] = {"symbolFillColor": "gray", "symbolStrokeColor": "gray"}
    forms = None
    if names and len(modalities) > 1:
        forms = altair.Legend(orient="top", **grey)
    by_modality = altair.Scale(domain=list(modalities), range=COLOURS)
    colour = altair.Color("modality", scale=by_modality, legend=legend)
    if names:
        colours = altair.Scale(domain=[*names, "other"], range=[*COLOURS[: len(names)], "#b0b0b0"])
        if "other" not in set(table["class"]):
            colours = altair.Scale(domain=names, range=COLOURS[: len(names)])
        colour = altair.Color("class", scale=colours, legend=legend)
    axis = altair.Axis(labels=False, ticks=False, title=None, grid=False, domain=False)
    chart = altair.Chart(table).mark_point(filled=True, size=45, opacity=0.8)
    chart = chart.encode(
        x=altair.X("x", axis=axis),
        y=altair.Y("y", axis=axis),
        color=colour,
        shape=altair.Shape("modality", scale=altair.Scale(domain=list(modalities)), legend=forms),
        tooltip=["image", "content", "modality", "class_name"],
    )
    return chart.properties(height=620).interactive()


if __name__ == "__main__":
    main()
