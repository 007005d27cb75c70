"""Prepares the Open Clip Art Library 0.18: drawings with the titles and keywords that their authors
gave them.

    python scripts/prepare/openclipart.py [svg=<.deb or unpacked folder>] [png=<the same>]
        [folder=$POLYMODAL_CACHE/openclipart] [size=128]

From Debian's packages openclipart-svg and openclipart-png, whose authors dedicated them to the
public domain. Writes pictures (PNG, size x size, white behind) and `manifest.parquet`, a row a
drawing with two captions: its title, and title and keywords.

A title that five drawings or more have is one of a collection ("Part of the Flat Icon Collection"):
the name of the file, without numbers and the author, stands in its place. Drawings whose titles are
equal but for numbers, case and punctuation are one `group`, of which ten at most are kept (one
program drew 1,375 stars), and `split` is a fixed hash of the group. Of equal pictures the first is
kept. What cannot be read is left out and counted.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
from rich.progress import track

# for `arguments`, which knows where src is
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from convert import converted, square, write
from debian_packages import below, unpacked

from arguments import arguments
from polymodal.data.loading.splits import SPLITS, hashed_splits

KNOWN = {
    "openclipart-svg": {
        "1:0.18+dfsg-19": "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5"
    },
    "openclipart-png": {
        "1:0.18+dfsg-19": "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02"
    },
}
COLLECTION, MOST = 5, 10
DC, RDF = "{http://purl.org/dc/elements/1.1/}", "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


@dataclass
class Drawing:
    """What is known of a drawing: its PNG, the name of its folder and file, and what its author
    says.
    """

    picture: Path
    name: str
    title: str
    keywords: list[str]
    author: str

    @property
    def group(self) -> str:
        """What near-duplicates have in common: the words of the title."""
        return " ".join(words(self.title))


def main() -> None:
    cache = os.environ.get("POLYMODAL_CACHE", ".cache")
    settings = arguments(
        __doc__, {"svg": "", "png": "", "folder": f"{cache}/openclipart", "size": "128"}
    )
    folder, size = Path(settings["folder"]), int(settings["size"])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        roots = {
            kind: unpacked(
                f"openclipart-{kind}", KNOWN[f"openclipart-{kind}"], settings[kind], Path(scratch)
            )
            for kind in ("svg", "png")
        }
        drawings, left_out = chosen(read_drawings(roots["svg"], roots["png"]))
        targets = {
            drawing.name: Path("images", str(size), f"{drawing.name}.png") for drawing in drawings
        }
        jobs = [(drawing.picture, folder / targets[drawing.name]) for drawing in drawings]
        bad = converted("Pictures", jobs, lambda source, target: square(source, target, size))
    drawings = [drawing for drawing in drawings if folder / targets[drawing.name] not in bad]
    groups = sorted({drawing.group for drawing in drawings})
    split = dict(
        zip(groups, hashed_splits(pa.array(groups), (0.8, 0.1, 0.1)).tolist(), strict=True)
    )
    rows = [
        {
            "id": drawing.name,
            "image": str(targets[drawing.name]),
            "text": captions(drawing),
            "category": drawing.name.split("/")[0],
            "group": drawing.group,
            "split": SPLITS[split[drawing.group]],
        }
        for drawing in drawings
    ]
    write(pa.Table.from_pylist(rows), folder / "manifest.parquet")
    left_out += Counter({"bad image": len(bad)})
    print(f"{len(rows)} drawings with {len(groups)} titles in {folder}.")
    print(
        "Left out: "
        + (", ".join(f"{reason} {count}" for reason, count in (+left_out).items()) or "nothing")
        + "."
    )
    print("Next: python src/train.py experiment=clip_openclipart")


def read_drawings(svg: Path, png: Path) -> list[Drawing | None]:
    """The drawings that are there as PNG; None for one without metadata that can be read."""
    described, drawn = (
        next(folder for folder in (root / "usr/share/openclipart" / kind, root) if folder.is_dir())
        for root, kind in ((svg, "svg"), (png, "png"))
    )
    metadata = {
        str(file.relative_to(described).with_suffix("")): file
        for file in below(described, {".svg"})
    }
    names = [
        (file, str(file.relative_to(drawn).with_suffix(""))) for file in below(drawn, {".png"})
    ]
    if not metadata or not names:
        sys.exit(f"error: {svg if names else png} holds no {'SVG' if names else 'PNG'} drawings.")
    return [
        read_drawing(file, name, metadata[name]) if name in metadata else None
        for file, name in track(names, "Metadata", transient=True)
    ]


def read_drawing(picture: Path, name: str, metadata: Path) -> Drawing | None:
    """Dublin Core in RDF, as Inkscape writes it. The parser fetches nothing: an external entity is
    an error.
    """
    try:
        root = ElementTree.parse(metadata).getroot()
    except (ElementTree.ParseError, ValueError) as error:
        print(f"left out: {metadata} cannot be read: {error}")
        return None
    work = next((element for element in root.iter() if element.tag.endswith("}Work")), None)
    if work is None:
        return None
    title = re.sub(
        r"(?i)^clip ?art by [^-]+- ?", "", " ".join((work.findtext(f"{DC}title") or "").split())
    )
    items = [item.text or "" for item in work.iter(f"{RDF}li")]
    # with digits: an author's number
    keywords = [" ".join(words(item)) for item in items if not re.search(r"\d", item)]
    author = work.find(f"{DC}creator")
    names = "" if author is None else " ".join(text for text in author.itertext())
    return Drawing(picture, name, title, [keyword for keyword in keywords if keyword], names)


def chosen(drawings: list[Drawing | None]) -> tuple[list[Drawing], Counter[str]]:
    """Those with a title and of equal ones the first, at most `MOST` a group; and how many were
    left out, and why.
    """
    left_out: Counter[str] = Counter()
    shared = Counter(drawing.group for drawing in drawings if drawing)
    seen: set[bytes] = set()
    kept: dict[str, list[Drawing]] = {}
    for drawing in drawings:
        if drawing is None:
            left_out["no metadata"] += 1
            continue
        content = hashlib.sha256(drawing.picture.read_bytes()).digest()
        if shared[drawing.group] >= COLLECTION or not drawing.group:
            drawing.title = file_title(drawing)
        others = kept.setdefault(drawing.group, [])
        if content in seen:
            left_out["the same image again"] += 1
        elif not drawing.group:
            left_out["no title"] += 1
        elif len(others) == MOST:
            left_out[f"more than {MOST} of a title"] += 1
        else:
            others.append(drawing)
        seen.add(content)
    return [drawing for drawings in kept.values() for drawing in drawings], left_out


def file_title(drawing: Drawing) -> str:
    """The words of the file's name but for its author's, of which names of files hold the first
    letters.
    """
    author = words(drawing.author)
    return " ".join(
        word
        for word in words(Path(drawing.name).name)
        if len(word) == 1 or not any(name.startswith(word) for name in author)
    )


def captions(drawing: Drawing) -> list[str]:
    """The title; and the title with the keywords that say more."""
    more = [keyword for keyword in dict.fromkeys(drawing.keywords) if keyword != drawing.group]
    return [drawing.title, f"{drawing.title}: {', '.join(more)}"] if more else [drawing.title]


def words(text: str) -> list[str]:
    """The words of a text in small letters, without numbers and punctuation; `gnomeFolder` is
    two.
    """
    return re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).casefold())


if __name__ == "__main__":
    main()
