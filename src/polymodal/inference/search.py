"""The nearest embedded samples to a sentence, an image or a sound."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from polymodal.cli.programs import SearchSettings
from polymodal.config.trust import trusted
from polymodal.data.loading.columns import FILE_KINDS
from polymodal.data.media.images import read_image
from polymodal.errors import ConfigError, did_you_mean
from polymodal.files import check_output, writing
from polymodal.inference.arguments import KINDS
from polymodal.inference.run_predictor import RunPredictor
from polymodal.inference.table_writer import ABOUT, as_array
from polymodal.inference.trained import Trained
from polymodal.inference.vector_index import LARGE, VectorIndex
from polymodal.report.gallery import show_content
from polymodal.report.style import plot
from polymodal.training.build import make
from polymodal.training.checkpoints.files import fingerprint

ROWS = 65_536
"""Rows that are read at a time."""

SIDE = 128
"""Of a found image, in pixels."""

Result = dict[str, Any]


def main(settings: SearchSettings, changes: list[str]) -> None:
    """`python src/search.py checkpoint=... index=... query=...`."""
    output = Path(settings.output or f"{Path(settings.index).with_suffix('')}.found.png")
    check_output(output)
    with redirect_stdout(sys.stderr) if settings.json else nullcontext():
        predictor = RunPredictor(Trained(Path(settings.checkpoint), changes))
        table = Embedded(Path(settings.index), predictor)
        by, find = _directions(settings, predictor, table)
        x = predictor.outputs([{by: settings.query}]).x
        query = x[:, predictor.model.modalities.index(by)].float().cpu().numpy()
        cosine, rows = table.index(find, settings.exact).search(query, settings.top)
        # a row of -1 stands for none: the table may have fewer than `top`
        results = table.take(rows[0][rows[0] >= 0])
        scores = [round(float(score), 4) for score in cosine[0][: len(results)]]
        pairs = zip(scores, results, strict=True)
        found = [{"cosine": score} | result for score, result in pairs]
        with writing(output):
            draw(output, settings.query, found, find, table)
    if settings.json:
        report = {"query": settings.query, "by": by, "find": find}
        print(json.dumps(report | {"picture": str(output), "found": found}))
    else:
        Console().print(as_table(found, find))
        print(output)


def _directions(
    settings: SearchSettings, predictor: RunPredictor, table: Embedded
) -> tuple[str, str]:
    """The modality of the query, and that of what is searched."""
    modalities = predictor.model.modalities
    kinds = {name: predictor.data.kinds.get(name, name) for name in modalities}
    by = settings.by or _modality_of(settings.query, kinds)
    if by not in modalities:
        what = "file" if _is_file(settings.query) else "sentence"
        raise ConfigError(
            f"query={settings.query}: a {what} is no input of this model; by= is one of "
            f"{modalities}."
        )
    # another modality is searched, if the table has one
    others = [name for name in modalities if name != by and name in table.columns]
    find = settings.find or (others or [by])[0]
    if find not in modalities or find not in table.columns:
        raise ConfigError(
            f"find={find}: {table.file} has no such vectors.{did_you_mean(find, modalities)}"
        )
    return by, find


def _modality_of(query: str, kinds: Mapping[str, str]) -> str:
    """The modality that a sentence or a file is of; "" where the model has none for it.

    Args:
        query: a sentence, or the path of a file.
        kinds: modality -> image, text and so on.

    Raises:
        ConfigError: it looks like the name of a file, and there is none.
    """
    ending = Path(query).suffix.lower()
    if _is_file(query):
        likely = [name for name, kind in kinds.items() if kind == KINDS.get(ending)]
        files = [name for name, kind in kinds.items() if kind in FILE_KINDS]
        return next(iter(likely + files), "")
    if ending in KINDS and " " not in query:
        raise ConfigError(
            f"query={query}: there is no such file. If it is a sentence, add by=<modality>."
        )
    return next((name for name, kind in kinds.items() if kind == "text"), "")


def _is_file(query: str) -> bool:
    try:
        return Path(query).is_file()
    except (OSError, ValueError):  # a sentence that is too long for a name
        return False


class Embedded:
    """A table that embed.py wrote.

    Args:
        file: its path.
        predictor: the model that wrote it.

    Raises:
        ConfigError: embed.py did not write the file, or another model did.
    """

    def __init__(self, file: Path, predictor: RunPredictor) -> None:
        if file.is_dir():
            raise ConfigError(
                f"index={file} is a folder of arrays: search what embed.py writes to "
                "output=x.parquet."
            )
        try:
            self.parquet = parquet.ParquetFile(file)
            about = json.loads((self.parquet.schema_arrow.metadata or {})[ABOUT])
        except (OSError, ValueError, KeyError) as error:  # among the ValueErrors those of Arrow
            raise ConfigError(f"index={file} is no table that embed.py wrote: {error}") from error
        if about["model"] != fingerprint(predictor.trained.file):
            raise ConfigError(
                f"index={file} was written by another model. Write it anew with embed.py."
            )
        self.file, self.settings = file, about["data"]
        self.columns: list[str] = self.parquet.schema_arrow.names
        self.kinds: Mapping[str, str] = predictor.data.kinds
        self.data: Any = None
        self.image_max = predictor.data.media.image_max if predictor.data.media else None

    def index(self, column: str, exact: bool | None) -> VectorIndex:
        """The index of a column of vectors. A vector that rows share (one name of many images) is
        in it once.

        It is made where there is none, or one of another table, and has the time of its table.

        Args:
            column: which one.
            exact: whether every vector is compared; None: while there are not too many.
        """
        rows = self.parquet.metadata.num_rows
        exact = rows < LARGE if exact is None else exact
        how = "exact" if exact else "approximate"
        file = self.file.with_name(f"{self.file.name}.{column}.{how}.faiss")
        written = self.file.stat().st_mtime_ns
        if file.exists() and file.stat().st_mtime_ns == written:
            return VectorIndex.load(file)
        with Console(stderr=True).status(f"Index of {rows} rows"):
            index = VectorIndex.build(lambda: self._vectors(column), exact)
            index.save(file)
        os.utime(file, ns=(written, written))
        return index

    def _vectors(self, column: str) -> Iterator[np.ndarray]:
        items = self.parquet.read([f"{column}_item"]).column(0).fill_null(-1).to_numpy()
        repeated = np.ones(len(items), dtype=bool)
        repeated[np.unique(items, return_index=True)[1]] = False
        start = 0
        for batch in self.parquet.iter_batches(ROWS, columns=[column]):
            vectors = as_array(pa.chunked_array([batch.column(0)]))
            vectors[repeated[start : start + len(vectors)]] = np.nan
            start += len(vectors)
            yield vectors

    def take(self, rows: np.ndarray) -> list[Result]:
        """Some rows, without their vectors."""
        groups = range(self.parquet.num_row_groups)
        ends = np.cumsum([self.parquet.metadata.row_group(group).num_rows for group in groups])
        plain = [f.name for f in self.parquet.schema_arrow if "list" not in str(f.type)]
        found = []
        for row in rows.tolist():
            group = int(np.searchsorted(ends, row, "right"))
            table = self.parquet.read_row_group(group, columns=plain)
            found.append(table.slice(row - int(ends[group]) + len(table), 1).to_pylist()[0])
        return found

    def content(self, result: Result, modality: str) -> Any:
        """What a row shows: an image, a sentence or a path."""
        words, kind = result[f"{modality}_words"], self.kinds.get(modality, modality)
        if words is not None and not (kind == "image" and Path(words).is_file()):
            return words
        if words is not None:
            return read_image(Path(words), SIDE, 3, image_max=self.image_max).transpose(1, 2, 0)
        if self.data is None:  # images without files are in the data
            self.data = make(trusted({"data": self.settings})["data"], "data")
            self.data.prepare_data()
            self.data.setup("test")
        content = self.data.describe(modality, result[f"{modality}_item"])
        return str(result["id"]) if content is None else content


def as_table(found: Sequence[Result], modality: str) -> Table:
    """A row a result: its cosine, its source, and its captions or files, those found first."""
    has_source = bool(found) and bool(found[0]["source"])
    table = Table("cosine", "id", *(["source"] if has_source else []), "what")
    for result in found:
        words = [value for key, value in result.items() if key.endswith("_words") and value]
        words.sort(key=lambda word: word != result[f"{modality}_words"])
        source = [result["source"]] if has_source else []
        cells = [f"{result['cosine']:.3f}", str(result["id"]), *source, "\n".join(words)]
        table.add_row(*map(escape, cells))
    return table


def draw(file: Path, query: str, found: Sequence[Result], modality: str, table: Embedded) -> None:
    """Draws the results of a query."""
    columns = min(5, len(found)) or 1
    lines = -(-len(found) // columns) or 1
    size = (2.1 * columns, 2.2 * lines + 0.4)
    with plot(file, size=size, nrows=lines, ncols=columns, squeeze=False) as axes:
        axes[0, 0].figure.suptitle(query, parse_math=False)
        for axis in axes.flat[len(found) :]:
            axis.axis("off")
        for axis, result in zip(axes.flat, found, strict=False):
            show_content(axis, table.content(result, modality), f"{result['cosine']:.2f}")
