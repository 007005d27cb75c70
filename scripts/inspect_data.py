r"""What a data set holds, before anything is trained on it.

    python scripts/inspect_data.py data=manifest data.path=pairs.csv data.columns.image=filepath \
        data.columns.text=caption [output=inspection] [key=value ...]

Takes the arguments of src/train.py and looks at exactly the data that it would train on:
`experiment=`, `data=`, `data.num_workers=` and so on. The data must be a table (manifest, folder,
huggingface). Every file is read once; broken ones are counted. Prints tables of samples, sizes,
captions, labels, duplicates across splits and broken files, and writes report.json and
contact_sheet.png into `output`.
"""

import hashlib
import io
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import soundfile
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from polymodal.cli.overrides import as_hydra_arguments, quoted
from polymodal.config.check import check_config
from polymodal.config.command_line import check_words, home
from polymodal.config.compose import compose_config
from polymodal.config.messages import readable_errors
from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.loading.loader import loading
from polymodal.data.loading.splits import SPLITS
from polymodal.data.media.svg import is_svg
from polymodal.data.media.video import frames_of
from polymodal.data.table.contents import Captions
from polymodal.data.table.file_column import FileColumn
from polymodal.data.table.groups import in_several_groups
from polymodal.data.table.module import TableData
from polymodal.data.table.samples import Samples
from polymodal.errors import ConfigError
from polymodal.files import check_output, writing
from polymodal.report.style import plot, short
from polymodal.training.build import make
from polymodal.training.compatibility import wanted_splits

Report = dict[str, Any]
SHOWN = 8
"""Samples of a split on the contact sheet, and examples of duplicates."""


def main() -> None:
    given = sys.argv[1:]
    if not given or {"-h", "--help"} & set(given):
        print(__doc__)
        sys.exit(0)
    output = Path(
        home(next((word[7:] for word in given if word.startswith("output=")), "inspection"))
    )
    with readable_errors(), loading():
        check_words(given)
        check_output(output)
        data = opened([word for word in given if not word.startswith("output=")], output)
        report = inspect(data)
        with writing(output):
            output.mkdir(parents=True, exist_ok=True)
            (output / "report.json").write_text(json.dumps(report, indent=2))
            draw_contact_sheet(output / "contact_sheet.png", data)
    show(report)
    print(f"{output}/report.json, {output}/contact_sheet.png")


def opened(words: list[str], output: Path) -> TableData:
    """The data that `src/train.py` would train on, except that bad rows never end the run."""
    config = check_config(
        compose_config([*as_hydra_arguments(words), f"++run_dir={quoted(output.absolute())}"])
    )
    data = make(config["data"], "data")
    if not isinstance(data, TableData):
        raise ConfigError(
            f"data: {type(data).__name__} is no table of samples; inspect manifest, folder or "
            "huggingface."
        )
    data.wanted = wanted_splits(config)
    data.format = replace(data.format, on_error="skip", max_bad_fraction=1.0)
    data.prepare_data()
    data.setup()
    return data


class Look:
    """Reads the files of one sample: a data set for a loader of several processes."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.files = {
            name: content
            for name, content in samples.contents.items()
            if isinstance(content, FileColumn)
        }

    def __len__(self) -> int:
        return len(self.samples.row)

    def __getitem__(self, sample: int) -> Mapping[str, tuple[bytes, list[float]]] | None:
        """Modality -> a hash of the file, and its sizes; None where one cannot be read."""
        try:
            return {
                name: self._one(files, sample)
                for name, files in self.files.items()
                if files.count[sample]
            }
        except BadSampleError as error:
            self.samples.skips.reject(int(self.samples.row[sample]), error)
            return None

    @staticmethod
    def _one(files: FileColumn, sample: int) -> tuple[bytes, list[float]]:
        array = files.read(sample)
        source, _ = files.source(sample)
        folder = frames_of(source) if isinstance(source, Path) and source.is_dir() else None
        parts = [source] if folder is None else folder
        contents = [part if isinstance(part, bytes) else part.read_bytes() for part in parts]
        sizes: list[float] = []
        if array.ndim == 3 and not is_svg(source):  # an image
            with Image.open(io.BytesIO(contents[0])) as image:
                sizes = [*image.size]
        elif array.ndim == 1 and files.blank.shape == (1,):  # a sound
            sizes = [soundfile.info(io.BytesIO(contents[0])).duration]
        return hashlib.blake2b(b"".join(contents), digest_size=16).digest(), sizes


def inspect(data: TableData) -> Report:
    """All metrics, by what they are about."""
    samples, split = data.samples, np.full(len(data.samples.row), -1)
    for number, part in enumerate((data.train_set, data.val_set, data.test_set)):
        split[part.chosen] = number  # type: ignore[attr-defined]
    look = Look(samples)
    loader = DataLoader(look, batch_size=None, num_workers=data.num_workers, collate_fn=_unchanged)
    seen = list(track(loader, "Files", total=len(look))) if look.files else []
    texts = {
        name: content for name, content in samples.contents.items() if isinstance(content, Captions)
    }
    return {
        "samples": counts(samples, split),
        "files": {name: sizes_of(name, files, seen) for name, files in look.files.items()},
        "captions": {
            name: lengths_of(content, data.context_length) for name, content in texts.items()
        },
        "labels": labels_of(data, split),
        "duplicates": {
            **{name: equal_files(name, samples, seen, split) for name in look.files},
            **{
                name: equal_captions(content, split, samples.group)
                for name, content in texts.items()
            },
        },
        "broken": {
            "rows": len(samples.skips.reasons),
            **samples.skips.counts(),
            "summary": samples.skips.summary(),
        },
    }


def _unchanged(item: Any) -> Any:
    return item


def counts(samples: Samples, split: np.ndarray) -> Report:
    """Split -> samples, their groups, and how many of them have each modality."""
    return {
        name: {
            "samples": int((split == number).sum()),
            "groups": len(np.unique(samples.group[split == number])),
        }
        | {
            key: int((content.count[split == number] > 0).sum())
            for key, content in samples.contents.items()
        }
        for number, name in enumerate(SPLITS)
    }


def spread(values: np.ndarray) -> Report:
    """Least, median, 95 % and most."""
    if not len(values):
        return {}
    points = np.quantile(values, [0, 0.5, 0.95, 1])
    return dict(zip(("least", "median", "95 %", "most"), points.round(3).tolist(), strict=True))


def sizes_of(name: str, files: FileColumn, seen: list) -> Report:
    """Pixels of images, seconds of sounds."""
    sizes = [item[name][1] for item in seen if item and name in item and item[name][1]]
    columns = ("width", "height") if files.blank.ndim == 3 else ("seconds",)
    table = np.array(sizes).reshape(len(sizes), -1).T
    return {"read": sum(item is not None and name in item for item in seen)} | {
        column: spread(values) for column, values in zip(columns, table, strict=False)
    }


def lengths_of(content: Captions, longest: int) -> Report:
    """Characters and tokens of captions, and how many are cut."""
    tokens = np.diff(content.ends)
    characters = pc.utf8_length(content.texts).to_numpy(zero_copy_only=False)
    return {
        "different": len(pc.unique(content.texts)),
        "characters": spread(characters),
        "tokens": spread(tokens),
        "as_long_as_context_length": int((tokens >= longest).sum()),
    }


def labels_of(data: TableData, split: np.ndarray) -> Report:
    """Class or tag -> samples by split; of values their spread."""
    if "label" not in data.samples.labels:
        return {}
    label, names = data.samples.labels["label"], data.class_names.get("label")
    parts = {name: label[split == number] for number, name in enumerate(SPLITS)}
    if names is None:
        return {name: spread(values[np.isfinite(values)]) for name, values in parts.items()}
    return {
        name: {
            part: int((values == index).sum() if label.ndim == 1 else (values[:, index] == 1).sum())
            for part, values in parts.items()
        }
        for index, name in enumerate(names)
    }


def equal_files(name: str, samples: Samples, seen: list, split: np.ndarray) -> Report:
    """Files of equal content in several splits."""
    holders: dict[bytes, list[int]] = {}
    for sample, item in enumerate(seen):
        if item and name in item:
            holders.setdefault(item[name][0], []).append(sample)
    torn = [same for same in holders.values() if len(np.unique(split[same])) > 1]
    places = [
        [samples.skips.place(int(samples.row[sample])) for sample in same[:SHOWN]]
        for same in torn[:SHOWN]
    ]
    return {"in_several_splits": len(torn), "examples": places}


def equal_captions(content: Captions, split: np.ndarray, group: np.ndarray) -> Report:
    """Captions of several samples, and of these those that are in several groups, or in several
    splits.
    """
    parts = [pc.unique(content.of_samples(split == number)) for number in range(len(SPLITS))]
    once, number = np.unique(
        np.concatenate([part.to_numpy(zero_copy_only=False) for part in parts]), return_counts=True
    )
    torn = once[number > 1]
    sample, code = content.of_each()
    pairs = np.unique(np.stack([code.astype(np.int64), sample]), axis=1)
    return {
        "of_several_samples": int((np.unique(pairs[0], return_counts=True)[1] > 1).sum()),
        "in_several_groups": in_several_groups(group, content),
        "in_several_splits": len(torn),
        "examples": [text[:200] for text in torn[:SHOWN]],
    }


def draw_contact_sheet(file: Path, data: TableData) -> None:
    """A row of samples a split, spread evenly over it: its first image or video, captions and
    class.
    """
    contents = data.samples.contents
    shown = next(
        (name for name, content in contents.items() if content.blank.dtype == np.uint8), None
    )
    with plot(file, size=(2.1 * SHOWN, 8), nrows=len(SPLITS), ncols=SHOWN, squeeze=False) as axes:
        for line, name, part in zip(
            axes, SPLITS, (data.train_set, data.val_set, data.test_set), strict=True
        ):
            chosen = part.chosen  # type: ignore[attr-defined]
            for axis, place in zip(
                line, np.linspace(0, len(chosen) - 1, SHOWN).astype(int), strict=True
            ):
                sample = int(chosen[place])
                axis.set(xticks=[], yticks=[])
                axis.set_title(f"{name} {place}", fontsize=8)
                axis.set_xlabel("\n".join(words_of(data, sample)), fontsize=7, wrap=True)
                if (
                    shown
                    and contents[shown].count[sample]
                    and not data.samples.skips.reasons[data.samples.row[sample]]
                ):
                    axis.imshow(
                        contents[shown].show(contents[shown].item(sample, 0)),
                        cmap="gray",
                        vmin=0,
                        vmax=255,
                    )


def words_of(data: TableData, sample: int) -> list[str]:
    """The first caption of each text modality, and the class."""
    words = [
        short(content.show(content.item(sample, 0)), 60)
        for content in data.samples.contents.values()
        if isinstance(content, Captions) and content.count[sample]
    ]
    label = data.samples.labels.get("label")
    if label is not None and label.ndim == 1 and "label" in data.class_names and label[sample] >= 0:
        words.append(short(data.class_names["label"][label[sample]]))
    return words


def show(report: Report) -> None:
    """A table for each part of the report."""
    console = Console()
    for title, part in report.items():
        table = Table("", "", title=title, title_justify="left", show_header=False)
        for name, value in part.items():
            table.add_row(str(name), in_words(value))
        if part:
            console.print(table)


def in_words(value: Any) -> str:
    """Nested metrics in a line or some."""
    if not isinstance(value, dict):
        return str(value)
    nested = any(isinstance(inner, dict) for inner in value.values())
    return ("\n" if nested else ", ").join(
        f"{key} {in_words(inner)}" for key, inner in value.items() if inner != []
    )


if __name__ == "__main__":
    main()
