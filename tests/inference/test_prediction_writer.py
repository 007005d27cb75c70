"""Predictions are written with Lightning's own predict loop, and nothing of the module changes."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from polymodal.batch import PairedBatch
from polymodal.data.tensors import TensorData, TensorSet
from polymodal.inference import prediction_writer
from polymodal.inference.prediction_writer import PredictionWriter, RemainingSamples
from polymodal.inference.table_writer import TableWriter, as_array
from polymodal.model import MultimodalModel
from polymodal.module import MultimodalModule
from polymodal.objectives.clip import CLIP


class Pairs(TensorData):
    """Ten samples a split; only a is in the data."""

    modalities = ("a",)

    def splits(self) -> tuple[TensorSet, TensorSet, TensorSet]:
        def part(first: int) -> TensorSet:
            values = torch.arange(first, first + 10).float()[:, None].expand(10, 2)
            return TensorSet({"a": values}, {}, first)

        return part(0), part(10), part(20)


@pytest.mark.parametrize("buffered", [1, 8192], ids=["a part a batch", "one part"])
def test_rows_that_are_written_are_not_predicted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, buffered: int
) -> None:
    monkeypatch.setattr(prediction_writer, "ROWS", buffered)
    output = tmp_path / "x.parquet"
    assert predicted(output) == list(range(10, 20))
    first = sorted((tmp_path / "x.parquet.parts").glob("*.arrow"))
    assert len(first) == (4 if buffered == 1 else 1)
    first[-1].unlink()  # the process was stopped before its last part
    lost = [17, 18, 19] if buffered == 1 else list(range(10, 20))
    assert predicted(output) == lost
    parts = TableWriter(output, {})
    assert parts.join() == 10
    table = pq.read_table(output)
    assert table["id"].to_pylist() == list(range(10, 20))
    assert table["b_item"].null_count == 10
    assert as_array(table["a"])[:, 0].tolist() == list(range(10, 20))


def predicted(output: Path) -> list[int]:
    """Writes the val split, and says which samples the model saw."""
    encoders = nn.ModuleDict({"a": nn.Identity(), "b": nn.Linear(2, 2)})
    module = MultimodalModule(MultimodalModel(encoders), CLIP(["a", "b"]), torch.optim.SGD)
    objective, seen, step = module.objective, [], module.predict_step

    def watched(batch: PairedBatch, batch_idx: int) -> Tensor:
        seen.extend(batch.id.tolist())
        return step(batch, batch_idx)

    module.predict_step = watched
    parts = TableWriter(output, {})
    writer = PredictionWriter(parts, ["a", "b"], None, "", None, "vectors")
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[writer],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        use_distributed_sampler=False,
    )
    samples = RemainingSamples(Pairs(batch_size=3, num_workers=0, seed=0), "val", ["a", "b"], parts)
    trainer.predict(module, datamodule=samples, return_predictions=False)
    assert module.objective is objective
    return seen
