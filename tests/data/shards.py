"""Small shards with real images, written by the webdataset library."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import webdataset
from PIL import Image

from polymodal.batch import PairedBatch
from polymodal.data.stream.module import StreamData
from polymodal.data.webdataset import WebDataset

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (20, 40, 230)}
PAIR = {"image": "jpg;png", "text": "txt"}


def picture(colour: str = "red", format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (12, 10), COLOURS[colour]).save(stream, format)
    return stream.getvalue()


def vector(*numbers: float) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array(numbers))
    return stream.getvalue()


def sample(number: int) -> dict[str, Any]:
    """In the layout of img2dataset."""
    colour = list(COLOURS)[number % 3]
    inner = {
        "label": number % 3,
        "value": number / 10,
        "colour": colour,
        "captions": ["one", "two", "three"],
    }
    return {
        "__key__": f"{number:06}",
        "png": picture(colour),
        "txt": f"a {colour} image {number}",
        "json": inner,
    }


def write_shard(file: Path, samples: Iterable[dict[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(file)) as writer:
        for fields in samples:
            writer.write(fields)
    return file


def write_shards(folder: Path, sizes: Iterable[int], first: int = 0) -> list[str]:
    """Shards of so many samples each, numbered on."""
    files = []
    for index, size in enumerate(sizes):
        files.append(
            str(write_shard(folder / f"{index:03}.tar", map(sample, range(first, first + size))))
        )
        first += size
    return files


def by_split(train: Any, val: Any = None, test: Any = None) -> dict[str, Any]:
    return {"train": train, "val": val or train, "test": test or val or train}


def ready(path: Any, columns: dict[str, str] = PAIR, **options: Any) -> WebDataset:
    data = WebDataset(
        path, columns, **({"image_size": 4, "vocab_size": 300, "batch_size": 4} | options)
    )
    data.prepare_data()
    data.setup()
    return data


def used(data: StreamData, loader: Iterable[PairedBatch]) -> Iterator[PairedBatch]:
    """Batches as a model gets them; what was left out is counted then."""
    for batch in loader:
        yield data.on_after_batch_transfer(batch, 0)
