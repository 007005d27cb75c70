"""Prepares the stamps of Tux Paint: real pictures, their descriptions in 78 languages, and people
who speak them.

    python scripts/prepare/stamps.py [package=<.deb or unpacked folder>]
    [folder=$POLYMODAL_CACHE/stamps] [size=128]

From Debian's package tuxpaint-stamps-default (2022.06.04, GPL-2, (c) Bill Kendrick and the
contributors of Tux Paint). Writes pictures (PNG, size x size, white behind), sounds (FLAC, 16 kHz,
without the silence around the words) and two tables, a row a stamp and language: `manifest.parquet`
with all, `spoken.parquet` with those that are spoken.

`noisy` holds the text with words lost at random, each with probability 0.6, but never all: eight
versions of a training row and one of any other. Stamps of the same English text, whatever its case,
are one `group`, and `split` is a fixed hash of the group, so that no description is in two splits.
What cannot be read is left out and counted.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import soundfile
import torch

# for `arguments`, which knows where src is
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from convert import UnreadableError, converted, square, write
from debian_packages import below, unpacked

from arguments import arguments
from polymodal.data.loading.splits import SPLITS, hashed_splits
from polymodal.data.media import audio
from polymodal.errors import DataError
from polymodal.hashing import hashed_uniform

KNOWN = {"2022.06.04-1": "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34"}
RATE = 16_000
LOSS, VERSIONS = 0.6, 8


def main() -> None:
    cache = os.environ.get("POLYMODAL_CACHE", ".cache")
    settings = arguments(__doc__, {"package": "", "folder": f"{cache}/stamps", "size": "128"})
    folder = Path(settings["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        root = unpacked("tuxpaint-stamps-default", KNOWN, settings["package"], Path(scratch))
        rows, left_out = prepare(root, folder, int(settings["size"]))
    table = pa.Table.from_pylist(rows)
    write(table, folder / "manifest.parquet")
    write(table.filter(table["audio"].is_valid()), folder / "spoken.parquet")
    stamps = len(set(table["stamp"].to_pylist()))
    languages = len(set(table["language"].to_pylist()))
    spoken = len(table) - table["audio"].null_count
    print(
        f"{stamps} stamps, {languages} languages, {len(table)} rows, {spoken} of them spoken, in "
        f"{folder}."
    )
    print(
        "Left out: "
        + (", ".join(f"{reason} {count}" for reason, count in left_out.items()) or "nothing")
        + "."
    )
    print("Next: python src/train.py experiment=trimodal_stamps")


def prepare(root: Path, folder: Path, size: int) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Converts pictures and sounds, and gives the rows of the manifest and how much was left out,
    by reason.
    """
    stamps, left_out = read_stamps(root)
    pictures = {stamp: Path("images", str(size), f"{stamp}.png") for stamp in stamps}
    jobs = [(stamps[stamp]["picture"], folder / picture) for stamp, picture in pictures.items()]
    bad_pictures = converted("Pictures", jobs, lambda source, target: square(source, target, size))
    flac = {
        sound: Path("sounds", f"{name}_{language}.flac")
        for name, stamp in stamps.items()
        for language, sound in stamp["speech"].items()
    }
    bad_sounds = converted(
        "Sounds", [(sound, folder / target) for sound, target in flac.items()], speech
    )
    left_out += Counter({"bad image": len(bad_pictures), "bad sound": len(bad_sounds)})
    kept = {
        name: stamp for name, stamp in stamps.items() if folder / pictures[name] not in bad_pictures
    }
    groups = {name: normal(stamp["text"]["en"]) for name, stamp in kept.items()}
    names = sorted(set(groups.values()))
    split = dict(zip(names, hashed_splits(pa.array(names), (0.8, 0.1, 0.1)).tolist(), strict=True))
    rows: list[dict[str, Any]] = []
    for name, stamp in kept.items():
        for language in sorted(stamp["text"].keys() | stamp["speech"].keys()):
            sound = stamp["speech"].get(language)
            heard = sound is not None and folder / flac[sound] not in bad_sounds
            text, part = stamp["text"].get(language), SPLITS[split[groups[name]]]
            if not (text or heard):
                continue
            rows.append(
                {
                    "id": len(rows),
                    "stamp": name,
                    "category": name.split("/")[0],
                    "language": language,
                    "image": str(pictures[name]),
                    "text": text,
                    "noisy": noisy(text, len(rows), VERSIONS if part == "train" else 1)
                    if text
                    else [],
                    "audio": str(flac[sound]) if sound is not None and heard else None,
                    "group": groups[name],
                    "split": part,
                }
            )
    return rows, +left_out


def read_stamps(root: Path) -> tuple[dict[str, dict[str, Any]], Counter[str]]:
    """Name of a stamp -> its picture, its text and its speech by language, and how much belongs to
    no stamp.

    A drawing in SVG goes before its copy in PNG. Names of sounds differ from those of pictures in
    case, sometimes. The picture `x_mirror` is another view of the stamp `x`, without a description:
    it is left out.
    """
    home = next(folder for folder in (root / "usr/share/tuxpaint/stamps", root) if folder.is_dir())
    left_out: Counter[str] = Counter()
    stamps: dict[str, dict[str, Any]] = {}
    for file in below(home, {".png", ".svg"}):  # in this order
        name = str(file.relative_to(home).with_suffix(""))
        text = descriptions(file.with_suffix(".txt"))
        if "en" in text:
            stamps[name] = {"picture": file, "text": text, "speech": {}}
        else:
            left_out["image without a description"] += 1
    if not stamps:
        sys.exit(f"error: there are no stamps in {root}.")
    exact = {name.lower(): name for name in stamps} | {name: name for name in stamps}
    for file in below(home, {".ogg", ".wav"}):
        if match := re.fullmatch(
            r"(.+)_desc_([A-Za-z_@]+)(\.ogg)?\.(ogg|wav)", str(file.relative_to(home))
        ):
            if stamp := exact.get(match[1]) or exact.get(match[1].lower()):
                stamps[stamp]["speech"].setdefault(match[2], file)
            else:
                left_out["sound without a stamp"] += 1
    return stamps, left_out


def descriptions(file: Path) -> dict[str, str]:
    """Language -> text. The first line is English; the others begin with the language: `fr.utf8=Une
    pomme.`
    """
    if not file.is_file():
        return {}
    lines = [
        line.strip()
        for line in file.read_text("utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    found = {"en": lines[0]} if lines else {}
    for line in lines[1:]:
        language, _, text = line.partition(".utf8=")
        if text.strip() and "\ufffd" not in text:
            found.setdefault(language, text.strip())
    return {language: text for language, text in found.items() if "\ufffd" not in text}


def normal(text: str) -> str:
    """What two descriptions have in common that say the same: words without case, punctuation and
    articles.
    """
    words = re.findall(r"\w+", text.casefold())
    return " ".join(
        words[1:] if len(words) > 1 and words[0] in {"a", "an", "the", "some"} else words
    )


def noisy(text: str, id: int, versions: int) -> list[str]:
    """So many versions of a text with words lost; which ones depends on the row's number alone."""
    words = text.split()
    chance = hashed_uniform(
        torch.tensor(id), torch.arange(versions)[:, None], torch.arange(len(words))
    ).numpy()
    kept = (chance >= LOSS) | (chance == chance.max(1, keepdims=True))
    return [" ".join(np.array(words)[row]) for row in kept]


def speech(source: Path, target: Path) -> None:
    """A recording -> 16 kHz FLAC: one channel, without what is 40 dB below the loudest moment at
    both ends.

    Raises:
        UnreadableError: it is damaged, or there is nothing to hear.
    """
    try:
        sound = audio.read(source, RATE)
    except DataError as error:
        raise UnreadableError(str(error)) from error
    step = RATE // 100
    power = np.square(np.pad(sound, (0, -len(sound) % step)).reshape(-1, step)).mean(1)
    heard = np.flatnonzero(power > power.max() * 1e-4)
    if not len(heard):
        raise UnreadableError(f"{source} is silent.")
    soundfile.write(target, sound[heard[0] * step : (heard[-1] + 1) * step], RATE, format="FLAC")


if __name__ == "__main__":
    main()
