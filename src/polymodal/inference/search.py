"""The nearest of embedded samples to a sentence, a picture or a sound."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
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
from polymodal.config.signature import nearest
from polymodal.config.trust import trusted
from polymodal.data.loading.columns import FILE_KINDS
from polymodal.data.media.images import read_image
from polymodal.errors import ConfigError
from polymodal.files import check_output, writing
from polymodal.inference.arguments import ENDINGS
from polymodal.inference.run_predictor import RunPredictor
from polymodal.inference.table_writer import ABOUT, as_array
from polymodal.inference.trained import Trained
from polymodal.inference.vector_index import LARGE, VectorIndex
from polymodal.report.gallery import show_content
from polymodal.report.style import picture
from polymodal.training.build import make
from polymodal.training.checkpoints.files import fingerprint

ROWS = 65_536
"""Rows that are read at a time."""

PICTURE = 128
"""Side of a found picture in pixels."""

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
        found = [
            {"cosine": round(float(score), 4)} | result
            for score, result in zip(cosine[0], table.take(rows[0][rows[0] >= 0]), strict=False)
        ]
        with writing(output):
            draw(output, settings.query, found, find, table)
    if settings.json:
        print(
            json.dumps(
                {
                    "query": settings.query,
                    "by": by,
                    "find": find,
                    "picture": str(output),
                    "found": found,
                }
            )
        )
    else:
        Console().print(as_table(found, find))
        print(output)


def _directions(
    settings: SearchSettings, predictor: RunPredictor, table: Embedded
) -> tuple[str, str]:
    """The modality of the query, and that of what is searched."""
    modalities = predictor.model.modalities
    kinds = {name: predictor.data.kinds.get(name, name) for name in modalities}
    is_file, ending = _is_file(settings.query), Path(settings.query).suffix.lower()
    if not is_file and not settings.by and ending in ENDINGS and " " not in settings.query:
        raise ConfigError(
            f"query={settings.query}: there is no such file. If it is a sentence, add "
            "by=<modality>."
        )
    files = {name: kind for name, kind in kinds.items() if kind in FILE_KINDS}
    wanted = ENDINGS.get(ending) if is_file else "text"
    fitting = [name for name, kind in kinds.items() if kind == wanted] or (
        list(files) if is_file else []
    )
    by = settings.by or (fitting[0] if fitting else "")
    if by not in modalities:
        what = "file" if is_file else "sentence"
        raise ConfigError(
            f"query={settings.query}: a {what} is no input of this model; by= is one of "
            f"{modalities}."
        )
    others = [name for name in modalities if name != by and name in table.columns]
    find = settings.find or (others or [by])[0]
    if find not in modalities or find not in table.columns:
        raise ConfigError(
            f"find={find}: {table.file} has no such vectors.{nearest(find, modalities)}"
        )
    return by, find


def _is_file(query: str) -> bool:
    try:
        return Path(query).is_file()
    except (OSError, ValueError):  # a sentence that is too long for a name
        return False


class Embedded:
    """A table that embed.py wrote.

    Args:
        file: its path.
        predictor: the model, which must be the one that wrote it.

    Raises:
        ConfigError: the file is none of embed.py, or is of another model.
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
        self.data: Any
        self.file, self.settings, self.columns = (
            file,
            about["data"],
            self.parquet.schema_arrow.names,
        )
        self.kinds, self.data = predictor.data.kinds, None
        self.image_max = predictor.data.media.image_max if predictor.data.media else None

    def index(self, column: str, exact: bool | None) -> VectorIndex:
        """The index of a column of vectors, in which what several rows share (one name of many
        pictures) is once.

        It is made where there is none, or one of another table, and has its table's time.

        Args:
            column: which one.
            exact: whether every vector is compared; None: while there are not too many.
        """
        exact = self.parquet.metadata.num_rows < LARGE if exact is None else exact
        file = self.file.with_name(
            f"{self.file.name}.{column}.{'exact' if exact else 'approximate'}.faiss"
        )
        written = self.file.stat().st_mtime_ns
        if file.exists() and file.stat().st_mtime_ns == written:
            return VectorIndex.load(file)
        with Console(stderr=True).status(f"Index of {self.parquet.metadata.num_rows} rows"):
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
        """What stands in some rows, but for vectors."""
        ends = np.cumsum(
            [
                self.parquet.metadata.row_group(i).num_rows
                for i in range(self.parquet.num_row_groups)
            ]
        )
        plain = [f.name for f in self.parquet.schema_arrow if "list" not in str(f.type)]
        found = []
        for row in rows.tolist():
            group = int(np.searchsorted(ends, row, "right"))
            table = self.parquet.read_row_group(group, columns=plain)
            found.append(table.slice(row - int(ends[group]) + len(table), 1).to_pylist()[0])
        return found

    def content(self, result: Result, modality: str) -> Any:
        """What there is to see of a row: a picture, a sentence or a path."""
        words, kind = result[f"{modality}_words"], self.kinds.get(modality, modality)
        if words is not None:
            is_picture = kind == "image" and Path(words).is_file()
            if not is_picture:
                return words
            return read_image(Path(words), PICTURE, 3, image_max=self.image_max).transpose(1, 2, 0)
        if self.data is None:  # pictures without files: the data have them
            self.data = make(trusted({"data": self.settings})["data"], "data")
            self.data.prepare_data()
            self.data.setup("test")
        content = self.data.describe(modality, result[f"{modality}_item"])
        return str(result["id"]) if content is None else content


def as_table(found: Sequence[Result], modality: str) -> Table:
    """A row a result: its cosine, where it stands, and what words there are."""
    table = Table(
        "cosine", "id", *(name for name in ("source",) if found and found[0]["source"]), "what"
    )
    for result in found:
        words = [value for key, value in result.items() if key.endswith("_words") and value]
        words.sort(key=lambda word: word != result[f"{modality}_words"])
        source = [result["source"]] if found[0]["source"] else []
        table.add_row(
            *map(escape, (f"{result['cosine']:.3f}", str(result["id"]), *source, "\n".join(words)))
        )
    return table


def draw(file: Path, query: str, found: Sequence[Result], modality: str, table: Embedded) -> None:
    """A picture of the query and of what was found."""
    columns = min(5, len(found)) or 1
    lines = -(-len(found) // columns) or 1
    with picture(
        file, size=(2.1 * columns, 2.2 * lines + 0.4), nrows=lines, ncols=columns, squeeze=False
    ) as axes:
        axes[0, 0].figure.suptitle(query, parse_math=False)
        for axis in axes.flat[len(found) :]:
            axis.axis("off")
        for axis, result in zip(axes.flat, found, strict=False):
            show_content(axis, table.content(result, modality), f"{result['cosine']:.2f}")
