"""From the columns of a manifest to samples: what each modality holds, labels, groups and
splits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polymodal.data.loading.bad_samples import Skips
from polymodal.data.loading.columns import FILE_KINDS, ROLES
from polymodal.data.loading.splits import SPLITS, dealt_splits, named_splits
from polymodal.data.loading.values import LARGEST
from polymodal.data.table.contents import Captions, Columns, Content, grouped_captions
from polymodal.data.table.file_column import file_column
from polymodal.data.table.files import ManifestTable, codes_of, taken
from polymodal.data.table.format import ManifestFormat
from polymodal.data.table.groups import joined_by_captions
from polymodal.data.table.labels import class_codes, class_names, tag_codes, unknown_names
from polymodal.data.table.rows import Rows
from polymodal.data.table.samples import Samples
from polymodal.data.table.templates import Templated
from polymodal.errors import ConfigError, DataError, named

Learned = dict[str, Any]
"""`label`: names of the classes or tags; a table's name: its `names` of categories, `mean` and
`std` of its numbers."""


class ManifestReader:
    """Reads a manifest. What it finds stands in its attributes.

    Attributes:
        samples: of all splits; captions are not cut into tokens yet.
        split: (N,) number of the split of each.
        learned: see `Learned`.
        notes: what a person should know of how the table was read: values that the training did not
            have, and others.

    Args:
        table: the wanted columns.
        format: how it is read.
        learned: of the checkpoint that is evaluated, or empty.

    Raises:
        ConfigError: a column is not there, or there are more categories than the settings say.
        DataError: what cannot be used, and where.
    """

    def __init__(self, table: ManifestTable, format: ManifestFormat, learned: Learned) -> None:
        self.format, self.columns = format, format.columns
        self.table, self.places = table, table.places
        self.skips = Skips(len(table), self.places, format.on_error, format.max_bad_fraction)
        self.rows = Rows(table, self.skips)
        self.learned, self.notes = dict(learned), self.rows.notes

        # rows that cannot be used are rejected column by column, before any are joined
        cells = {name: self._cells(name) for name in self.columns.kinds}
        label = self._label_cells() if "label" in self.columns else None
        roles = {key: self._role(key, cells) for key in ROLES[1:] if key in self.columns}
        given_split = self._given_split(roles)

        # rows of one id are one sample
        same = self._constant(cells, label, roles)
        self.first, self.sample = self.rows.samples(roles.get("id"), same)
        if not len(self.first):
            raise DataError(self.skips.summary())

        # what is split by a hash is the group, so that no positive pair lies across two splits
        group, names = codes_of(taken(self._group_names(cells, roles), self.first))
        split_by = (group, names)
        if "split_by" in roles:
            split_by = codes_of(taken(_named(roles["split_by"]), self.first))
        self.split = dealt_splits(given_split[self.first], *split_by, format.splits)

        # means, categories and classes are learned from the training split, which is known by now
        contents = {name: self._content(name, cells[name]) for name in cells}
        labels = {} if label is None else {"label": self._labels(label)}
        if "group" not in self.columns:
            group = joined_by_captions(group, contents)
        self.samples = Samples(
            contents, labels, group, self.first, self.skips, format.eval_captions
        )

    def _cells(self, name: str) -> Any:
        """The checked rows of a modality: text and rows of captions, paths, or numbers with the
        text of categories.
        """
        names, kind = self.columns[name], self.columns.kinds[name]
        if kind == "text":
            return self.rows.captions(names, self.format.max_caption)
        if kind == "tabular":
            numeric = self.format.numeric
            return self.rows.numbers(names[:numeric]), [
                self.rows.names(column) for column in names[numeric:]
            ]
        return self.rows.files(names[0])

    def _role(self, key: str, cells: Mapping[str, Any]) -> pa.Array:
        """(rows,) text of a group, a split or an id; of a column of files each file in one
        spelling.
        """
        column = self.columns[key][0]
        for name in self.columns.of_kind(*FILE_KINDS):
            if self.columns[name] == [column] and cells[name].content is None:
                return cells[name].names()
        return self.rows.names(column)

    def _label_cells(self) -> Any:
        names = self.columns["label"]
        if self.format.label_kind == "value":
            return self.rows.numbers(names)
        if len(names) > 1:
            raise ConfigError(
                f"data.columns.label={names}: give one column, or data.label_kind=value."
            )
        return (
            self.rows.names(names[0])
            if self.format.label_kind == "class"
            else self.rows.tags(names[0])
        )

    def _given_split(self, roles: Mapping[str, pa.Array]) -> np.ndarray:
        """(rows,) number of the split where a column or the source gives it, else -1."""
        if "split" in roles:
            split, bad = named_splits(roles["split"])
            named = f"{self.columns['split'][0]}={{!r}} is no split: write {', '.join(SPLITS)}."
            self.rows.reject(
                bad, "bad value", lambda row: named.format(roles["split"][row].as_py())
            )
            return split
        return self.table.split

    def _constant(
        self, cells: Mapping[str, Any], label: Any, roles: Mapping[str, pa.Array]
    ) -> dict[str, Any]:
        """Columns that must say the same in all rows of an id."""
        same = {
            self.columns[key][0]: roles[key]
            for key in ("group", "split", "split_by")
            if key in roles
        }
        for name in self.columns.of_kind(*FILE_KINDS):
            column = self.columns[name][0]
            same |= {column: cells[name].called(), f"size of {column}": cells[name].sizes()}
        for name in self.columns.of_kind("tabular"):
            numbers, categories = cells[name]
            parts = [*numbers.T, *categories]
            same |= dict(zip(self.columns[name], parts, strict=True))
        if label is not None and self.format.label_kind != "tags":
            parts = [label] if self.format.label_kind == "class" else list(label.T)
            same |= dict(zip(self.columns["label"], parts, strict=True))
        return same

    def _group_names(self, cells: Mapping[str, Any], roles: Mapping[str, pa.Array]) -> pa.Array:
        """(rows,) text: the group, else the id, else the first file, else something of the row's
        own.
        """
        text = pa.large_string()
        files = self.columns.of_kind(*FILE_KINDS)
        own = cells[files[0]].names() if files else pa.nulls(len(self.table), text)
        return _named(roles.get("group", roles.get("id", own)))

    @property
    def captions(self) -> list[Captions]:
        """The contents that are text."""
        return [
            content for content in self.samples.contents.values() if isinstance(content, Captions)
        ]

    def _content(self, name: str, cells: Any) -> Content:
        """A modality of all samples."""
        kind = self.columns.kinds[name]
        if kind == "text":
            texts, row = cells
            captions = grouped_captions(texts, self.sample[row], len(self.first))
            return Templated(captions, self.format.templates) if self.format.templates else captions
        if kind == "tabular":
            return Columns(self._standardised(name, *cells), self.format.numeric)
        folder = self.places.part_of(self.first)
        return file_column(self.format.media, kind, cells, self.first, folder, self.places.folders)

    def _standardised(
        self, name: str, numbers: np.ndarray, categories: Sequence[pa.Array]
    ) -> np.ndarray:
        """(N, columns) float32: numbers with mean 0 and deviation 1 over the training split, then
        codes.
        """
        numbers, training = numbers[self.first], self.split == 0
        texts = [taken(text, self.first) for text in categories]

        # means, deviations and categories are those of the training split
        if name not in self.learned:
            known = np.ma.masked_invalid(numbers[training])
            self.learned[name] = {
                "mean": known.mean(0).filled(0).tolist(),
                "std": np.where(known.std(0).filled(0) > 0, known.std(0).filled(1), 1).tolist(),
                "names": [class_names(text.filter(pa.array(training))) for text in texts],
            }
        learned = self.learned[name]

        # an encoder has room for so many categories
        sizes = [len(names) for names in learned["names"]]
        columns = self.columns[name][self.format.numeric :]
        for column, own, most in zip(
            columns, learned["names"], self.format.cardinalities, strict=True
        ):
            if len(own) > most:
                raise ConfigError(
                    f"data.cardinalities={list(self.format.cardinalities)}: the columns of {name} "
                    f"have {sizes} categories, {column} {named(own)}."
                )

        # a number that float32 cannot hold after scaling is an error in its row
        numbers = (numbers - np.array(learned["mean"])) / np.array(learned["std"])
        far = np.abs(numbers) > LARGEST
        self.rows.reject(
            self.first[far.any(1)],
            "bad number",
            lambda _: f"a number of {name} is too far from those of the training.",
        )
        numbers[far] = np.nan

        # a category that training did not have is the unknown one
        codes = []
        for column, text, names in zip(columns, texts, learned["names"], strict=True):
            code, unknown = class_codes(text, names)
            codes.append(code)
            if len(unknown):
                self.notes.append(
                    unknown_names(f"data.columns.{name}, {column}", text, unknown, names)
                )
        return np.column_stack([numbers, *codes]).astype(np.float32)

    def _labels(self, cells: Any) -> np.ndarray:
        """(N,) or (N, p) labels of all samples."""
        if self.format.label_kind == "value":
            values = cells[self.first].astype(np.float32)
            return values[:, 0] if values.shape[1] == 1 else values
        if self.format.label_kind == "class":
            text = taken(cells, self.first)
            names = self.learned.setdefault("label", class_names(text))
            result, unknown = class_codes(text, names)
            row = np.arange(len(text))
        else:
            text, row, known = cells
            used = np.isin(row, self.first)  # of several rows of one id, the first
            text, row = text.filter(pa.array(used)), self.sample[row[used]]
            names = self.learned.setdefault("label", class_names(text))
            result, unknown = tag_codes(text, row, known[self.first], names)
        column = f"data.columns.label={self.columns['label'][0]}"
        if not names:
            raise DataError(f"{column}: no row has one.")
        if len(unknown):
            self._reject_unknown(
                unknown_names(column, text, unknown, names), self.first[row[unknown]]
            )
        return result

    def _reject_unknown(self, problem: str, rows: np.ndarray) -> None:
        """Leaves rows out whose labels the trained model does not have.

        Raises:
            DataError: bad rows are not to be skipped.
        """
        if self.format.on_error == "raise":
            raise DataError(f"{problem} (data.on_error=skip leaves such rows out)")
        self.notes.append(problem)
        self.rows.reject(np.unique(rows), "bad value", lambda _: "its label was not in training.")


def _named(names: pa.Array) -> pa.Array:
    """(rows,) text -> the same; a row without a name gets one of its own."""
    if not names.null_count:
        return names
    number = pa.array(np.arange(len(names))).cast(names.type)
    before, between = (pa.scalar(word, names.type) for word in ("row", " "))
    return pc.coalesce(names, pc.binary_join_element_wise(before, number, between))
