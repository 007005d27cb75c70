"""Kills trainings at random moments (SIGKILL), resumes them, and compares with the training that
was never killed.

    python scripts/check_resume.py [kills=20] [sources=glyphs,manifest,...] [workers=0,2] [seed=0]
    [key=value ...]

For each source and number of loading processes a run is killed `kills` times in all, each time some
random while after its logs have grown, and resumed each time. Then all weights and the optimizer's
state are compared bit for bit, and metrics.csv row for row without its times. `sources=` may name
any option of `data=`; other `key=value` are given to it. Without `sources=` it takes glyphs,
manifest, webdataset (shards of the manifest) and webdataset-endless, which has no
data.epoch_samples. The exit code is 1 if anything differs.
"""

import csv
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from arguments import key_values, last_of_each

ROOT = Path(__file__).resolve().parents[1]
SPLITS = ("train", "val", "test")
TIMES = {"train/samples_per_second", "train/step_ms", "train/data_wait_ms"}
RUN = [
    "callbacks=[checkpoint,lr_monitor,throughput,skipped]",
    "callbacks.last.every_steps=3",
    "trainer.log_every_n_steps=2",
]
RUN += [
    "trainer.enable_progress_bar=false",
    "test=false",
    "threads=1",
    "devices=cpu",
    "trainer.val_check_interval=0.5",
]
STREAM = [
    "data.image_size=16",
    "data.vocab_size=300",
    "data.shift=0.1",
    "data.flip=0.5",
    "data.batch_size=8",
]
STREAM += [
    "data.shuffle_buffer=40",
    "encoder.image.widths=[8]",
    "data.on_error=skip",
    "data.max_bad_fraction=0.2",
]
SOURCES = {
    "glyphs": [
        "data.families=[STIXGeneralBolIta]",
        "data.vocab_size=400",
        "data.batch_size=32",
        "trainer.max_epochs=4",
    ],
    "manifest": [
        *(
            "data.columns.image=image",
            "data.columns.text=[first,second]",
            "data.image_size=16",
            "data.vocab_size=300",
        ),
        *(
            "data.shift=0.1",
            "data.flip=0.5",
            "data.batch_size=8",
            "trainer.max_epochs=6",
            "encoder.image.widths=[8]",
        ),
    ],
    "webdataset": [*STREAM, "data.epoch_samples=100", "trainer.max_epochs=12"],
    "webdataset-endless": [
        *STREAM,
        "trainer.max_epochs=99",
        "trainer.max_steps=130",
        "trainer.val_check_interval=11",
    ],
}


def make_manifest(folder: Path) -> Path:
    """Images of noise with two captions each."""
    draw, rows = np.random.default_rng(0), []
    folder.mkdir()
    for number in range(240):
        Image.fromarray(draw.integers(0, 255, (20, 24, 3), np.uint8)).save(folder / f"{number}.png")
        rows.append(
            {
                "image": f"{number}.png",
                "first": f"image {number}",
                "second": f"noise number {number % 17}",
            }
        )
    with (folder / "pairs.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "pairs.csv"


def make_shards(manifest: Path, folder: Path) -> str:
    """The same, one caption each, in tar shards, each with a broken image more; `data.path` of
    them.
    """
    script = [
        sys.executable,
        str(ROOT / "scripts" / "shards" / "make.py"),
        f"path={manifest}",
        f"output={folder}",
    ]
    subprocess.run(
        [*script, "columns.image=image", "columns.text=first", "samples=40"],
        check=True,
        capture_output=True,
    )
    for file in folder.glob("*.tar"):
        with tarfile.open(file, "a") as tar:
            for name in ("broken.png", "broken.txt"):
                tar.addfile(tarfile.TarInfo(name))
    splits = (
        f"{split}: [{','.join(map(str, sorted(folder.glob(f'{split}-*.tar'))))}]"
        for split in SPLITS
    )
    return f"{{{', '.join(splits)}}}"


def start(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "src" / "train.py"), *last_of_each(*arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen) -> None:
    errors = process.communicate()[1]
    if process.returncode:
        sys.exit(f"error: the training failed:\n{errors}")


def kill_in_training(process: subprocess.Popen, folder: Path, moment: float) -> bool:
    """Kills it some time after a checkpoint is there and the logs have grown; False if it was
    finished before.

    It ends this program where the training failed by itself.
    """
    metrics, saved = folder / "metrics.csv", folder / "checkpoints" / "last.ckpt"
    before = metrics.stat().st_mtime_ns if metrics.exists() else 0
    while process.poll() is None:
        if saved.exists() and metrics.exists() and metrics.stat().st_mtime_ns > before:
            time.sleep(moment)
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    errors = process.communicate()[1]
    if process.returncode not in (0, -signal.SIGKILL):
        sys.exit(f"error: the training in {folder} failed:\n{errors}")
    return process.returncode == -signal.SIGKILL


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as stream:
        return [
            {k: v for k, v in row.items() if v and k not in TIMES} for row in csv.DictReader(stream)
        ]


def tensors(folder: Path) -> list[torch.Tensor]:
    """Weights and the optimizer's state at the end."""
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    states = checkpoint["optimizer_states"][0]["state"].values()
    return [
        *checkpoint["state_dict"].values(),
        *(value for state in states for value in state.values()),
    ]


def check(
    source: str, workers: int, kills: int, overrides: list[str], seed: int, folder: Path
) -> dict[str, Any]:
    chosen = [
        f"data={source.partition('-')[0]}",
        *RUN,
        *SOURCES.get(source, []),
        f"data.num_workers={workers}",
        *overrides,
    ]
    if source == "manifest":
        chosen.append(f"data.path={make_manifest(folder / 'images')}")
    elif source in SOURCES and source != "glyphs":
        chosen.append(
            f"data.path={make_shards(make_manifest(folder / 'images'), folder / 'shards')}"
        )
    whole, killed = folder / "whole", folder / "killed"
    finish(start(*chosen, f"hydra.run.dir={whole}"))
    draw, count, lives = random.Random(seed), 0, 0
    process = start(*chosen, f"hydra.run.dir={killed}")
    while count < kills:
        if kill_in_training(process, killed, draw.uniform(0, 0.5)):
            count += 1
        elif (
            killed / "metrics.json"
        ).exists():  # it came to its end: another one, from the beginning
            lives += 1
            killed = folder / f"killed{lives}"
            process = start(*chosen, f"hydra.run.dir={killed}")
            continue
        process = (
            start(f"resume={killed}")
            if (killed / "checkpoints" / "last.ckpt").exists()
            else process
        )
    finish(process)
    runs = [killed, *(path for path in folder.glob("killed*") if path != killed)]
    same = [zip(tensors(run), tensors(whole), strict=True) for run in runs]
    return {
        "kills": count,
        "runs": len(runs),
        "steps": torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)["global_step"],
        "weights": all(torch.equal(a, b) for pairs in same for a, b in pairs),
        "rows": all(rows(run) == rows(whole) for run in runs),
    }


def main() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    settings = {"kills": "20", "sources": ",".join(SOURCES), "workers": "0,2", "seed": "0"}
    given = key_values()
    settings |= {key: value for key, value in given.items() if key in settings}
    overrides = [f"{key}={value}" for key, value in given.items() if key not in settings]
    table = Table(title="Killed and resumed", title_justify="left")
    for column in ("source", "workers", "kills", "runs", "steps", "weights", "rows"):
        table.add_column(column)
    exact = True
    for source in settings["sources"].split(","):
        for workers in settings["workers"].split(","):
            with tempfile.TemporaryDirectory() as folder:
                arguments = (
                    source,
                    int(workers),
                    int(settings["kills"]),
                    overrides,
                    int(settings["seed"]),
                )
                result = check(*arguments, Path(folder))
            exact &= result["weights"] and result["rows"]
            shown = {True: "equal", False: "DIFFERENT"}
            cells = [
                shown[value] if isinstance(value, bool) else str(value) for value in result.values()
            ]
            table.add_row(source, workers, *cells)
            print(f"{source}, {workers} loading processes: {' '.join(cells)}", flush=True)
    Console().print(table)
    sys.exit(not exact)


if __name__ == "__main__":
    main()
