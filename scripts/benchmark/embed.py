"""Embedding with src/embed.py against a bare PyTorch loop over the same loader and model; in turns,
in one run.

The bare loop loads, runs encoders, fusion and head, and keeps nothing. Ours also writes the table:
vectors, words and ids as Parquet. Reading the data set and building the model is in neither.

    python scripts/benchmark/embed.py [rounds=5] [key=value of the config ...]
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import pandas  # noqa: F401  pyarrow imports it with the first table, once
import torch

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.inference.prediction_writer import PredictionWriter, RemainingSamples
from polymodal.inference.table_writer import TableWriter
from polymodal.training.build import build
from polymodal.training.process import prepare_process


def configured(overrides: list[str], folder: str) -> dict[str, Any]:
    quiet = [f"run_dir={folder}", "trainer.enable_progress_bar=false", "callbacks=none"]
    return check_config(compose_config(as_hydra_arguments([*quiet, *overrides])))


def ours(config: dict[str, Any], folder: Path) -> float:
    """Seconds from the start of the loop to the whole table."""
    data, module, trainer = build(config, config, keep=lambda _: False)
    data.prepare_data()
    data.setup("test")
    parts = TableWriter(folder / "vectors.parquet", {})
    modalities = module.model.modalities
    trainer.callbacks.append(PredictionWriter(parts, modalities, None, "", None, "vectors"))
    samples = RemainingSamples(data, "train", modalities, parts)
    start = time.perf_counter()
    trainer.predict(module, datamodule=samples, return_predictions=False)
    parts.join()
    return time.perf_counter() - start


@torch.inference_mode()
def bare(config: dict[str, Any]) -> tuple[float, int]:
    """Seconds of the plain loop, and how many samples there were."""
    data, module, _ = build(config, config, keep=lambda _: False)
    data.prepare_data()
    data.setup("test")
    module.eval()
    bf16 = config["trainer"]["precision"] == "bf16-mixed"
    loader = data._loader("train", data.complete("train", module.model.modalities))
    start, count = time.perf_counter(), 0
    for batch in loader:
        batch = data.on_after_batch_transfer(batch, 0)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            module.model(batch)
        count += len(batch)
    return time.perf_counter() - start, count


def main() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    rounds = next((int(word[7:]) for word in sys.argv[1:] if word.startswith("rounds=")), 5)
    overrides = [word for word in sys.argv[1:] if not word.startswith("rounds=")]
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        config = configured(overrides, folder)
        prepare_process(config)
        for turn in range(rounds):
            inner = Path(folder, str(turn))
            inner.mkdir()
            plain, count = bare(config)
            taken = ours(config, inner)
            ratios.append(plain / taken)
            print(
                f"bare {count / plain:.0f} samples/s, ours {count / taken:.0f}, ratio "
                f"{ratios[-1]:.3f}",
                flush=True,
            )
    print(
        f"median ratio {statistics.median(ratios):.3f} (from {min(ratios):.3f} to "
        f"{max(ratios):.3f})"
    )


if __name__ == "__main__":
    main()
