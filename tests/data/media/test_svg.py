"""Drawings come out at the wanted size on white, and nothing in one reaches outside or brings the
process down."""

import base64
import gzip
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.manifests import PAIR, bomb, make_pairs, ready, write_csv

from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.media import svg
from polymodal.data.media.images import read_image
from polymodal.errors import ConfigError

NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def drawing(inner: str, head: str = 'viewBox="0 0 40 40"') -> bytes:
    return f'<?xml version="1.0"?>\n<svg {NAMESPACES} {head}>{inner}</svg>'.encode()


@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("ending", ["svg", "svgz", None])
def test_a_drawing_is_rendered_at_the_wanted_size_on_white(
    size: int, ending: str | None, tmp_path: Path
) -> None:
    content = drawing(
        '<rect width="20" height="40" fill="#c83264"/><rect x="20" width="10" height="40" opacity="0"/>'
    )
    source = content
    if ending:
        source = tmp_path / f"a.{ending}"
        source.write_bytes(gzip.compress(content) if ending == "svgz" else content)
    picture = read_image(source, size, 3)
    assert picture.shape == (3, size, size)
    assert picture[:, size // 2, size // 4].tolist() == [200, 50, 100]
    assert picture[:, size // 2, -size // 4].tolist() == [255, 255, 255]
    assert read_image(source, size, 1).shape == (1, size, size)


@pytest.mark.parametrize(
    "head",
    [
        'viewBox="0 0 80 40"',
        'viewBox="0 0 80 40" width="10" height="500"',
        'width="80" height="40"',
        'width="60pt" height="30pt"',
        'viewBox="0 0 80 40" width="100%" height="1e9" preserveAspectRatio="none"',
    ],
)
def test_it_is_the_middle_square(head: str) -> None:
    """20 to 60 of 80 units."""
    picture = read_image(drawing('<rect x="40" width="40" height="40" fill="blue"/>', head), 20, 3)
    assert picture[:, 10, 8].tolist() == [255, 255, 255]
    assert picture[:, 10, 12].tolist() == [0, 0, 255]


def test_a_drawing_without_a_size_has_the_usual_one() -> None:
    picture = read_image(drawing('<rect x="150" width="300" height="150"/>', ""), 10, 1)
    assert picture[0, 5].tolist() == [255] * 5 + [0] * 5


@pytest.mark.parametrize("family", ["", 'font-family="Nowhere"', 'font-family="serif"'])
def test_text_is_drawn(family: str) -> None:
    assert read_image(drawing(f'<text y="30" font-size="30" {family}>Wm</text>'), 32, 1).min() < 50


def png(colour: str, side: int = 4) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(stream, "PNG")
    return stream.getvalue()


def image(href: str, key: str = "href") -> str:
    return f'<image {key}="{href}" width="40" height="40"/>'


def test_nothing_outside_is_read(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "secret.png").write_bytes(png("red"))
    (tmp_path / "secret.svg").write_bytes(drawing('<rect width="40" height="40" fill="red"/>'))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "secret.png"
    for href in (
        str(file),
        file.as_uri(),
        "secret.png",
        "secret.svg",
        "&#115;ecret.png",
        " secret.png",
        "http://[::1]:1/a.png",
    ):
        for key in ("href", "xlink:href"):
            assert (read_image(drawing(image(href, key)), 8, 3) == 255).all(), href
    effect = f'<filter id="f"><feImage href="{file}"/></filter><rect width="40" height="40" filter="url(#f)"/>'
    assert (read_image(drawing(effect), 8, 3)[0] != 255).sum() == (
        read_image(drawing(effect), 8, 3)[1] != 255
    ).sum()
    hidden = f'<!DOCTYPE svg [<!ENTITY x \'<image &#104;ref="{file}" width="40" height="40"/>\'>]>'
    content = drawing("&x;").replace(b"\n", f"\n{hidden}".encode())
    assert (read_image(content, 8, 3) == 255).all()
    outer = f'<!DOCTYPE svg [<!ENTITY x SYSTEM "{(tmp_path / "secret.svg").as_uri()}">]>'
    with pytest.raises(BadSampleError, match="damaged"):
        read_image(drawing("&x;").replace(b"\n", f"\n{outer}".encode()), 8, 3)


def test_what_is_within_is_drawn() -> None:
    inner = f"data:image/png;base64,{base64.b64encode(png('red')).decode()}"
    assert read_image(drawing(image(inner)), 8, 3)[:, 4, 4].tolist() == [255, 0, 0]
    used = '<defs><rect id="a" width="40" height="40" fill="lime"/></defs><use xlink:href="#a"/>'
    assert read_image(drawing(used), 8, 3)[:, 4, 4].tolist() == [0, 255, 0]


LAUGHS = "".join(f'<!ENTITY x{n} "{f"&x{n - 1};" * 10}">' for n in range(1, 10))
BOMBS = {
    "entities": f'<!DOCTYPE svg [<!ENTITY x0 "lol">{LAUGHS}]><svg {NAMESPACES}><text>&x9;</text></svg>'.encode(),
    "uses": drawing(
        '<rect id="a0" width="2" height="2"/>'
        + "".join(
            f'<g id="a{n}"><use href="#a{n - 1}"/><use href="#a{n - 1}"/></g>' for n in range(1, 30)
        )
    ),
    "depth": drawing("<g>" * 100_000 + "</g>" * 100_000),
    "groups": drawing('<g opacity="0.9">' * 2000 + '<rect width="9" height="9"/>' + "</g>" * 2000),
    "an image in it": drawing(
        image(f"data:image/png;base64,{base64.b64encode(bomb(9000, 9000)).decode()}")
    ),
    "length": drawing(" " * svg.MAX_BYTES),
    "packed": gzip.compress(drawing(" " * svg.MAX_BYTES)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_bytes(BOMBS[name])
    with pytest.raises(BadSampleError, match=r"a\.svg") as caught:
        read_image(tmp_path / "a.svg", 16, 3)
    assert caught.value.reason == (
        "too large" if name in {"an image in it", "length", "packed"} else "damaged file"
    )


def test_groups_within_groups_are_drawn_where_an_ordinary_stack_would_end(tmp_path: Path) -> None:
    deep = drawing('<g opacity="0.999">' * 450 + '<rect width="40" height="40"/>' + "</g>" * 450)
    assert read_image(deep, 8, 1).max() < 200


@pytest.mark.parametrize(
    "content", [b"", b"<svg", b"\x1f\x8bno", b"<html><svg/></html>", drawing("")[:40], b"\xff\xfe"]
)
def test_what_is_no_drawing_is_damaged(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_bytes(content)
    with pytest.raises(BadSampleError, match=r"a\.svg") as caught:
        read_image(tmp_path / "a.svg", 16, 3)
    assert caught.value.reason == "damaged file"


def test_what_to_install_is_said(tmp_path: Path, monkeypatch) -> None:
    rows = make_pairs(tmp_path, 40)
    (tmp_path / rows[0]["filepath"]).rename(tmp_path / "images" / "a.svg")
    rows[0]["filepath"] = "images/a.svg"
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    data = ready(write_csv(tmp_path / "p.csv", rows), PAIR, on_error="skip", max_bad_fraction=1.0)
    with pytest.raises(ConfigError, match=r"a\.svg is an SVG.*pip install 'polymodal\[svg\]'"):
        data.samples.contents["image"].read(0)


def test_pixels_are_those_of_resvg() -> None:
    from resvg_py import svg_to_bytes

    inner = '<circle cx="20" cy="20" r="15" fill="orange" stroke="navy" stroke-width="3"/>'
    plain = svg_to_bytes(
        svg_string=drawing(inner).decode(), width=32, height=32, background="white"
    )
    expected = np.asarray(Image.open(io.BytesIO(plain)).convert("RGB"))
    assert np.array_equal(read_image(drawing(inner), 32, 3).transpose(1, 2, 0), expected)


def test_a_whole_drawing_is_fitted_in() -> None:
    content = drawing('<rect width="80" height="40" fill="#c83264"/>', 'viewBox="0 0 80 40"')
    picture = np.asarray(svg.render_svg(content, 32, "a", whole=True).convert("RGB"))
    assert picture.shape == (32, 32, 3)
    assert picture[2, 16].tolist() == [255, 255, 255]
    assert picture[16, 1].tolist() == [200, 50, 100]
