"""Time and memory of a large manifest: paths of pictures and captions, with 0, 2 and 4 loading
processes.

    python scripts/benchmark/manifest.py [rows=1000000] [workers=0,2,4] [folder=...]

Memory is what Linux tells (/proc): own is in no other process (USS); fair is that and a process's
share of what several have (PSS). First that of a process that has imported all that training needs
and nothing more.
"""

import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# for `arguments`, which knows where src is
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from PIL import Image
from rich.progress import track

from arguments import arguments
from polymodal.data.manifest import Manifest
from polymodal.training import run  # noqa: F401  # what training imports

PICTURES = 1000
WORDS = (
    "a photo of the old red small house boat tree dog bird street window near green river under "
    "blue sky at night"
)


def make(folder: Path, rows: int) -> Path:
    """The manifest: as many different paths, over a thousand small files, with captions of 12
    words.
    """
    file = folder / f"{rows}.csv"
    if file.exists():
        return file
    random, words = np.random.default_rng(0), np.array(WORDS.split())
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for index in range(PICTURES):
        pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{index:06}.png")
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("filepath", "caption"))
        for part in track(range(-(-rows // PICTURES)), description="Writing rows", transient=True):
            link = folder / f"part_{part:05}"
            if not link.is_symlink():
                link.symlink_to("pictures")
            captions = words[random.integers(0, len(words), (PICTURES, 12))]
            for index, caption in enumerate(captions[: rows - part * PICTURES]):
                writer.writerow(
                    (
                        f"{link.name}/{index:06}.png",
                        f"{' '.join(caption)} {part * PICTURES + index}",
                    )
                )
    return file


def memory(process: int | str = "self") -> str:
    """Own and fair megabytes of a process."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    own = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return f"own {own / 1000:5.0f} MB, fair {kilobytes['Pss'] / 1000:5.0f} MB"


def peak() -> str:
    status = Path("/proc/self/status").read_text()
    return f"{int(status.split('VmHWM:')[1].split()[0]) / 1000:.0f} MB"


def loading(data: Manifest, workers: int) -> Iterator[str]:
    """What each process has after some batches."""
    data.num_workers = workers
    batches = iter(data.train_dataloader())
    for _ in range(10 * max(1, workers)):
        next(batches)
    yield f"{workers} workers: the training process: {memory()}"
    yield from (
        f"           loading process: {memory(worker.pid)}"
        for worker in getattr(batches, "_workers", [])
    )


def main() -> None:
    folder = str(Path(__file__).resolve().parents[2] / ".cache" / "benchmark_manifest")
    given = arguments(__doc__, {"rows": "1000000", "workers": "0,2,4", "folder": folder})
    file = make(Path(given["folder"]), int(given["rows"]))
    print(f"imports only: {memory()}, at most {peak()}")
    data = Manifest(str(file), {"image": "filepath", "text": "caption"}, image_size=16)
    start = time.perf_counter()
    data.setup()
    print(f"{given['rows']} rows read and cut into tokens in {time.perf_counter() - start:.1f} s")
    print(f"the process then: {memory()}, at most {peak()}")
    for workers in map(int, given["workers"].split(",")):
        for line in loading(data, workers):
            print(line, flush=True)


if __name__ == "__main__":
    main()
