"""Figures of an experiment over seeds, each in a process of its own: mean and standard deviation.

    python scripts/measure.py experiment=clip_small [seeds=0,1,2] [cold=true] [key=value ...]

`cold=true` renders the data anew for every seed, so that the time is that of a first run.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    arguments = [a for a in sys.argv[1:] if not a.startswith(("seeds=", "cold="))]
    seeds = next((a[6:] for a in sys.argv[1:] if a.startswith("seeds=")), "0,1,2").split(",")
    cold = "cold=true" in sys.argv[1:]
    runs = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            cache = {"POLYMODAL_CACHE": str(Path(folder) / "cache")} if cold else {}
            run = [sys.executable, str(ROOT / "src" / "train.py"), *arguments, f"seed={seed}"]
            start = time.perf_counter()
            subprocess.run([*run, f"hydra.run.dir={folder}/run"], cwd=ROOT, env={**os.environ, **cache}, check=True)
            figures = json.loads((Path(folder) / "run" / "metrics.json").read_text())
            runs.append(figures | {"time/process_seconds": time.perf_counter() - start})
    print(f"\n{' '.join(arguments)}: {len(runs)} seeds ({', '.join(seeds)})")
    for name in runs[0]:
        if name.startswith(("test/", "time/")):
            values = [run[name] for run in runs]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            print(f"{name:34s} {statistics.mean(values):9.4f} +- {spread:.4f}")


if __name__ == "__main__":
    main()
