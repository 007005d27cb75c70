"""Loading pictures and captions: ours against open_clip's loaders, in turns, in one run.

    python scripts/benchmark/data.py [images=2000] [rounds=5] [workers=2] [batch=100] [threads=1]
    [augment=false]
        [folder=...]

Makes JPEGs of 500 x 400 (about 50 kB) with captions, once, as files and as shards. A turn is one
whole epoch of a new loader: from reading the table to the last batch as a model gets it, that is
normalised floats of 3 x 224 x 224 on the CPU and token ids. The last part of ours (uint8 to floats)
runs in the main process, and counts; that has `threads`, for all ways: more than there are cores
beside the loading processes only wait for each other.

open_clip's loaders are its own, `open_clip_train.data.get_data`, with its transforms and its
tokenizer. Both sides take the middle square by an antialiased bicubic resize; with `augment=true`
open_clip's is its RandomResizedCrop (0.9 to 1), ours moves and zooms by up to 5 % in the main
process. The files are in the memory of the operating system for all.
"""

import argparse
import contextlib
import csv
import gc
import io
import os
import resource
import statistics
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

# for `arguments`, which knows where src is
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# for all, as train.py sets it: normalised floats in a quarter of the time
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import numpy as np
import open_clip_train.data
import torch
from open_clip import image_transform
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from rich.progress import track
from webdataset.tariterators import tar_file_expander

from arguments import arguments
from polymodal.data.manifest import Manifest

SIZE, MEAN, STD = 224, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
CACHE = str(Path(__file__).resolve().parents[2] / ".cache" / "benchmark_data")
KINDS, SHARDS = ("csv", "webdataset"), 8
WORDS = (
    "a photo of the old red small house boat tree dog bird street window near green river under "
    "blue sky at night"
)


class Training:
    """What the data module asks its trainer."""

    training, global_rank, world_size = True, 0, 1


def photo(random: np.random.Generator, width: int = 500, height: int = 400) -> bytes:
    """A JPEG of noise of several scales, the finer the weaker, as in photographs."""
    pixels = np.full((height, width, 3), 128.0)
    for cells, strength in ((4, 80), (16, 40), (64, 22), (256, 14)):
        noise = (
            random.normal(size=(cells, cells, 1)) * 0.7
            + random.normal(size=(cells, cells, 3)) * 0.3
        )
        for channel in range(3):
            layer = Image.fromarray(noise[..., channel].astype(np.float32))
            pixels[..., channel] += strength * np.asarray(
                layer.resize((width, height), Image.Resampling.BICUBIC)
            )
    content = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(content, "JPEG", quality=85)
    return content.getvalue()


def make(folder: Path, count: int) -> None:
    """Writes the pictures as files with their tables, and as shards, unless they are there."""
    if (folder / "pairs.csv").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    random, words = np.random.default_rng(0), WORDS.split()
    with contextlib.ExitStack() as stack:
        shards = [
            stack.enter_context(tarfile.open(folder / f"{number}.tar", "w"))
            for number in range(SHARDS)
        ]
        rows = []
        for index in track(range(count + 2), description="Making pictures", transient=True):
            file = folder / f"{index:06}.jpg"
            picture = photo(random)
            caption = " ".join(random.choice(words, 12))
            file.write_bytes(picture)
            # one each, since no split may be empty
            split = ["train", "val", "test"][max(0, index - count + 1)]
            rows.append({"filepath": str(file.absolute()), "caption": caption, "split": split})
            for name, content in ((file.name, picture), (f"{file.stem}.txt", caption.encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                if split == "train":
                    shards[index % SHARDS].addfile(member, io.BytesIO(content))
    for name, part in (("train.csv", rows[:count]), ("pairs.csv", rows)):
        with (folder / name).open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(part)


def ours(
    folder: Path, settings: dict[str, int], augment: bool, cache: Path | None = None
) -> Iterable[int]:
    """Sizes of the batches of an epoch of `data=manifest`."""
    change = 0.05 if augment else 0.0
    data = Manifest(
        str(folder / "pairs.csv"),
        {"image": "filepath", "text": "caption", "split": "split"},
        image_size=SIZE,
        mean=MEAN,
        std=STD,
        shift=change,
        scale=change,
        image_cache=None if cache is None else str(cache),
        batch_size=settings["batch"],
        num_workers=settings["workers"],
    )
    data.setup()
    data.trainer = Training()  # type: ignore[assignment]
    for batch in data.train_dataloader():
        batch = data.on_after_batch_transfer(batch, 0)
        assert batch.inputs["image"].shape[1:] == (3, SIZE, SIZE)
        assert batch.inputs["image"].dtype == torch.float32
        yield len(batch)


def open_clip(folder: Path, settings: dict[str, int], augment: bool, kind: str) -> Iterable[int]:
    """Sizes of the batches of an epoch of open_clip's loader, `csv` or `webdataset`."""
    names = dict(zip(KINDS, ("train.csv", f"{{0..{SHARDS - 1}}}.tar"), strict=True))
    # written for a webdataset that says nothing at the end of a shard, as open_clip_torch[training]
    # demands
    open_clip_train.data.tar_file_expander = partial(tar_file_expander, eof_value=None)
    given = {
        "train_data": str(folder / names[kind]),
        "dataset_type": kind,
        "csv_img_key": "filepath",
    }
    given |= {
        "csv_caption_key": "caption",
        "csv_separator": ",",
        "train_num_samples": settings["images"],
        "seed": 0,
    }
    given |= {
        "batch_size": settings["batch"],
        "workers": settings["workers"],
        "world_size": 1,
        "distributed": False,
    }
    given |= dict.fromkeys(
        ("val_data", "imagenet_val", "imagenet_v2", "train_data_upsampling_factors")
    )
    transform = image_transform(SIZE, is_train=augment, mean=MEAN, std=STD)
    loader = open_clip_train.data.get_data(
        argparse.Namespace(**given), (transform, None), tokenizer=SimpleTokenizer()
    )["train"].dataloader
    for images, _ in loader:
        assert images.shape[1:] == (3, SIZE, SIZE)
        yield len(images)


def measured(epoch: Callable[[], Iterable[int]]) -> tuple[float, float]:
    """Samples a second of a whole epoch, and milliseconds that all processes together compute for
    one.
    """
    computed, start = cpu_seconds(), time.perf_counter()
    count = sum(epoch())
    seconds = time.perf_counter() - start
    return count / seconds, 1000 * (cpu_seconds() - computed) / count


def cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    gc.collect()  # a loader that is gone has ended its processes; what was there before is frozen
    return sum(
        sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


def show(results: dict[str, list[tuple[float, float]]]) -> None:
    references = [way for way in results if way.startswith("open_clip")]
    for way, rounds in results.items():
        speed, computing = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(
            f"{way:22}{speed:6.0f} samples a second, {computing:5.2f} ms of CPU a sample (medians)"
        )
    for way in [way for way in results if way not in references]:
        for reference in references:
            pairs = list(zip(results[way], results[reference], strict=True))
            ratios = sorted(own[0] / other[0] for own, other in pairs)
            computing = statistics.median(other[1] / own[1] for own, other in pairs)
            print(
                f"{way} / {reference}: {statistics.median(ratios):.2f} (lowest {ratios[0]:.2f}, "
                f"highest {ratios[-1]:.2f}); by CPU {computing:.2f}"
            )


def main() -> None:
    defaults = {
        "images": "2000",
        "rounds": "5",
        "workers": "2",
        "batch": "100",
        "threads": "1",
        "augment": "false",
        "folder": CACHE,
    }
    given = arguments(__doc__, defaults)
    folder, augment = Path(given.pop("folder")), given.pop("augment") == "true"
    settings = {key: int(value) for key, value in given.items()}
    folder /= str(settings["images"])
    torch.set_num_threads(settings["threads"])
    make(folder, settings["images"])
    warnings.filterwarnings("ignore", message=".*pin_memory")
    gc.freeze()  # else each collection goes through all of torch
    with tempfile.TemporaryDirectory() as cache:
        ways = {
            f"open_clip {kind}": partial(open_clip, folder, settings, augment, kind)
            for kind in KINDS
        }
        ways |= {"ours, first epoch": partial(ours, folder, settings, augment)}
        ways |= {"ours, cache warm": partial(ours, folder, settings, augment, Path(cache))}
        results: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        sum(ways["ours, cache warm"]())  # fills it
        for turn in range(settings["rounds"]):
            for way, epoch in list(ways.items())[:: 1 if turn % 2 else -1]:
                results[way].append(measured(epoch))
            line = ", ".join(f"{way} {values[-1][0]:.0f}" for way, values in results.items())
            print(f"round {turn + 1} of {settings['rounds']}: {line}", flush=True)
    show(results)


if __name__ == "__main__":
    main()
