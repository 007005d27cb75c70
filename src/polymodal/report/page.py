"""One page that shows a run: report/index.html, made of the files in the run's folder."""

from __future__ import annotations

import base64
import secrets
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from omegaconf import OmegaConf
from PIL import Image

from polymodal.files import read_json, write_whole
from polymodal.report.curves import SHARES
from polymodal.report.style import COLOURS
from polymodal.report.tables import TextTable, read_table

ROWS, COLUMNS = 300, 40
"""So much of a table is shown; all of it is in its file."""
TILES = 6
"""Figures at the head of the page."""
WIDE = 1200
"""Pictures of more pixels than this have a row of the page for themselves."""

CAPTIONS = {
    "curves": "Over the optimizer steps.",
    "embedding_map": "Held-out samples, a panel a modality. Modalities that are aligned lie upon each other.",
    "zero_shot": "Classes told by their names alone. A row is a true class.",
    "confusion": "A row is a true class.",
    "reliability": "On the diagonal, a confidence of 0.8 is right in 8 of 10 cases.",
    "predicted_against_true": "On the diagonal, the prediction is right.",
    "subsets": "The model with some of the modalities alone, and what each of them contributes.",
    "robustness": "What is left when modalities are missing or noisy.",
}
"""Picture -> what it shows, in the order of the page; galleries come after the curves."""
GALLERY = "A query, what is right, and the nearest items with their cosine. Green: right."


class Picture(NamedTuple):
    """A picture within the page: heading, what it shows, the file as a data URI, and whether it needs a whole row."""

    title: str
    caption: str
    source: str
    wide: bool


class Section(NamedTuple):
    """What a folder of the report holds: pictures, and (heading, table) of each CSV file."""

    title: str
    pictures: list[Picture]
    tables: list[tuple[str, TextTable]]


def write_page(run_dir: Path) -> Path:
    """Writes `report/index.html`: figures, pictures, tables, config and environment in one file that needs no network.

    Whatever is missing in the folder is left out. All text is escaped, and only the page's own script may run.

    Args:
        run_dir: a run's folder, or that of an evaluation.

    Returns:
        the file.
    """
    config_text = _text(run_dir / "config.yaml")
    figures: dict[str, float] = read_json(run_dir / "metrics.json")
    environment: dict[str, Any] = read_json(run_dir / "environment.json")
    config = OmegaConf.to_container(OmegaConf.create(config_text or "{}"), resolve=False)
    assert isinstance(config, dict)
    report = run_dir / "report"
    folders = [report, *sorted(path for path in report.glob("*") if path.is_dir())]
    templates = Environment(loader=PackageLoader("polymodal.report"), autoescape=True, undefined=StrictUndefined)
    html = templates.get_template("page.html").render(
        name=config.get("name", run_dir.name),
        folder=run_dir.name,
        parts=_parts(config),
        tiles=_tiles(figures),
        seconds=figures.get("time/total_seconds"),
        blocks=[(title, _blocks(figures, split)) for split, title in SPLITS.items()],
        sections=[_section(folder, report) for folder in folders],
        config=config_text,
        environment=_environment(environment),
        accent=COLOURS[0],
        nonce=secrets.token_hex(16),
    )
    report.mkdir(exist_ok=True)
    file = report / "index.html"
    write_whole(file, html)
    return file


SPLITS = {"test": "Held-out data", "val": "Last validation", "": "Training"}
"""First part of the keys -> heading; "" is all the rest."""


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _parts(config: Mapping[Any, Any]) -> list[tuple[str, str]]:
    """(part, class) of what the run is made of: "image encoder", "CNN"."""
    nodes = {"data": config.get("data")}
    nodes |= {f"{name} encoder": node for name, node in (config.get("encoder") or {}).items()}
    nodes |= {group: config.get(group) for group in ("fusion", "head", "objective", "optimizer")}
    return [(part, node["_target_"].rpartition(".")[2]) for part, node in nodes.items() if node and "_target_" in node]


def _tiles(figures: Mapping[str, float]) -> list[tuple[str, float, float | None]]:
    """(name, value, the same of the validation) of the most telling figures: of the whole first, then of its parts."""
    tested = {key.removeprefix("test/"): value for key, value in figures.items() if key.startswith("test/")}
    tested = {name: value for name, value in tested.items() if not name.startswith("control/")}
    ranks = {name: (name.count("/"), SHARES.index(last)) for name in tested if (last := name.split("/")[-1]) in SHARES}
    return [(name, tested[name], figures.get(f"val/{name}")) for name in sorted(ranks, key=ranks.__getitem__)[:TILES]]


def _blocks(figures: Mapping[str, float], split: str) -> list[tuple[list[str], list[tuple[str, list[float]]]]]:
    """Tables of (metrics, rows of (what, values)): what has the same metrics is in one table, that of all first."""
    of: dict[str, dict[str, float]] = {}
    for key, value in figures.items():
        first, _, rest = key.partition("/")
        if first == split or (not split and first not in SPLITS):
            what, _, metric = (rest if split else key).rpartition("/")
            of.setdefault(what, {})[metric] = value
    tables: dict[tuple[str, ...], list[tuple[str, list[float]]]] = {}
    for what, values in sorted(of.items(), key=lambda pair: pair[0] != ""):
        tables.setdefault(tuple(values), []).append((what, list(values.values())))
    return [(list(metrics), rows) for metrics, rows in tables.items()]


def _section(folder: Path, report: Path) -> Section:
    files = sorted(folder.glob("*.png"), key=lambda file: (_place(file.stem), file.name))
    tables = [(_words(file.stem), read_table(file, ROWS, COLUMNS)) for file in sorted(folder.glob("*.csv"))]
    return Section("" if folder == report else _words(folder.name), [_picture(file) for file in files], tables)


def _place(name: str) -> int:
    order = list(CAPTIONS)
    return 2 * order.index(name) if name in order else 1 if "_to_" in name else 2 * len(order)


def _picture(file: Path) -> Picture:
    caption = CAPTIONS.get(file.stem, GALLERY if "_to_" in file.stem else "")
    encoded = base64.b64encode(file.read_bytes()).decode()
    with Image.open(file) as image:
        wide = image.width > WIDE
    return Picture(_words(file.stem), caption, f"data:image/png;base64,{encoded}", wide)


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
