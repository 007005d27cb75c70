"""One page that shows a run: report/index.html, made of the files in the run's folder."""

from __future__ import annotations

import base64
import csv
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf
from PIL import Image

from polymodal.controls.control import verdict
from polymodal.files import read_json, write_whole
from polymodal.report.cards import cards_of
from polymodal.report.curve_data import Plot, plots_of
from polymodal.report.html import render
from polymodal.report.tables import TextTable, read_table

ROWS, COLUMNS = 300, 40
"""So much of a table is shown; all of it is in its file."""
BARS = 30
"""Classes that have a bar: the most frequent ones."""
WIDE = 1200
"""Images of more pixels than this have a row of the page for themselves."""

CAPTIONS = {
    "curves": "Over the optimizer steps.",
    "embedding_map": "Held-out samples, a panel a modality. Aligned modalities overlap.",
    "zero_shot": "Classes by their names alone. A row is a true class.",
    "confusion": "A row is a true class.",
    "reliability": "On the diagonal, a confidence of 0.8 is right in 8 of 10 cases.",
    "predicted_against_true": "On the diagonal, the prediction is right.",
    "residuals": "Predicted minus true value. A slope or a bend is what the model misses.",
    "subsets": "The model with some of the modalities alone, and what each of them contributes.",
    "robustness": "What is left when modalities are missing or noisy.",
}
"""Plot -> what it shows, in the order of the page; galleries come after the curves."""
GALLERY = "A query, a right item, and the nearest items with their cosine. Green: right."
PANELS = ("map", "gallery", "mistakes")
"""Kinds of JSON files that are shown."""
SPLITS = {"test": "Held-out data", "val": "Last validation", "": "Training"}
"""First part of the keys -> heading; "" is all the rest."""


class StaticPlot(NamedTuple):
    """A static plot within the page: heading, what it shows, the file as a data URI, whether it
    needs a whole row.
    """

    title: str
    caption: str
    source: str
    wide: bool


class Bars(NamedTuple):
    """Recall of the most frequent classes: (class, samples, recall), the lowest first; and how many
    more there are.
    """

    title: str
    rows: list[tuple[str, float, float]]
    further: int


class Section(NamedTuple):
    """What a folder of the report holds: panels of JSON files, bars, images, and (heading, table)
    of each CSV file.
    """

    title: str
    panels: list[dict[str, Any]]
    bars: list[Bars]
    images: list[StaticPlot]
    tables: list[tuple[str, TextTable]]


def write_page(run_dir: Path) -> Path:
    """Writes `report/index.html`: metrics, plots, tables, config and environment in one file that
    needs no network.

    Whatever is missing in the folder is left out. All text is escaped, and only the page's own
    script may run.

    Args:
        run_dir: a run's folder, or that of an evaluation.

    Returns:
        the file.
    """
    # the files of the run
    config_text = _text(run_dir / "config.yaml")
    metrics: dict[str, float] = read_json(run_dir / "metrics.json")
    environment: dict[str, Any] = read_json(run_dir / "environment.json")
    config = OmegaConf.to_container(OmegaConf.create(config_text or "{}"), resolve=False)
    assert isinstance(config, dict)
    report = run_dir / "report"
    about = read_json(report / "about.json")
    plots = _plots(run_dir / "metrics.csv")
    # several objectives have a folder each
    folders = [report, *sorted(path for path in report.glob("*") if path.is_dir())]
    monitor = (str(config.get("monitor", "")), str(config.get("monitor_mode", "max")))
    html = render(
        "page.html",
        name=str(config.get("name", run_dir.name)),
        folder=run_dir.name,
        parts=_parts(config),
        cards=cards_of(metrics, about),
        checkpoint=about if "name" in about else None,
        verdict=verdict(metrics, *monitor),
        seconds=metrics.get("time/total_seconds"),
        plots=plots,
        blocks=_all_blocks(metrics, about),
        sections=[_section(folder, report, bool(plots)) for folder in folders],
        sounds=read_json(report / "sounds.json").get("sounds", {}),
        config=config_text,
        environment=_environment(environment),
    )
    report.mkdir(exist_ok=True)
    file = report / "index.html"
    write_whole(file, html)
    return file


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _plots(file: Path) -> list[Plot]:
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        return plots_of(list(csv.DictReader(stream)))


def _parts(config: Mapping[Any, Any]) -> list[tuple[str, str]]:
    """(part, class) of what the run is made of: "image encoder", "CNN"."""
    nodes = {"data": config.get("data")}
    nodes |= {f"{name} encoder": node for name, node in (config.get("encoder") or {}).items()}
    nodes |= {group: config.get(group) for group in ("fusion", "head", "objective", "optimizer")}
    return [
        (part, node["_target_"].rpartition(".")[2])
        for part, node in nodes.items()
        if node and "_target_" in node
    ]


def _all_blocks(
    metrics: Mapping[str, float], about: Mapping[str, Any]
) -> list[tuple[str, list[Any]]]:
    """(heading, tables): of each split, and of the validation of the checkpoint that is tested."""
    blocks = [(title, _blocks(metrics, split)) for split, title in SPLITS.items()]
    if about.get("validation"):
        blocks.insert(1, (f"Validation of {about['name']}", _blocks(about["validation"], "val")))
    return blocks


def _blocks(
    metrics: Mapping[str, float], split: str
) -> list[tuple[list[str], list[tuple[str, list[float]]]]]:
    """Tables of (metrics, rows of (what, values)): what has the same metrics is in one table, that
    of all first.
    """
    of: dict[str, dict[str, float]] = {}
    for key, value in metrics.items():
        first, _, rest = key.partition("/")
        if first == split or (not split and first not in SPLITS):
            what, _, metric = (rest if split else key).rpartition("/")
            of.setdefault(what, {})[metric] = value
    tables: dict[tuple[str, ...], list[tuple[str, list[float]]]] = {}
    for what, values in sorted(of.items(), key=lambda pair: pair[0] != ""):
        tables.setdefault(tuple(values), []).append((what, list(values.values())))
    return [(list(names), rows) for names, rows in tables.items()]


def _section(folder: Path, report: Path, has_curves: bool) -> Section:
    found = {file.stem: read_json(file) for file in sorted(folder.glob("*.json"))}
    panels = {stem: panel for stem, panel in found.items() if panel.get("kind") in PANELS}
    ordered = sorted(panels.values(), key=lambda panel: PANELS.index(panel["kind"]))
    # an interactive plot replaces the image of the same name
    replaced = {*panels, *(["curves"] if has_curves else [])}
    images = [file for file in folder.glob("*.png") if file.stem not in replaced]
    images.sort(key=lambda file: (_place(file.stem), file.name))
    tables = [
        (_words(file.stem), read_table(file, ROWS, COLUMNS))
        for file in sorted(folder.glob("*.csv"))
    ]
    bars = [bars for file in sorted(folder.glob("*.csv")) for bars in _bars(file)]
    title = "" if folder == report else _words(folder.name)
    return Section(title, ordered, bars, [_image(file) for file in images], tables)


def _bars(file: Path) -> list[Bars]:
    """The recall of each class, where a table has it: one or none."""
    table = read_table(file)
    if not {"class", "support", "recall"} <= set(table.header):
        return []
    columns = [table.header.index(name) for name in ("class", "support", "recall")]
    rows = [tuple(row[column] for column in columns) for row in table.rows]
    occurring = [(str(name), float(n), float(v)) for name, n, v in rows if n and v is not None]  # type: ignore[arg-type]
    largest = sorted(occurring, key=lambda row: -row[1])[:BARS]
    what = file.stem.removesuffix("_classes")
    title = "Recall per class" if file.stem == "classes" else f"{_words(what)}: recall per class"
    bars = Bars(title, sorted(largest, key=lambda row: row[2]), len(occurring) - len(largest))
    return [bars] if largest else []


def _place(name: str) -> int:
    order = list(CAPTIONS)
    if name in order:
        return 2 * order.index(name)
    return 1 if "_to_" in name else 2 * len(order)


def _image(file: Path) -> StaticPlot:
    caption = CAPTIONS.get(file.stem, GALLERY if "_to_" in file.stem else "")
    encoded = base64.b64encode(file.read_bytes()).decode()
    with Image.open(file) as image:
        wide = image.width > WIDE
    return StaticPlot(_words(file.stem), caption, f"data:image/png;base64,{encoded}", wide)


def _words(name: str) -> str:
    """`image_to_text` -> `Image to text`."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _environment(environment: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """(name, value) of what environment.json says."""
    for key, value in environment.items():
        if key == "packages":
            yield from ((name, version) for name, version in value.items() if version)
        elif key in {"command", "overrides"}:
            yield key, shlex.join(value)
        elif value not in (None, ""):
            yield key, str(value)
