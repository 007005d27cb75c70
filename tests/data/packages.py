"""Tiny copies of the Debian packages that scripts prepare, with files in them that cannot be
read."""

from itertools import product
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (20, 40, 230), "black": (0, 0, 0)}
THINGS = ["apple", "boat", "cat", "drum", "egg", "fish", "goat", "hat", "ink", "jar"]
NAMES = [f"{colour} {thing}" for colour, thing in product(COLOURS, THINGS)]

SVG = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:cc="http://web.resource.org/cc/" xmlns:dc="http://purl.org/dc/elements/1.1/" width="30pt" height="20pt">
<metadata><rdf:RDF><cc:Work rdf:about=""><dc:title>{title}</dc:title>
<dc:subject><rdf:Bag>{keywords}</rdf:Bag></dc:subject>
<dc:creator><cc:Agent><dc:title>{author}</dc:title></cc:Agent></dc:creator></cc:Work></rdf:RDF></metadata>
<rect width="30" height="20" fill="{colour}"/></svg>"""


def svg(
    title: str, keywords: tuple[str, ...] = (), author: str = "Ann Example", colour: str = "red"
) -> str:
    """A drawing with its metadata."""
    items = "".join(f"<rdf:li>{keyword}</rdf:li>" for keyword in keywords)
    return SVG.format(title=title, keywords=items, author=author, colour=colour)


def put(file: Path, content: str | bytes) -> None:
    """A file, and the folders that it lies in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


def draw(file: Path, colour: tuple[int, int, int], dot: int = 0) -> None:
    """30 x 20 pixels, half of them transparent; the dot makes it another image."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((20, 30, 4), dtype=np.uint8)
    pixels[:, :15] = (*colour, 255)
    pixels[0, 0, :3] = dot
    Image.fromarray(pixels).save(file)


def say(file: Path, pitch: float) -> None:
    """A quarter of a second of a tone between silences."""
    tone = 0.5 * np.sin(2 * np.pi * pitch * np.arange(11025) / 44100)
    soundfile.write(
        file, np.concatenate([np.zeros(4410), tone, np.zeros(22050)]), 44100, format="OGG"
    )


def make_stamps(root: Path) -> Path:
    """40 stamps in four folders, described in English and French, all spoken in French and some in
    Danish."""
    home = root / "usr/share/tuxpaint/stamps"
    for index, name in enumerate(NAMES):
        colour, thing = name.split()
        stem = home / thing[0] / f"{colour}_{thing}"
        if index % 5:
            draw(stem.with_suffix(".png"), COLOURS[colour], index)
        else:
            put(stem.with_suffix(".svg"), svg(name, colour=colour))
        put(stem.with_suffix(".txt"), f"A {name}.\nfr.utf8=Une {thing} {colour} qui est ici.\n")
        say(stem.with_name(f"{stem.name}_desc_fr.ogg"), 300 + 20 * index)
        if index % 10 == 1:
            # nobody wrote it down
            say(stem.with_name(f"{stem.name}_desc_da.ogg"), 300 + 20 * index)
    draw(home / "a/copy.png", (9, 9, 9))
    put(home / "a/copy.txt", "The RED apple!\nfr.utf8=Encore une apple.\n")
    draw(home / "a/red_apple_mirror.png", (9, 9, 9))
    put(home / "a/broken.png", b"\x89PNG broken")
    put(home / "a/broken.txt", "A broken thing.")
    put(home / "b/silent.png", (home / "a/copy.png").read_bytes())
    put(
        home / "b/silent.txt",
        b"A silent thing.\nfr.utf8=Une \xff chose.\nda.utf8=En stille ting.\n",
    )
    soundfile.write(home / "b/silent_desc_da.ogg", np.zeros(4410), 44100, format="OGG")
    put(home / "b/Silent_desc_fr.ogg", b"OggS broken")
    put(home / "b/nothing_desc_fr.ogg", b"")
    return root


def make_openclipart(root: Path) -> tuple[Path, Path]:
    """40 drawings with titles of their own, a collection of 12, and some that must be left out:
    (svg, png)."""
    drawings = [
        (f"{name.split()[1][0]}/{name.replace(' ', '_')}_ann_ex_01", name.title()) for name in NAMES
    ]
    drawings += [
        (f"icons/{name.replace(' ', '_')}_{n}", "Icon Set")
        for n in range(6)
        for name in ("up", "down left")
    ]
    for index, (name, title) in enumerate(drawings):
        put(root / f"svg/{name}.svg", svg(title, ("toy", "bright_colour", title.lower())))
        draw(root / f"png/{name}.png", COLOURS[NAMES[index % 40].split()[0]], index)
    for index in range(12):
        put(root / f"svg/stars/star{index}.svg", svg(f"Golden Star {index}"))
        draw(root / f"png/stars/star{index}.png", (200, 200, 0), index)
    put(root / "svg/x/again.svg", svg("Something else"))
    put(root / "png/x/again.png", (root / f"png/{drawings[0][0]}.png").read_bytes())
    put(root / "svg/x/123.svg", svg("42"))
    draw(root / "png/x/123.png", (1, 2, 3), 99)
    outside = root / "secret.txt"
    outside.write_text("secret")
    for name, content in {
        "entity": f'<!DOCTYPE svg [<!ENTITY e SYSTEM "{outside.as_uri()}">]>' + svg("Title &e;"),
        "torn": svg("Torn")[:-20],
        "plain": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    }.items():
        put(root / f"svg/x/{name}.svg", content)
        draw(root / f"png/x/{name}.png", (3, 2, 1), len(name))
    put(root / "svg/x/broken.svg", svg("Broken image"))
    put(root / "png/x/broken.png", b"\x89PNG broken")
    (root / "png/x/link.png").symlink_to(outside)
    return root / "svg", root / "png"
