"""Training steps of the whole stack against a bare PyTorch loop: same model, batches, precision; in
turns, in one run.

Ours is Lightning with the experiment's callbacks, logging, metrics and a checkpoint at the end; the
bare loop does nothing but load, normalise, forward, backward, step. Start-up and validation are in
neither.

    python scripts/benchmark/training.py [steps=60] [rounds=5] [key=value of the config ...]
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# for `arguments`, which knows where src is
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from lightning.pytorch import Callback

from arguments import key_values
from polymodal.cli.overrides import as_hydra_arguments
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.module import parameter_groups
from polymodal.training.build import build
from polymodal.training.process import prepare_process


class Clock(Callback):
    """Wall time from the start of the first step to the end of training, checkpoint included."""

    def on_train_epoch_start(self, *_: Any) -> None:
        self.start = time.perf_counter()

    def on_train_end(self, *_: Any) -> None:
        self.seconds = time.perf_counter() - self.start


def configured(overrides: list[str], steps: int, folder: str) -> dict[str, Any]:
    fixed = [
        f"run_dir={folder}",
        f"trainer.max_steps={steps}",
        "trainer.limit_val_batches=0",
        "test=false",
    ]
    fixed += [
        "callbacks.checkpoint.monitor=null",
        "callbacks.checkpoint.save_on_train_epoch_end=true",
    ]
    return check_config(compose_config(as_hydra_arguments([*fixed, *overrides])))


def ours(config: dict[str, Any]) -> float:
    """Seconds that Lightning takes."""
    prepare_process(config)
    data, module, trainer = build(config, config)
    clock = Clock()
    trainer.callbacks.insert(0, clock)
    trainer.callbacks.sort(key=lambda callback: callback is clock)
    trainer.fit(module, datamodule=data)
    return clock.seconds


def bare(config: dict[str, Any], steps: int) -> float:
    """Seconds that the plain loop takes."""
    prepare_process(config)
    data, module, _ = build(config, config)
    data.prepare_data()
    data.setup()
    optimizer = module.make_optimizer(parameter_groups(module, module.tuning))
    schedule = module.make_scheduler(optimizer, total_steps=steps)
    bf16 = config["trainer"]["precision"] == "bf16-mixed"
    loader = data.train_dataloader()
    data.trainer = Training()
    start = time.perf_counter()
    done = 0
    while done < steps:
        for batch in loader:
            batch = data.on_after_batch_transfer(batch, 0)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = module.objective(module.model(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            module.objective.clamp()
            done += 1
            if done == steps:
                break
    return time.perf_counter() - start


class Training:
    """What the data module asks its trainer."""

    training = True


def main() -> None:
    given = key_values()
    steps, rounds = int(given.pop("steps", 60)), int(given.pop("rounds", 5))
    overrides = [f"{key}={value}" for key, value in given.items()]
    ratios, seconds = [], {"bare": [], "ours": []}
    for turn in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            config = configured(overrides, steps, folder)
            pair = [("bare", lambda c: bare(c, steps)), ("ours", ours)]
            for name, run in pair if turn % 2 == 0 else pair[::-1]:
                seconds[name].append(run(config))
        ratios.append(seconds["bare"][-1] / seconds["ours"][-1])
        print(f"round {turn + 1} of {rounds}: ours / bare {ratios[-1]:.3f}", flush=True)
    batch = config["data"]["batch_size"]
    for name, times in seconds.items():
        print(
            f"{name}: {steps * batch / statistics.median(times):8.0f} samples a second (median of "
            f"{rounds})"
        )
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    print(
        f"ours / bare: {middle:.3f} (lowest {low:.3f}, highest {high:.3f}), precision "
        f"{config['trainer']['precision']}"
    )


if __name__ == "__main__":
    main()
