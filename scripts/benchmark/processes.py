"""Two processes on two cores against one process on one core: what of the second core arrives.

    python scripts/benchmark/processes.py [steps=60] [rounds=3] [key=value of the config ...]

`devices=ddp_cpu threads=1` against `devices=cpu threads=1`: the same batches of the default
experiment, in turns. Samples a second are the last ones that the run itself logged, start-up and
validation left out. Efficiency is their ratio divided by 2.
"""

from __future__ import annotations

import csv
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from arguments import key_values, last_of_each

ROOT = Path(__file__).resolve().parents[2]


def samples_a_second(devices: str, steps: int, overrides: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        short = [
            f"trainer.max_steps={steps}",
            "trainer.limit_val_batches=0",
            "test=false",
            f"trainer.log_every_n_steps={steps // 2}",
        ]
        short += ["callbacks=[throughput]", "logger=[csv]", f"hydra.run.dir={run}", "threads=1"]
        words = last_of_each(*short, f"devices={devices}", *overrides)
        command = [sys.executable, str(ROOT / "src" / "train.py"), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        with (run / "metrics.csv").open(newline="") as stream:
            return [
                float(v)
                for row in csv.DictReader(stream)
                if (v := row.get("train/samples_per_second"))
            ][-1]


def main() -> None:
    given = key_values()
    steps, rounds = int(given.pop("steps", 60)), int(given.pop("rounds", 3))
    overrides = [f"{key}={value}" for key, value in given.items()]
    speeds: dict[str, list[float]] = {"cpu": [], "ddp_cpu": []}
    for turn in track(range(rounds), description="Rounds", transient=True):
        for devices in sorted(speeds, reverse=bool(turn % 2)):
            speeds[devices].append(samples_a_second(devices, steps, overrides))
    ratios = [two / one for one, two in zip(*speeds.values(), strict=True)]
    for devices, measured in speeds.items():
        print(f"{devices:8} {statistics.median(measured):8.0f} samples a second")
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    print(
        f"2 processes / 1 process: {middle:.2f} (lowest {low:.2f}, highest {high:.2f}), efficiency "
        f"{middle / 2:.2f}"
    )


if __name__ == "__main__":
    main()
