"""Tar shards -> files and a manifest of them; part of scripts/shards/make.py."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from polymodal.addresses import shown
from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.media.formats import read_sound, read_vector
from polymodal.data.media.images import read_image
from polymodal.data.stream.records import Record
from polymodal.data.stream.tar import TarShards, not_there
from polymodal.errors import DataError
from polymodal.files import replacing

KINDS = {
    "image": ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "svg"),
    "audio": ("wav", "flac", "ogg", "mp3"),
    "vector": ("npy",),
    "text": ("txt",),
    "label": ("cls",),
}
KIND_OF = {ending: kind for kind, endings in KINDS.items() for ending in endings}
CHECKS = {
    "image": partial(read_image, size=64, channels=3),
    "audio": partial(read_sound, sample_rate=16_000, max_seconds=30.0),
    "vector": read_vector,
}


class Unpacker:
    """A shard's files go into a folder of its name, with a line of the manifest a sample.

    Args:
        urls: of the shards.
        output: folder of all.
        image_max: the value that is white in images of more than 8 bits; None where their type
            tells.

    Raises:
        DataError: a file is not there.
    """

    def __init__(self, urls: Sequence[str], output: Path, image_max: float | None = None) -> None:
        self.urls, self.output, self.image_max = urls, output, image_max
        if lost := not_there(urls):
            raise DataError(f"path: there is no file {lost[0]}.")
        stems = [url.rsplit("/", 1)[-1].partition(".")[0] for url in urls]
        self.folders = [f"{index:06}-{stem}" for index, stem in enumerate(stems)]

    def __call__(self, shard: int) -> dict[str, Any]:
        """Writes the files of a shard, all or none; what became of its samples."""
        folder = self.output / self.folders[shard]
        if folder.exists():
            return json.loads((folder / "notes.json").read_text())
        part, lines, dropped = folder.with_name(f"{folder.name}.part"), [], []
        part.mkdir()
        try:
            for entry in TarShards(self.urls).entries(shard):
                try:
                    lines.append(self.row(entry.record, part, folder.name))
                except BadSampleError as error:
                    if error.reason != "damaged shard":  # that is noted once, below
                        dropped.append((entry.name, error.reason, str(error)))
        except BadSampleError as error:
            dropped.append((shown(self.urls[shard]), error.reason, str(error)))
        columns = sorted({*KINDS} & {name for line in lines for name in line})
        result = {"name": folder.name, "kept": len(lines), "dropped": dropped, "columns": columns}
        (part / "rows.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        (part / "notes.json").write_text(json.dumps(result))
        part.rename(folder)
        return result

    def row(self, record: Record, part: Path, folder: str) -> dict[str, Any]:
        """A line of the manifest: texts and numbers as they are, of files the paths, and the keys
        of its JSON.

        Its text and label, which may be several, stand for those beside it; other columns of ours
        are not overwritten.

        Raises:
            BadSampleError: something in it cannot be used, or no modality is there.
        """
        values: dict[str, Any] = {"key": record.key}
        files: dict[str, bytes] = {}
        for field, content in record.fields.items():
            kind = KIND_OF.get(field, field)
            if kind in CHECKS:
                CHECKS[kind](
                    content,
                    name=field,
                    **({"image_max": self.image_max} if kind == "image" else {}),
                )
            if kind in ("text", "label"):
                values[kind] = _decoded(field, content).strip()
            elif field != "json":
                files[f"{record.key}.{field}"] = content
                values[kind] = f"{folder}/{record.key}.{field}"
        inner = record.mapping("json") if "json" in record.fields else None
        own = {"key", *CHECKS, *values} - {"text", "label"}
        values |= {
            f"json_{name}" if name in own else name: value for name, value in (inner or {}).items()
        }
        if not files and "text" not in values:
            raise BadSampleError(
                "missing field",
                f"no modality is in it, only {', '.join(record.fields) or 'nothing'}.",
            )
        for name, content in files.items():
            # within the folder: names that lead out of it are refused where they are read
            file = part / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return values

    def join(self) -> None:
        """All lines in one manifest."""
        with replacing(self.output / "manifest.jsonl") as part, part.open("wb") as whole:
            for folder in self.folders:
                with (self.output / folder / "rows.jsonl").open("rb") as lines:
                    shutil.copyfileobj(lines, whole)


def _decoded(field: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BadSampleError("bad text", f"{field} holds bytes that are not UTF-8.") from error
