"""How long the command line takes to answer, as a multiple of `python -c "import hydra"`, side by
side in one run.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRAIN = [sys.executable, str(ROOT / "src" / "train.py")]
COMPLETION = {"COMP_LINE": "python src/train.py encoder/image=v"}
COMMANDS = {
    'python -c "import hydra"': [sys.executable, "-c", "import hydra"],
    "train.py --help": [*TRAIN, "--help"],
    "train.py --cfg job": [*TRAIN, "--cfg", "job"],
    "train.py, tab completion": [*TRAIN, "-sc", "query=bash"],
    "train.py optimizer.lrr=1 (an error)": [*TRAIN, "optimizer.lrr=1"],
}
ROUNDS = 7


def main() -> None:
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):  # in turns, so that what slows the machine slows them all
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(
                command, env={**os.environ, **COMPLETION}, capture_output=True, check=False
            )
            seconds[name].append(time.perf_counter() - start)
    reference = statistics.median(seconds[next(iter(COMMANDS))])
    for name, times in seconds.items():
        middle = statistics.median(times)
        print(f"{name:38s} {middle:6.3f} s  {middle / reference:5.2f} x import hydra")


if __name__ == "__main__":
    main()
