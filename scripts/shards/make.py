"""A manifest -> tar shards for data=webdataset; or tar shards -> files and a manifest.

    python scripts/shards/make.py path=pairs.csv columns.image=filepath columns.text=caption
    output=shards python scripts/shards/make.py path='shards/train-{000000..000007}.tar'
    output=files

Settings: `samples` a shard (1000), `workers` (2), `size` (none; 256 stores images as squares of
that side), `image_max` (none; the value that is white in images of more than 8 bits), `splits`
(0.8,0.1,0.1) and `columns.`, as in data=manifest: image, text (several with a comma), audio,
vector, label, group, split and id. Every sample is read as training would read it; what cannot be
read is left out and told in `report.json`.

Started again, it goes on: a shard that is there is whole. The result is the same whether it was
stopped or not.
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# for `arguments`, which knows where src is
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from unpack import Unpacker
from webdataset import TarWriter

from arguments import arguments
from polymodal.data.loading.bad_samples import REASONS, BadSampleError
from polymodal.data.loading.columns import ColumnChoice
from polymodal.data.loading.splits import NOT_WANTED, SPLITS
from polymodal.data.media.formats import MediaFormat
from polymodal.data.stream.tar import expanded
from polymodal.data.table.contents import Captions
from polymodal.data.table.file_column import FileColumn
from polymodal.data.table.files import read_tables
from polymodal.data.table.format import ManifestFormat
from polymodal.data.table.reader import ManifestReader
from polymodal.errors import PolymodalError
from polymodal.files import check_output, write_whole

COLUMNS = ("image", "text", "audio", "vector", "label", "group", "split", "id")
DEFAULTS = {
    "path": "",
    "output": "",
    "samples": "1000",
    "workers": "2",
    "size": "",
    "splits": "0.8,0.1,0.1",
}
DEFAULTS |= {"image_max": ""}
DEFAULTS |= {f"columns.{name}": "" for name in COLUMNS}

BATCH = 128
"""Samples of a step where nobody says (configs/data/webdataset.yaml)."""


@dataclass(frozen=True)
class Shard:
    """What one file of the result is made of.

    Attributes:
        name: of the file.
        samples: numbers of samples.
    """

    name: str
    samples: list[int]


class Packer:
    """Writes samples of a manifest into shards."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.size, self.output = int(settings["size"] or 0), Path(settings["output"])
        names = {
            name: settings[f"columns.{name}"].split(",")
            for name in COLUMNS
            if settings[f"columns.{name}"]
        }
        side, columns = self.size or 64, ColumnChoice(names, {})
        format = ManifestFormat(
            columns=columns,
            media=MediaFormat((3, side, side), None, 0.0, 16_000, 30.0, 1, white_of(settings)),
            label_kind="class",
            splits=[float(share) for share in settings["splits"].split(",")],
            templates=(),
            eval_captions=None,
            numeric=0,
            cardinalities=(),
            max_caption=20_000,
            on_error="skip",
            max_bad_fraction=1.0,
        )
        reader = ManifestReader(read_tables([Path(settings["path"])], columns.wanted()), format, {})
        for note in reader.notes:
            print(f"warning: {note}", file=sys.stderr)
        self.samples, self.names = reader.samples, reader.learned.get("label", [])
        bad = np.flatnonzero(reader.skips.reasons.numpy())
        self.bad_rows = [
            (int(row) + 1, REASONS[int(reader.skips.reasons[row]) - 1], "a cell of the manifest")
            for row in bad
        ]
        self.shards = []
        for part, split in enumerate(SPLITS):
            chosen = np.flatnonzero(reader.split == part).tolist()
            starts = range(0, len(chosen), int(settings["samples"]))
            cut = [chosen[start : start + int(settings["samples"])] for start in starts]
            self.shards += [Shard(f"{split}-{index:06}.tar", own) for index, own in enumerate(cut)]

    def __call__(self, shard: Shard) -> dict[str, Any]:
        """Writes a shard, whole or not at all; what became of its samples."""
        file, notes = self.output / shard.name, self.output / "notes" / f"{shard.name}.json"
        if file.exists():
            return json.loads(notes.read_text())
        part, dropped = self.output / f"{shard.name}.part", []
        written: dict[str, set[str]] = {}
        with TarWriter(str(part), encoder=False, mtime=0) as writer:
            for sample in shard.samples:
                row = int(self.samples.row[sample])
                try:
                    fields, columns = self.fields(sample)
                except BadSampleError as error:
                    dropped.append((row + 1, error.reason, str(error)))
                    continue
                writer.write({"__key__": f"{row:09}", **fields})
                for name, field in columns.items():
                    written.setdefault(name, set()).add(field)
        result = {"name": shard.name, "kept": len(shard.samples) - len(dropped), "dropped": dropped}
        result["columns"] = {name: sorted(found) for name, found in written.items()}
        notes.parent.mkdir(exist_ok=True)
        write_whole(notes, json.dumps(result))
        part.rename(file)
        return result

    def fields(self, sample: int) -> tuple[dict[str, bytes], dict[str, str]]:
        """Ending -> content of a sample's members; and modality, label and group -> field, as
        `data.columns` names it.

        Raises:
            BadSampleError: one cannot be read.
        """
        fields: dict[str, bytes] = {}
        columns = {"group": "json.group"}
        inner: dict[str, Any] = {"group": int(self.samples.group[sample])}
        for modality, content in self.samples.contents.items():
            count = int(content.count[sample])
            if count and isinstance(content, Captions):
                texts = [content.show(content.item(sample, turn)) for turn in range(count)]
                fields["txt"] = texts[0].encode()
                inner["text"], columns["text"] = texts, "json.text"
            elif count and isinstance(content, FileColumn):
                ending, value = self.file(content, content.item(sample, 0))
                fields[ending], columns[modality] = value, ending
        for name, values in self.samples.labels.items():
            if values[sample] >= 0:
                inner[name], columns[name] = self.names[int(values[sample])], f"json.{name}"
        return {**fields, "json": json.dumps(inner, sort_keys=True).encode()}, columns

    def file(self, content: FileColumn, item: int) -> tuple[str, bytes]:
        """The ending and the bytes of a file that can be read; of an image perhaps those of a
        smaller one.
        """
        array = content.read(item)
        if self.size and array.dtype == np.uint8:
            stream = io.BytesIO()
            Image.fromarray(array.transpose(1, 2, 0)).save(stream, "JPEG", quality=95)
            return "jpg", stream.getvalue()
        source, name = content.source(item)
        ending = Path(name or str(source)).suffix[1:].lower() or "bin"
        return ending, source if isinstance(source, bytes) else source.read_bytes()


def white_of(settings: dict[str, str]) -> float | None:
    return float(settings["image_max"]) if settings["image_max"] else None


def checked(settings: dict[str, str]) -> dict[str, str]:
    """The settings, if they can be meant; else it says what is wrong and ends."""
    if not settings["path"] or not settings["output"]:
        sys.exit("error: give path=<manifest or shards> and output=<folder>.")
    for name in ("samples", "workers", *(["size"] if settings["size"] else [])):
        if not settings[name].isdecimal() or int(settings[name]) == 0:
            sys.exit(f"error: {name}={settings[name]} must be a whole number above 0.")
    if settings["image_max"] and not settings["image_max"].replace(".", "", 1).isdecimal():
        sys.exit(f"error: image_max={settings['image_max']} must be a number, such as 4095.")
    try:
        [float(share) for share in settings["splits"].split(",")]
    except ValueError:
        sys.exit(
            f"error: splits={settings['splits']} must be three numbers, such as "
            f"{DEFAULTS['splits']}."
        )
    return settings


def claim(output: Path, settings: dict[str, str]) -> None:
    """The folder belongs to these settings and this content; what was left unfinished in it
    goes.
    """
    output.mkdir(parents=True, exist_ok=True)
    content = hashlib.sha256()
    for url in expanded(settings["path"]):
        if Path(url).is_file() and not is_packed(url):
            content.update(Path(url).read_bytes())
    mine = json.dumps(
        {**settings, "workers": "", "output": "", "content": content.hexdigest()}, indent=2
    )
    file = output / "settings.json"
    if file.exists() and file.read_text() != mine:
        sys.exit(
            f"error: {output} was made with other settings, or of another manifest. Give another "
            "output=."
        )
    write_whole(file, mine)
    for part in output.glob("*.part"):
        shutil.rmtree(part) if part.is_dir() else part.unlink()


def is_packed(path: str) -> bool:
    return ".tar" in Path(path).suffixes or path.endswith((".tar", ".tgz"))


work: Callable[[Any], dict[str, Any]]


def begin(given: Callable[[Any], dict[str, Any]]) -> None:
    """Gives a process its work once, and not with every shard."""
    global work
    work = given


def run(shard: Any) -> dict[str, Any]:
    return work(shard)


def all_done(
    given: Callable[[Any], dict[str, Any]], shards: Sequence[Any], workers: int
) -> list[dict[str, Any]]:
    """What became of each shard, in order."""
    with ProcessPoolExecutor(workers, initializer=begin, initargs=(given,)) as pool:
        return list(track(pool.map(run, shards), "Shards", len(shards)))


def report(
    output: Path, results: Sequence[dict[str, Any]], bad_rows: Sequence[Sequence[Any]]
) -> None:
    """`report.json`, and a table of what was kept and what not, and why."""
    dropped = sorted(
        list(one) for part in (bad_rows, *(result["dropped"] for result in results)) for one in part
    )
    kept = sum(result["kept"] for result in results)
    reasons = Counter(reason for _, reason, _ in dropped)
    rows = [{"row": row, "reason": reason, "problem": problem} for row, reason, problem in dropped]
    shards = {result["name"]: result["kept"] for result in results}
    whole = {"kept": kept, "dropped": dict(sorted(reasons.items())), "shards": shards, "rows": rows}
    write_whole(output / "report.json", json.dumps(whole, indent=2))
    table = Table(title=str(output), title_justify="left")
    table.add_column("samples")
    table.add_column("count", justify="right")
    table.add_column("the first")
    table.add_row("kept", str(kept), "")
    for reason, count in sorted(reasons.items()):
        first = next(row for row in rows if row["reason"] == reason)
        table.add_row(reason, str(count), f"{first['row']}: {first['problem']}")
    Console().print(table)


def next_command(
    results: Sequence[dict[str, Any]], names: Sequence[str], output: Path, image_max: str
) -> str:
    """What trains on all that was written: its groups, all its captions, and the endings of its
    files.
    """
    counts = Counter(result["name"].partition("-")[0] for result in results)
    parts = [
        f'{split}: "{output}/{split}-{{000000..{count - 1:06}}}.tar"'
        for split, count in counts.items()
    ]
    found: dict[str, set[str]] = {}
    for name, endings in (pair for result in results for pair in result["columns"].items()):
        found.setdefault(name, set()).update(endings)
    words = ["data=webdataset", f"data.path={{{', '.join(parts)}}}"]
    words += [
        f"data.columns.{name}={';'.join(sorted(endings))}"
        for name, endings in sorted(found.items())
    ]
    # the choice names both
    words += [f"data.columns.{name}=null" for name in ("image", "text") if name not in found]
    words += [f"encoder/{name}=none" for name in ("image", "text") if name not in found]
    words += ["encoder/audio=cnn"] if "audio" in found else []
    if "label" in found:
        words += [
            f"data.class_names={json.dumps(list(names), ensure_ascii=False)}",
            f"outputs={len(names)}",
        ]
    words += [f"data.image_max={image_max}"] if image_max else []
    words += [without for split, without in NOT_WANTED.items() if split not in counts]
    samples = sum(result["kept"] for result in results if result["name"].startswith("train"))
    words += [
        f"data.epoch_samples={samples}",
        *([f"data.batch_size={samples}"] if samples < BATCH else []),
    ]
    return f"Next: python src/train.py {' '.join(map(shlex.quote, words))}"


def main() -> None:
    settings = checked(arguments(__doc__, DEFAULTS))
    output, workers = Path(settings["output"]), int(settings["workers"])
    try:
        check_output(output)
        if is_packed(settings["path"]):
            unpacker = Unpacker(expanded(settings["path"]), output, white_of(settings))
            claim(output, settings)
            results = all_done(unpacker, range(len(unpacker.urls)), workers)
            report(output, results, [])
            unpacker.join()
            found = sorted({name for result in results for name in result["columns"]})
            words = [
                "data=manifest",
                f"data.path={output}/manifest.jsonl",
                *(f"data.columns.{n}={n}" for n in found),
            ]
            words += [f"data.image_max={settings['image_max']}"] if settings["image_max"] else []
            print(f"Next: python scripts/inspect_data.py {' '.join(map(shlex.quote, words))}")
        else:
            packer = Packer(settings)
            claim(output, settings)
            results = all_done(packer, packer.shards, workers)
            report(output, results, packer.bad_rows)
            print(
                next_command(
                    results, packer.names, output, "" if settings["size"] else settings["image_max"]
                )
            )
    except PolymodalError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
