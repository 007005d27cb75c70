"""Cross-modal retrieval: recall@K, median and mean rank, in every direction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from polymodal.errors import NumericError
from polymodal.metrics.ranking import positive_ranks
from polymodal.metrics.sample_table import SampleTable, each_once, of_all_processes

Table = dict[str, Tensor]
"""N evaluated samples, sorted by id, each once: id (N,), group (N,), items (N, m), mask (N, m), x
(N, m, d) with vectors of length 1, and length (N, m), what they were divided by."""


COLUMNS = ("group", "items", "mask", "x", "length")


def embedding_columns(
    x: Tensor, items: Tensor, mask: Tensor, group: Tensor, id: Tensor
) -> dict[str, Tensor]:
    """B samples as columns of a `Table`.

    Args:
        x: (B, m, d) embeddings.
        items: (B, m) int64, which item of its modality each is.
        mask: (B, m) bool, which are present.
        group: (B,) int64. Equal group = positive.
        id: (B,) int64 of the samples.

    Raises:
        NumericError: an embedding of a present modality is NaN or infinite.
    """
    if not x[mask].isfinite().all():
        bad = id[(~x.isfinite().all(-1) & mask).any(-1)]
        raise NumericError(
            f"NaN or infinite embeddings in {len(bad)} samples, the first with id {int(bad[0])}."
        )
    x = x if x.dtype == torch.float64 else x.float()
    unit = torch.nn.functional.normalize(x, dim=-1, eps=1e-12)
    length = x.norm(dim=-1)
    return {"id": id, "group": group, "items": items, "mask": mask, "x": unit, "length": length}


class EmbeddingTable(SampleTable):
    """The embeddings of an evaluation, over all batches and processes; `compute` gives a
    `Table`.
    """

    def __init__(self) -> None:
        super().__init__(*COLUMNS)

    def update(self, x: Tensor, items: Tensor, mask: Tensor, group: Tensor, id: Tensor) -> None:  # type: ignore[override]
        """Adds B samples, see `embedding_columns`."""
        super().update(**embedding_columns(x, items, mask, group, id))

    def compute(self, device: str | None = None) -> Table:
        """All samples seen so far, sorted by id, on the device of the embeddings.

        Raises:
            ValueError: there is none.
        """
        return super().compute(device)


class Items(NamedTuple):
    """The items of one modality, each once.

    Attributes:
        x: (G, d) embeddings.
        group: (R,) int64, R >= G: the groups that they are in.
        of: (R,) int64, ascending, the item that each group is of; None where each has one.
    """

    x: Tensor
    group: Tensor
    of: Tensor | None


def distinct_items(table: Table, modality: int) -> Items:
    """The items of one modality; one that samples of several groups have is in all of these."""
    rows = table["mask"][:, modality].nonzero().squeeze(1)
    items = table["items"][rows, modality]
    order = items.argsort(stable=True)
    is_first = torch.ones_like(items, dtype=torch.bool)
    is_first[1:] = items[order][1:] != items[order][:-1]
    first = rows[order[is_first]]
    of, group = (is_first.cumsum(0) - 1), table["group"][rows[order]]
    if torch.equal(group, table["group"][first][of]):
        return Items(table["x"][first, modality], table["group"][first], None)
    of, group = torch.stack([of, group]).unique(dim=1)
    return Items(table["x"][first, modality], group, of)


def retrieval_metrics(
    table: Table, modalities: Sequence[str], ks: Sequence[int] = (1, 5, 10)
) -> dict[str, Tensor]:
    """`image_to_text/recall@1` and so on, for every ordered pair of modalities.

    Queries are the distinct items of the first modality, the gallery those of the second. An item
    is right that is in a group of the query's: a caption of two images is right for both, and
    both are right for it.
    """
    return {
        f"{source}_to_{target}/{name}": value
        for source, target in permutations(modalities, 2)
        for name, value in direction_metrics(
            table, modalities.index(source), modalities.index(target), ks
        )
    }


def direction_metrics(
    table: Table, source: int, target: int, ks: Sequence[int] = (1, 5, 10)
) -> Iterator[tuple[str, Tensor]]:
    """The metrics of one direction, from one column of the table to another; none where no query
    has an answer.
    """
    queries, gallery = distinct_items(table, source), distinct_items(table, target)
    ranks = positive_ranks(
        queries.x, gallery.x, queries.group, gallery.group, queries.of, gallery.of
    ).float()
    if len(ranks) == 0:
        return  # no pair of these two modalities: there is nothing to say
    for k in ks:
        yield f"recall@{k}", (ranks <= k).float().mean()
    yield "median_rank", ranks.quantile(0.5)
    yield "mean_rank", ranks.mean()


class Retrieval(Metric):
    """Recall@K, median and mean rank between all modalities, as a metric of torchmetrics.

    Several positives a query count (equal group), queries and gallery may differ in size, the N x N
    matrix is never held, NaN is an error. Embeddings are compared by cosine. A sample that two
    processes saw counts once.

        >>> import torch
        >>> retrieval, number = Retrieval(["image", "text"]), torch.arange(4)
        >>> both = number[:, None].expand(4, 2)
        >>> x = torch.eye(4)[both]
        >>> retrieval.update(x, both, torch.ones(4, 2, dtype=torch.bool), number, number)
        >>> retrieval.compute()["image_to_text/recall@1"]
        tensor(1.)

    Args:
        modalities: their names, in the order of x's rows.
        ks: the K of recall@K.
        options: those of `torchmetrics.Metric`.
    """

    is_differentiable = False
    full_state_update = False

    def __init__(
        self, modalities: Sequence[str], ks: Sequence[int] = (1, 5, 10), **options: Any
    ) -> None:
        super().__init__(**options)
        self.modalities, self.ks = list(modalities), tuple(ks)
        for name in ("id", *COLUMNS):
            self.add_state(name, [], "cat")

    def update(self, x: Tensor, items: Tensor, mask: Tensor, group: Tensor, id: Tensor) -> None:
        """Adds B samples, see `embedding_columns`."""
        for name, column in embedding_columns(x, items, mask, group, id).items():
            getattr(self, name).append(column.detach())

    def compute(self) -> dict[str, Tensor]:
        """`<source>_to_<target>/recall@K`, `.../median_rank` and `.../mean_rank`.

        Raises:
            ValueError: no process has seen a sample.
        """
        return retrieval_metrics(each_once(self._columns()), self.modalities, self.ks)

    def _columns(self) -> dict[str, Tensor]:
        states = {name: getattr(self, name) for name in ("id", *COLUMNS)}
        return {name: dim_zero_cat(state) for name, state in states.items() if len(state)}

    def _sync_dist(self, *_: Any, **__: Any) -> None:
        """Gathers all rows. torchmetrics' own waits for ever where a process has none."""
        for name, column in of_all_processes(self._columns()).items():
            setattr(self, name, [column])
