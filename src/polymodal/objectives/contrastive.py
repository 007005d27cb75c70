"""What all contrastive objectives share: pairs of modalities, positives by group, exact gradients, evaluation."""

from __future__ import annotations

import math
from abc import abstractmethod
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polymodal.batch import PairedBatch
from polymodal.losses.gather import gather_rows, world_size
from polymodal.metrics.retrieval import EmbeddingTable, Table, retrieval_figures
from polymodal.model import ModelOutput
from polymodal.objectives.base import Objective

MAX_LOG_SCALE = math.log(100)


class Contrastive(Objective):
    """Aligns the rows of X over all pairs of modalities; samples of one group are positives of each other.

    The loss is that of the global batch: rows of all processes are gathered with their gradients, and each process
    answers for its own rows, so that gradients averaged over processes equal those of one process.

    Args:
        modalities: names of the rows of X.
        logit_scale: first value of exp(logit_scale), the inverse temperature.
        evaluation_batch_size: samples in one loss when a whole split is judged. The validation loss is a mean over
            such batches of a fixed shuffle: it does not depend on how the loader cuts the split.
    """

    couples_batch = True

    def __init__(self, modalities: list[str], logit_scale: float, evaluation_batch_size: int) -> None:
        super().__init__()
        if len(modalities) < 2:
            raise ValueError(f"A contrastive objective aligns at least two modalities, not {modalities}.")
        self.modalities = list(modalities)
        self.evaluation_batch_size = evaluation_batch_size
        self.logit_scale = nn.Parameter(torch.tensor(math.log(logit_scale)))
        self.table = EmbeddingTable()

    @abstractmethod
    def rows(self, queries: Tensor, keys: Tensor, positives: Tensor) -> Tensor:
        """(B, d) rows of one modality against (N, d) of another, (B, N) bool positives -> (B,) losses."""

    @property
    def directions(self) -> list[tuple[int, int]]:
        """Pairs (queries, keys) of rows of X that have a loss: each pair of modalities, both ways round."""
        pairs = list(combinations(range(len(self.modalities)), 2))
        return pairs + [(b, a) for a, b in pairs]

    def forward(self, output: ModelOutput, batch: PairedBatch) -> Tensor:
        """X (B, m, d) of this process' samples -> the scalar loss of the global batch."""
        with torch.autocast(output.x.device.type, enabled=False):  # logits and loss in fp32, whatever the precision
            x = normalised(output.x)
            keys = gather_rows(x)
            key_mask, key_group = gather_rows(output.mask), gather_rows(batch.group)
            losses = self._losses(x, output.mask, batch.group, keys, key_mask, key_group)
            return losses * world_size()  # DDP divides by the number of processes

    def _losses(
        self, x: Tensor, mask: Tensor, group: Tensor, keys: Tensor, key_mask: Tensor, key_group: Tensor
    ) -> Tensor:
        """This process' share of the global loss: a sum over its rows, divided by the global number of rows."""
        total = x.new_zeros(()) + 0 * (x.sum() + self.logit_scale)  # a graph even where no pair is present
        for a, b in self.directions:
            query = mask[:, a] & mask[:, b]  # rows and columns of a pair: the samples that have both
            key = key_mask[:, a] & key_mask[:, b]
            positives = group[query][:, None] == key_group[key][None, :]
            losses = self.rows(x[query, a], keys[key, b], positives)
            total = total + losses.sum() / key.sum().clamp(min=1) / len(self.directions)
        return total

    def update(self, output: ModelOutput, batch: PairedBatch) -> None:
        """Adds the embeddings of a batch."""
        items = torch.stack([batch.items[name] for name in self.modalities], dim=1)
        self.table.update(normalised(output.x), items, output.mask, batch.group, batch.id)

    def compute(self) -> dict[str, Tensor]:
        """`loss`, and recall@1/5/10, median and mean rank of each direction."""
        table = self.table.compute()
        return {"loss": self._split_loss(table), **retrieval_figures(table, self.modalities)}

    def reset(self) -> None:
        """Forgets the embeddings."""
        self.table.reset()

    def _split_loss(self, table: Table) -> Tensor:
        count = len(table["id"])
        shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(0)).to(table["id"].device)
        batches = shuffled.tensor_split(max(1, round(count / self.evaluation_batch_size)))
        losses = [
            self._losses(*[table[name][rows] for name in ("x", "mask", "group", "x", "mask", "group")])
            for rows in batches
        ]
        weights = torch.tensor([len(rows) / count for rows in batches], device=losses[0].device)
        return (torch.stack(losses) * weights).sum()

    @torch.no_grad()
    def clamp(self) -> None:
        """Keeps the scale in [1, 100], as CLIP does."""
        self.logit_scale.clamp_(0, MAX_LOG_SCALE)


def normalised(x: Tensor) -> Tensor:
    """Rows of length 1, in fp32 at least."""
    return F.normalize(x if x.dtype == torch.float64 else x.float(), dim=-1, eps=1e-12)
