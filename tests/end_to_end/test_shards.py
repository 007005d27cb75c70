"""Shards train with one `data=` choice, and are evaluated again with the same metrics."""

from pathlib import Path

import pytest
import torch
from tests.data.shards import write_shards
from tests.end_to_end.test_experiments import QUIET, run

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.errors import ConfigError
from polymodal.inference.evaluate import evaluate

SMALL = ["data.image_size=16", "data.num_workers=0", "data.vocab_size=300", "data.batch_size=16"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("shards")
    write_shards(folder, [40, 40, 40])
    return f"{folder}/{{000..002}}.tar"


def chosen(shards: str, *more: str) -> list[str]:
    words = [
        "data=webdataset",
        f"data.path={shards}",
        "callbacks=[checkpoint,report]",
        *SMALL,
        *more,
    ]
    return [*as_hydra_arguments(words), *QUIET, "++trainer.log_every_n_steps=1"]


def test_shards_are_aligned_and_judged_again(shards: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    epochs = ["data.epoch_samples=64", "trainer.max_epochs=2", "data.num_workers=1"]
    metrics = run(tmp_path / "run", *chosen(shards, *epochs))
    assert 0 <= metrics["test/image_to_text/recall@1"] <= 1
    assert (tmp_path / "run" / "report" / "image_to_text.png").exists()
    stored = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert stored["WebDataset"]["tokenizer"]
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"  # the weights that were tested
    again = evaluate(last, ["devices=cpu", "data.batch_size=5", "data.num_workers=0"])
    assert again["test/image_to_text/recall@1"] == pytest.approx(
        metrics["test/image_to_text/recall@1"]
    )


def test_shards_are_classified_without_a_known_length(shards: str, tmp_path: Path) -> None:
    supervised = ["objective=classification", "fusion=concat", "head=linear", "outputs=3"]
    supervised += ["data.columns.label=json.label"]
    with pytest.raises(ConfigError, match="A stream needs data.epoch_samples"):
        run(tmp_path / "a", *chosen(shards, *supervised))
    metrics = run(tmp_path / "b", *chosen(shards, *supervised, "trainer.max_steps=8"))
    assert 0 <= metrics["test/accuracy"] <= 1
