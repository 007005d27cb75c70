"""What a sweep costs: seconds until the first training step of a job, and seconds in all, by how
its jobs are run.

    python scripts/benchmark/sweeps.py [jobs=12] [ways=single,basic,joblib,runner] [folder=<folder>]

Every job is a run of a few steps (`experiment=sum_fusion debug=fast`). `basic` and `joblib` are
launchers of Hydra, one job and two jobs at a time; `runner` is src/sweep.py with two. A start is
the time from a job's config.yaml, written before torch is imported, to its first row in
metrics.csv; the first step is counted from the command.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from arguments import arguments

SRC = Path(__file__).resolve().parents[2] / "src"
FAST = [
    "experiment=sum_fusion",
    "debug=fast",
    "data.families=[STIXGeneralBolIta]",
    "callbacks.report=null",
]


def command(way: str, folder: Path, jobs: int) -> list[str]:
    seeds, python = f"seed=range({jobs})", sys.executable
    train = [python, str(SRC / "train.py"), *FAST]
    return {
        "single": [*train, f"hydra.run.dir={folder}/0"],
        "basic": [*train, seeds, f"hydra.sweep.dir={folder}", "-m"],
        "joblib": [*train, seeds, f"hydra.sweep.dir={folder}", "hydra/launcher=joblib", "-m"],
        "runner": [
            python,
            str(SRC / "sweep.py"),
            "sweep=grid",
            *FAST,
            seeds,
            "sweep.jobs=2",
            f"hydra.sweep.dir={folder}",
        ],
    }[way]


def measure(way: str, folder: Path, jobs: int) -> tuple[float, float, list[float]]:
    """Seconds in all, until the first step of the first job, and of each job from its config.yaml
    to its first step.
    """
    seen: dict[str, dict[str, float]] = {"config.yaml": {}, "metrics.csv": {}}
    begun = time.perf_counter()
    with subprocess.Popen(command(way, folder, jobs), stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            for file, times in seen.items():
                for path in folder.glob(f"[0-9]*/{file}"):
                    times.setdefault(path.parent.name, time.perf_counter())
            time.sleep(0.02)
    if process.returncode:
        sys.exit(f"error: {way} ended with {process.returncode}")
    total = time.perf_counter() - begun
    starts = [time - seen["config.yaml"][job] for job, time in seen["metrics.csv"].items()]
    return total, min(seen["metrics.csv"].values()) - begun, starts


def main() -> None:
    settings = arguments(
        __doc__, {"jobs": "12", "ways": "single,basic,joblib,runner", "folder": tempfile.mkdtemp()}
    )
    table = Table(title=f"{settings['jobs']} jobs of a few steps, seconds", title_justify="left")
    for column in (
        "way",
        "in all",
        "first step",
        "start of a job (median)",
        "of the first",
        "of the last",
    ):
        table.add_column(column)
    for way in settings["ways"].split(","):
        total, first, starts = measure(way, Path(settings["folder"]) / way, int(settings["jobs"]))
        cells = [total, first, statistics.median(starts), starts[0], starts[-1]]
        table.add_row(way, *(f"{cell:.1f}" for cell in cells))
    Console().print(table)


if __name__ == "__main__":
    main()
