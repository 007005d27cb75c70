"""Class folders: pictures sorted into a folder a class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.progress import track

from polymodal.data.loading.hidden import is_hidden
from polymodal.data.loading.splits import split_parts
from polymodal.data.table.files import ManifestTable, joined
from polymodal.data.table.module import TableData
from polymodal.errors import DataError
from polymodal.types import PositiveInt

ENDINGS = (
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".gif",
    ".bmp",
    ".ppm",
    ".pgm",
    ".tif",
    ".tiff",
    ".svg",
    ".svgz",
)
COLUMNS = {"image": "file", "text": "class", "label": "class", "group": "class", "split_by": "file"}


class Folder(TableData):
    """Pictures as torchvision's ImageFolder reads them: `path/cat/1.jpg`, or `path/train/cat/1.jpg`
    and so on.

        python src/train.py data=folder data.path=animals callbacks=[default,zero_shot_names]

    The folder is the class: the label, with blanks for underscores; the caption, put into
    templates, one of them drawn at random in training; and the group, so that pictures and captions
    of one class are positives of each other. There are folders for train, val and test, or each
    picture falls into one of them by a fixed hash of its path below `path`; where one of val and
    test is missing, it is made of training pictures in the same way. Folders within a class folder
    belong to the class; hidden ones (`.ipynb_checkpoints`, `@eaDir`, `__MACOSX`) are never read.

    Args:
        path: of the folder.
        templates: sentences with a {} for the class.
        eval_captions: so many of them, the first ones, are used in evaluation; None for all.
        options: further arguments of `TableData`.

    Raises:
        DataError: there is no such folder, or it holds no pictures in class folders.
    """

    def __init__(
        self,
        path: str,
        templates: Sequence[str] = ("a picture of a {}.",),
        eval_captions: PositiveInt | None = 1,
        **options: Any,
    ) -> None:
        super().__init__(
            columns=COLUMNS, templates=templates, eval_captions=eval_captions, **options
        )
        self.path = Path(path)

    def read_table(self) -> ManifestTable:
        """A row a picture, in the order of their names, with columns `file` and `class`."""
        if not self.path.is_dir():
            raise DataError(f"data.path={self.path}: there is no such folder.")

        # a trained model may be given images without classes
        folders = _subfolders(self.path)
        if "train" not in self.wanted and not any(
            len(_class_table(self.path, folder)) for folder in folders
        ):
            return self._without_classes()

        # folders are splits that hold classes, or classes
        parts = split_parts([folder.name for folder in folders])
        if len(parts) == 1 < len(folders):  # a class of the name "train"
            parts = {}
        found = [
            (number, classes)
            for number, name in (parts or {-1: ""}).items()
            for classes in _subfolders(self.path / name)
        ]
        tables = [
            _class_table(self.path, folder)
            for _, folder in track(found, "Class folders", transient=True)
        ]

        # an empty class folder is no class
        filled = [index for index, table in enumerate(tables) if len(table)]
        if not filled:
            raise DataError(
                f"data.path={self.path}: there are no pictures in class folders, such as "
                f"{self.path}/cat/1.jpg"
            )
        tables, found = [tables[index] for index in filled], [found[index] for index in filled]
        if "train" in self.wanted:
            self._check_depth([folder for _, folder in found], tables)
        names = [str(folder) for _, folder in found]
        return joined(tables, names, [self.path] * len(found), [number for number, _ in found])

    def _without_classes(self) -> ManifestTable:
        """A row a picture that lies in the folder itself, without a class: for a model that is
        trained.

        Raises:
            DataError: there is none.
        """
        names = sorted(child.name for child in self.path.iterdir() if child.is_file())
        names = [name for name in names if name.lower().endswith(ENDINGS) and not is_hidden(name)]
        if not names:
            raise DataError(
                f"data.path={self.path}: there are no pictures in it, nor in folders within it."
            )
        text = pa.large_string()
        table = pa.table({"file": pa.array(names, text), "class": pa.nulls(len(names), text)})
        return joined([table], [str(self.path)], [self.path], [-1])

    def column_names(self) -> list[str]:
        """The file, and the class that its folder is."""
        return ["file", "class"]

    def whole_table(self) -> pa.Table:
        """Paths below `path` and classes."""
        return self.read_table().table

    def _check_depth(self, folders: Sequence[Path], tables: Sequence[pa.Table]) -> None:
        """Refuses a single class whose pictures all lie deeper: the classes are the folders in it.

        Raises:
            DataError: says which path may be meant.
        """
        if len({folder.name for folder in folders}) > 1:
            return
        files = [self.path / file for table in tables for file in table["file"].to_pylist()]
        inner = {
            file.relative_to(folder).parts[0]
            for file in files
            for folder in folders
            if folder in file.parents
        }
        if len(inner) > 1 and not any(file.parent in folders for file in files):
            meant = f" Is data.path={folders[0]} meant?" if len(folders) == 1 else ""
            raise DataError(
                f"data.path={self.path}: there is one class, {folders[0].name}, and its "
                f"{len(files)} pictures lie in folders within it ({', '.join(sorted(inner)[:5])}): "
                f"one class has nothing apart.{meant}"
            )


def _subfolders(folder: Path) -> list[Path]:
    return sorted(
        child for child in folder.iterdir() if child.is_dir() and not is_hidden(child.name)
    )


def _folders(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A folder and all within it, each once, with the names of its files; links may lead back."""
    seen: set[str] = set()
    for place, inner, names in os.walk(folder, followlinks=True):
        seen.add(str(Path(place).resolve()))
        shown = [name for name in inner if not is_hidden(name)]
        inner[:] = sorted(name for name in shown if str(Path(place, name).resolve()) not in seen)
        yield place, names


def _class_table(root: Path, folder: Path) -> pa.Table:
    """The pictures of a class, those of folders in its folder too."""
    files = [
        Path(place, name).relative_to(root).as_posix()
        for place, names in _folders(folder)
        for name in names
        if name.lower().endswith(ENDINGS) and not is_hidden(name)
    ]
    column = pa.array(sorted(files), pa.large_string())
    name = pa.array([folder.name.replace("_", " ")], pa.large_string())
    classes = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(column), dtype=np.int32)), name)
    return pa.table({"file": column, "class": classes})
