"""How a table and its files are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from polymodal.data.loading.columns import ColumnChoice
from polymodal.data.loading.splits import check_shares
from polymodal.data.media.formats import MediaFormat
from polymodal.errors import ConfigError


@dataclass(frozen=True)
class ManifestFormat:
    """How a table and its files are read; see the arguments of `TableData`.

    Raises:
        ConfigError: settings that cannot be.
    """

    columns: ColumnChoice
    media: MediaFormat
    label_kind: Literal["class", "value", "tags"]
    splits: Sequence[float]
    templates: Sequence[str]
    eval_captions: int | None
    numeric: int
    cardinalities: Sequence[int]
    max_caption: int
    on_error: Literal["raise", "skip"]
    max_bad_fraction: float

    def __post_init__(self) -> None:
        shares, sizes = list(self.splits), list(self.cardinalities)
        check_shares(shares)
        for template in self.templates:
            if template.count("{}") != 1:
                raise ConfigError(
                    f"data.templates: {template!r} needs one {{}}, where the caption goes."
                )
        for name in self.columns.of_kind("tabular"):
            if len(self.columns[name]) != self.numeric + len(sizes):
                raise ConfigError(
                    f"data.columns.{name} has {len(self.columns[name])} columns; "
                    f"data.numeric={self.numeric} and data.cardinalities={sizes} make "
                    f"{self.numeric + len(sizes)}."
                )
