"""The demo and the report in a browser, as a researcher opens them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.demo.browser import chromium

pytestmark = pytest.mark.slow
pytest.importorskip("streamlit", reason="pip install -e '.[demo]'")


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@contextmanager
def served(checkpoint: Path) -> Iterator[str]:
    """Where the demo of a run is, as long as it is needed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        str(ROOT / "src" / "demo.py"),
        f"checkpoint={checkpoint}",
        f"port={port}",
        "upload_mb=1",
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(
        [*command, "devices=cpu"], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        said: list[str] = []
        for line in server.stdout:  # until it is there, or has ended
            said.append(line)
            if "URL" in line:
                break
        assert any(f"http://127.0.0.1:{port}" in line for line in said), said
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def address(browser, clip: Path) -> Iterator[str]:
    """Where the demo of images and captions is, while the tests run."""
    with served(clip) as place:
        yield place


@pytest.fixture
def page(browser, address: str):
    opened, asked = browser.new_page(), []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(address)
    opened.get_by_role("tab", name="Search").wait_for()
    yield opened
    foreign = [
        url
        for url in asked
        if urlparse(url).scheme in {"http", "https", "ws", "wss"} and not url.startswith(address)
    ]
    assert not foreign
    opened.close()


def test_a_sentence_finds_pictures(page) -> None:
    page.locator('[data-testid="stImage"] img').nth(
        9
    ).wait_for()  # an example is asked with at once
    page.get_by_label("text (caption)").fill("a red image")
    page.get_by_label("text (caption)").press("Enter")
    page.get_by_role("button", name="a red image number 0").wait_for()
    page.locator('[data-testid="stImage"] img').nth(9).wait_for()


def test_a_phone_has_no_page_to_move_sideways(page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    main = page.locator('[data-testid="stMain"]')
    page.locator('[data-testid="stImage"] img').nth(9).wait_for()
    assert main.evaluate("main => main.scrollWidth - main.clientWidth") == 0


def upload(page, name: str, content: bytes) -> None:
    file = {"name": name, "mimeType": "image/png", "buffer": content}
    page.locator('input[type="file"]').first.set_input_files([file])


def test_a_picture_is_classified_and_what_is_none_is_refused(page, pairs: Path) -> None:
    page.get_by_role("tab", name="Classify by name").click()
    page.get_by_label("Classes, one a line").wait_for()
    upload(page, "x.png", (pairs.parent / "images" / "000.png").read_bytes())
    page.get_by_text("x.png").wait_for()
    page.locator('[data-testid="stHtml"]').get_by_text("grey", exact=True).wait_for()
    upload(page, "x.png", b"<svg onload=alert(1)>")
    page.get_by_text("damaged or no SVG drawing").wait_for()
    upload(page, "x.png", bytes(2 * 2**20))
    page.get_by_text("1MB", exact=False).first.wait_for()


def test_a_sound_finds_sentences_and_what_is_none_is_refused(
    browser, listening: Path, sounds: Path
) -> None:
    with served(listening) as address:
        page = browser.new_page()
        page.goto(address)
        page.get_by_role("radiogroup", name="Search with").get_by_text("audio", exact=True).click()
        page.get_by_text("Nearest text").wait_for()
        upload(page, "x.flac", (sounds.parent / "00.flac").read_bytes())
        page.get_by_text("x.flac").wait_for()
        page.locator("audio").nth(3).wait_for()  # what was sent can be heard, beside three examples
        page.locator('[data-testid="stHtml"]').get_by_text("tone number").first.wait_for()
        upload(page, "x.flac", b"RIFF <script>")
        page.get_by_text("damaged or no sound").wait_for()
        assert page.locator("audio").count() == 3
        page.close()


def test_the_map_is_drawn(page) -> None:
    page.get_by_role("tab", name="Map").click()
    page.locator(
        '[data-testid="stVegaLiteChart"] canvas, [data-testid="stVegaLiteChart"] svg'
    ).first.wait_for()


def test_a_request_that_is_too_large_is_refused_by_the_server_itself(page, address: str) -> None:
    answer = page.request.put(f"{address}/_stcore/upload_file/x/y", data=bytes(3 * 2**20))
    assert answer.status >= 400


def test_another_page_may_not_use_it(address: str) -> None:
    host, port = urlparse(address).hostname, urlparse(address).port
    with socket.create_connection((host, port)) as connection:
        connection.sendall(
            f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: "
            "websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            "Origin: https://evil.example\r\n\r\n".encode()
        )
        assert b" 101 " not in connection.recv(1000).split(b"\r\n")[0]


def test_the_report_sorts_zooms_and_asks_nobody(browser, clip: Path, tmp_path: Path) -> None:
    from PIL import Image

    from polymodal.report.page import write_page

    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "classes.csv").write_text("class,f1\nb,0.25\na,1.0\nc,\n")
    Image.new("RGB", (50, 40), "red").save(tmp_path / "report" / "curves.png")
    opened, asked, complaints = browser.new_page(), [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: complaints.append(message.text))
    opened.goto(write_page(tmp_path).as_uri())
    opened.locator("summary", has_text="Classes").click()
    opened.get_by_role("columnheader", name="f1").click()
    assert opened.locator(".sortable tbody td:first-child").all_inner_texts() == ["a", "b", "c"]
    opened.get_by_role("columnheader", name="class").click()
    assert opened.locator(".sortable tbody td:first-child").all_inner_texts() == ["c", "b", "a"]
    opened.locator("figure img").click()
    assert opened.locator("dialog[open] img").is_visible()
    assert not complaints
    assert all(urlparse(url).scheme in {"file", "data"} for url in asked)


def test_the_report_shows_what_is_pointed_at_and_plays_a_sound(browser, tmp_path: Path) -> None:
    from polymodal.report.media import Sound, image_uri, sound_uri
    from polymodal.report.page import write_page

    (tmp_path / "report").mkdir()
    tone = Sound(np.sin(np.arange(4000) / 5).astype(np.float32), 8000)
    picture = image_uri(np.full((48, 48), 200, np.uint8))
    cell = {"image": picture, "seconds": 0.5, "sound": "audio 1"}
    name = "<img src=x onerror=alert(1)>"
    row = {"query": cell, "rank": 2, "right": {"text": name, "cosine": 0.5}, "found": []}
    points = [[0.5, 0.5, 0, 1, 7, 0, ""], [1.0, 1.0, 1, 1, 7, -1, name]]
    panels = {
        "sounds": {"kind": "sounds", "sounds": {"audio 1": sound_uri(tone)}},
        "audio_to_text": {"kind": "gallery", "title": name, "rows": [row]},
        "embedding_map": {
            **{
                "kind": "map",
                "title": "Map",
                "points": points,
                "modalities": ["image", "text"],
                "tiles": picture,
            },
            **{
                "kinds": ["image", "text"],
                "classes": [["z", "#00ff00"], [name, "#ff0000"]],
                "other": "#bbbbbb",
                "tile": 48,
                "columns": 1,
            },
        },
    }
    for stem, panel in panels.items():
        (tmp_path / "report" / f"{stem}.json").write_text(json.dumps(panel))
    (tmp_path / "metrics.csv").write_text(
        f"step,train/loss,lr-{name}\n1,2.0,0.1\n2,1.0,0.2\n3,1.5,0.3\n"
    )
    opened, complaints = browser.new_page(viewport={"width": 390, "height": 800}), []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(write_page(tmp_path).as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")

    canvas = opened.locator(".map canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    canvas.hover(position={"x": box["width"] / 2, "y": box["height"] / 2})
    assert opened.locator(".map .tip b").inner_text() == name  # the caption of the same sample
    assert opened.locator(".map .tip span").inner_text() == f"image · {name} · sample 7"

    plot = opened.locator(".plot .u-over").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    plot.hover(position={"x": box["width"] / 2, "y": box["height"] - 12})
    assert opened.locator(".plot .tip").first.inner_text().split("\n") == [
        "train/loss",
        "1 at step 2",
    ]
    opened.locator(".smoothing").fill("0.5")
    plot = opened.locator(".plot .u-over").first
    plot.hover(position={"x": box["width"] / 2, "y": box["height"] - 12})
    # (2 / 4 + 1 / 2) / (1 / 4 + 1 / 2)
    assert "1.333 at step 2" in opened.locator(".plot .tip").first.inner_text()

    opened.locator("[data-sound]").click()
    heard = "new Promise((done) => { document.querySelector('audio').ontimeupdate = (e) => done(e.target.duration); })"
    assert opened.evaluate(heard) == pytest.approx(0.5)  # it plays
    assert not complaints
