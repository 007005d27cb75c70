"""What all contrastive objectives share: terms, positives by group, exact gradients, a temperature,
evaluation.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polymodal.batch import PairedBatch
from polymodal.metrics.rest_retrieval import rest_metrics
from polymodal.metrics.retrieval import EmbeddingTable, Table, retrieval_metrics
from polymodal.objectives.base import Objective, aux_loss
from polymodal.objectives.global_batch import GlobalBatch
from polymodal.objectives.terms import Term
from polymodal.outputs import ModelOutput
from polymodal.training.distributed.collectives import world_size

MAX_LOG_SCALE = math.log(100)


class Contrastive(Objective):
    """Compares the rows of X; samples of one group are positives of each other.

    The loss is the weighted mean of its terms, each of which brings some modalities together. A
    term is a mean over the samples that have all of its modalities; the others are neither queries
    nor negatives there. A term without any sample counts as 0: an absent modality does not make the
    others weigh more.

    It is the loss of the global batch: rows of all processes are gathered with their gradients,
    and each process answers for its own samples, so that gradients averaged over processes equal
    those of one process.

    Args:
        modalities: names of the rows of X.
        evaluation_batch_size: samples in one loss when a split is evaluated. The validation loss
            is a mean over such batches of a fixed shuffle: it does not depend on how the loader
            cuts the split.
        logit_scale: first value of exp(logit_scale), the inverse temperature; None: the loss has
            none.
        learn_scale: whether it is trained.
        terms: the rows of the view that each term compares, and its weight; each has a scale of its
            own. None: the objective has no terms, and one scale.
    """

    logit_scale: nn.Parameter | None

    def __init__(
        self,
        modalities: list[str],
        evaluation_batch_size: int,
        logit_scale: float | None,
        learn_scale: bool = True,
        terms: Sequence[Term] | None = None,
    ) -> None:
        super().__init__()
        if len(modalities) < 2:
            raise ValueError(
                f"A contrastive objective aligns at least two modalities, not {modalities}. Name a "
                "column of another one, such as data.columns.text=caption, or predict a label: "
                "objective=classification."
            )
        self.modalities = modalities
        self.terms = list(terms or [])
        self.evaluation_batch_size = evaluation_batch_size
        self.logit_scale = None
        if logit_scale is not None:
            self.logit_scale = nn.Parameter(
                torch.full((1 if terms is None else len(terms),), math.log(logit_scale)),
                requires_grad=learn_scale,
            )
        self.table = EmbeddingTable()

    @abstractmethod
    def losses(self, batch: GlobalBatch, term: int) -> Tensor:
        """Losses of the own samples, (B,), in the term of this number; x (N, k, d) holds its k
        modalities alone.
        """

    def matrix_width(self, batch: GlobalBatch) -> int:
        """How many numbers `losses` holds for each own sample, if that grows with N: they are then
        held in blocks.
        """
        return 0

    def part_of_loss(self, batch: GlobalBatch) -> Tensor:
        """What this process' own samples add to the loss of all samples; over all processes it sums
        up to the loss.

        Its graph reaches x and all parameters even where nothing is present: the other processes
        wait for gradients.
        """
        total = batch.x.new_zeros(())
        for number, term in enumerate(self.terms):
            complete = batch.having(term.rows)
            losses = partial(self.losses, term=number)
            total = total + term.weight * complete.mean(losses, self.matrix_width(complete))
        return total / sum(term.weight for term in self.terms)

    def view(self, output: ModelOutput) -> ModelOutput:
        """What the loss sees of X (B, m, d) and its mask: unit vectors, in fp32 at least."""
        return ModelOutput(F.normalize(in_fp32(output.x), dim=-1, eps=1e-12), output.mask)

    def groups(self, batch: PairedBatch) -> Tensor:
        """(B,) int64, what makes two samples positives of each other, in the loss and in
        retrieval.
        """
        return batch.group

    def scale(self, index: int = 0) -> Tensor:
        """One of the inverse temperatures, a scalar."""
        assert self.logit_scale is not None
        return self.logit_scale[index].exp()

    def forward(self, output: ModelOutput, batch: PairedBatch) -> Tensor:
        """X (B, m, d) of this process' samples -> the scalar loss of the global batch."""
        # logits and loss in fp32, whatever the precision
        with torch.autocast(output.x.device.type, enabled=False):
            view = self.view(output)
            together = GlobalBatch.gathered(view.x, view.mask, self.groups(batch), output.complete)
            loss = (
                self.part_of_loss(together) * world_size()
            )  # DDP divides by the number of processes
            return loss + aux_loss(view)

    def update(self, output: ModelOutput, batch: PairedBatch) -> None:
        """Adds the embeddings of a batch."""
        items = torch.stack([batch.items[name] for name in self.modalities], dim=1)
        self.table.update(output.x, items, output.mask, self.groups(batch), batch.id)

    def compute(self) -> dict[str, Tensor]:
        """`loss` and the metrics of retrieval."""
        table = self.table.compute()
        return {"loss": self._split_loss(table), **self.metrics(table)}

    def metrics(self, table: Table) -> dict[str, Tensor]:
        """recall@1/5/10, median and mean rank of each direction; `recall@K`, the means over these
        directions.

        With three modalities or more also `rest_to_<k>/...`: all others together ask for modality
        k.
        """
        metrics = retrieval_metrics(table, self.modalities)
        for name in ("recall@1", "recall@5", "recall@10"):
            if found := [value for key, value in metrics.items() if key.endswith(f"/{name}")]:
                metrics[name] = torch.stack(found).mean()
        if len(self.modalities) > 2:
            metrics |= rest_metrics(table, *self.remaining(table), self.modalities)
        return metrics

    def remaining(self, table: Table) -> tuple[Tensor, Tensor]:
        """What stands for all modalities but k, (N, m, d), scored by dot product, and where it can
        ask, (N, m) bool.

        For losses that compare pairs it is the sum of the vectors that are there.
        """
        x, mask = table["x"].masked_fill(~table["mask"][:, :, None], 0), table["mask"]
        return x.sum(1, keepdim=True) - x, mask.sum(1, keepdim=True) > mask.long()

    def reset(self) -> None:
        """Forgets the embeddings."""
        self.table.reset()

    def _split_loss(self, table: Table) -> Tensor:
        count = len(table["id"])
        shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(0)).to(
            table["id"].device
        )
        batches = shuffled.tensor_split(max(1, round(count / self.evaluation_batch_size)))
        losses = []
        for rows in batches:
            view = self.view(embedded(table, rows))
            batch = GlobalBatch.alone(view.x, view.mask, table["group"][rows])
            losses.append(self.part_of_loss(batch))
        weights = torch.tensor([len(rows) / count for rows in batches], device=losses[0].device)
        return (torch.stack(losses) * weights).sum()

    @torch.no_grad()
    def clamp(self) -> None:
        """Keeps the scale in [1, 100], as CLIP does."""
        if self.logit_scale is not None:
            self.logit_scale.clamp_(0, MAX_LOG_SCALE)


def in_fp32(x: Tensor) -> Tensor:
    """The same in fp32 at least."""
    return x if x.dtype == torch.float64 else x.float()


def embedded(table: Table, rows: Tensor) -> ModelOutput:
    """X and its mask of some rows of a table, as the model gave them."""
    return ModelOutput(table["x"][rows] * table["length"][rows][:, :, None], table["mask"][rows])
