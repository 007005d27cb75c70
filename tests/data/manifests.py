"""Small manifests with real files, made on the spot."""

import csv
import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from polymodal.data.manifest import Manifest

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 40),
    "blue": (20, 40, 230),
    "grey": (128, 128, 128),
}

PAIR = {"image": "filepath", "text": "caption"}


def write_csv(file: Path, rows: list[dict], delimiter: str = ",") -> Path:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return file


def write_jsonl(file: Path, rows: list[dict]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def make_pairs(folder: Path, count: int = 60, size: tuple[int, int] = (20, 16)) -> list[dict]:
    """Rows of coloured images in the folder, with captions, a class, a value and a caption's
    colour."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    random, rows = np.random.default_rng(0), []
    for index in range(count):
        colour = list(COLOURS)[index % len(COLOURS)]
        noise = random.integers(-20, 20, (size[1], size[0], 3))
        pixels = (np.array(COLOURS[colour]) + noise).clip(0, 255).astype(np.uint8)
        file = folder / "images" / f"{index:03}.png"
        Image.fromarray(pixels).save(file)
        row = {
            "filepath": f"images/{index:03}.png",
            "caption": f"a {colour} image number {index}",
        }
        rows.append(row | {"class": colour, "value": index / count, "tags": colour})
    return rows


def bomb(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes that says it is so large."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def ready(path, columns=PAIR, **options) -> Manifest:
    data = Manifest(
        path if isinstance(path, dict) else str(path), columns, **({"image_size": 8} | options)
    )
    data.prepare_data()
    data.setup()
    return data


def whole(dataset):
    return dataset[list(range(len(dataset)))]
