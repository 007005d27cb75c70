"""Whatever the precision, logits and loss are in fp32 (fp64 in fp64), and so are the parameters of
the objective."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins import MixedPrecision
from omegaconf import OmegaConf
from tests.callbacks.runs import DIM, MODALITIES, Vectors
from tests.resumed import configured
from torch import Tensor, nn

import polymodal
from polymodal.callbacks.report import Report
from polymodal.export.folder import export
from polymodal.fusion.concat import Concat
from polymodal.heads.linear import Linear
from polymodal.inference.evaluate import evaluate
from polymodal.inference.trained import Trained
from polymodal.model import MultimodalModel
from polymodal.module import MultimodalModule
from polymodal.objectives.clip import CLIP
from polymodal.objectives.global_batch import GlobalBatch
from polymodal.objectives.regression import Regression
from polymodal.outputs import ModelOutput
from polymodal.training.run import train

CONFIGS = Path(__file__).parents[2] / "configs" / "precision"
X = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "bf16_true": torch.bfloat16,
}


class Watched(CLIP):
    """Notes the types that it meets."""

    def forward(self, output: ModelOutput, batch: Any) -> Tensor:
        loss = super().forward(output, batch)
        self.seen = {"x": output.x.dtype, "loss": loss.dtype}
        return loss

    def part_of_loss(self, samples: GlobalBatch) -> Tensor:
        self.compared = {
            samples.x.dtype,
            self.scale().dtype,
            (self.scale() * samples.x[:, 0] @ samples.x[:, 1].T).dtype,
        }
        return super().part_of_loss(samples)


def fit(
    name: str, folder: Path | None = None, checkpoint: Path | None = None, epochs: int = 1
) -> Trainer:
    torch.manual_seed(0)
    model = MultimodalModel({name: nn.Linear(5, DIM) for name in MODALITIES})
    module = MultimodalModule(model, Watched(MODALITIES), partial(torch.optim.SGD, lr=0.1))
    options: dict[str, Any] = {"precision": OmegaConf.load(CONFIGS / f"{name}.yaml").precision}
    if name == "fp16":  # Lightning would take bf16 on a CPU
        options = {
            "plugins": MixedPrecision(
                "16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=1024.0)
            )
        }
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        limit_train_batches=3,
        limit_val_batches=1,
        **quiet,
        **options,
    )
    trainer.fit(module, datamodule=Vectors(), ckpt_path=checkpoint, weights_only=True)
    if folder is not None:
        trainer.save_checkpoint(folder / "state.ckpt")
    return trainer


@pytest.mark.parametrize("name", sorted(file.stem for file in CONFIGS.glob("*.yaml")))
def test_logits_and_loss_are_wide(name: str) -> None:
    trainer = fit(name)
    objective, wide = (
        trainer.lightning_module.objective,
        torch.float64 if name == "fp64" else torch.float32,
    )
    assert objective.seen == {"x": X.get(name, wide), "loss": wide}
    assert objective.compared == {wide}
    assert objective.logit_scale.dtype == wide
    assert trainer.callback_metrics["val/loss"].dtype == wide


def test_the_scale_of_the_gradient_is_part_of_a_checkpoint(tmp_path: Path) -> None:
    fit("fp16", tmp_path)
    saved = torch.load(tmp_path / "state.ckpt", weights_only=True)
    assert saved["MixedPrecision"]["scale"] == 1024
    saved["MixedPrecision"]["scale"] = 64.0
    torch.save(saved, tmp_path / "state.ckpt")
    assert (
        fit(
            "fp16", checkpoint=tmp_path / "state.ckpt", epochs=2
        ).precision_plugin.scaler.get_scale()
        == 64
    )


@pytest.mark.parametrize("name", ["fp32", "bf16", "bf16_true", "fp64"])
def test_labels_are_not_rounded(name: str, tmp_path: Path) -> None:
    seen: list[Tensor] = []

    class Years(Vectors):
        def splits(self):
            parts = super().splits()
            for part in parts:
                part.labels["size"] = part.labels["size"] * 0 + 1987.25  # in bf16 it is 1984
                part.labels["size"][0] += 0.5
            return parts

    class Kept(Regression):
        def terms(self, y: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
            seen.append(target)
            return super().terms(y, target)

    model = MultimodalModel(
        {n: nn.Linear(5, DIM) for n in MODALITIES}, Concat(DIM, MODALITIES), Linear(DIM, 2)
    )
    module = MultimodalModule(model, Kept("size", 2), partial(torch.optim.SGD, lr=1e-9))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    precision = OmegaConf.load(CONFIGS / f"{name}.yaml").precision
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        precision=precision,
        callbacks=[Report(str(tmp_path))],
        **quiet,
    )
    trainer.fit(module, datamodule=Years())
    trainer.test(module, datamodule=Years(), verbose=False)
    assert {float(value) for target in seen for value in target.unique()} == {1987.25, 1987.75}
    assert module.objective.mean == pytest.approx([1987.25] * 2, abs=0.1)
    assert float(trainer.callback_metrics["test/mae"]) < 5
    assert (tmp_path / "report" / "predicted_against_true.png").is_file()


@pytest.mark.parametrize("name", ["fp64", "bf16_true"])
def test_a_run_is_evaluated_and_exported_as_it_was_trained(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    supervised = [
        "objective=regression",
        "label=values",
        "outputs=3",
        "fusion=concat",
        "head=linear",
    ]
    config = configured(
        folder, *supervised, f"precision={name}", "test=true", "trainer.max_epochs=1"
    )
    train(config, config)
    before = json.loads((folder / "metrics.json").read_text())
    after = evaluate(folder, [f"run_dir={tmp_path / 'again'}"])
    tested = {k: v for k, v in before.items() if k.startswith("test/") and "/control/" not in k}
    assert {key: after[key] for key in tested} == tested
    export(str(folder), str(tmp_path / "exported"), ["safetensors"], "MIT")
    model = polymodal.load(tmp_path / "exported")
    # the scale is exact
    weights = {k: v for k, v in model.state_dict().items() if not k.endswith("_extra_state")}
    assert {value.dtype for value in weights.values() if value.is_floating_point()} == {
        torch.float32
    }
    trained = Trained(folder, ["devices=cpu"])
    module = trained.build(lambda _: False)[1].eval()
    ids = torch.tensor([[3, 4, 5]])
    exact = module.model.encoders["text"](ids)
    assert exact.dtype == (torch.float64 if name == "fp64" else torch.float32)
    torch.testing.assert_close(
        model.model.encoders["text"](ids).double(), exact.double(), rtol=1e-5, atol=1e-6
    )
