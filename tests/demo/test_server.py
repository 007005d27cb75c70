"""The running server: who may ask it, and that the page comes."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("streamlit", reason="pip install -e '.[demo]'")
from streamlit.proto.BackMsg_pb2 import BackMsg  # noqa: E402
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

from polymodal.demo.loopback import is_local  # noqa: E402
from tests.demo.test_browser import served  # noqa: E402

SOCKET = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    "Sec-WebSocket-Version: 13\r\n"
)
ROUTES = {
    "the page": ("GET /", "Connection: close\r\n", 200),
    "health": ("GET /_stcore/health", "Connection: close\r\n", 200),
    "the socket": ("GET /_stcore/stream", SOCKET, 101),
}


@pytest.fixture(scope="module")
def address(clip: Path) -> Iterator[str]:
    with served(clip) as place:
        yield place


def status(address: str, request: str, headers: str) -> int:
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(f"{request} HTTP/1.1\r\n{headers}\r\n".encode())
        return int(connection.recv(1000).split()[1])


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("host", "origin", "is_allowed"),
    [
        ("127.0.0.1:{port}", None, True),
        ("localhost:{port}", "http://localhost:{port}", True),
        ("[::1]:{port}", "http://[::1]:{port}", True),
        ("evil.example:{port}", "http://evil.example:{port}", False),  # whose name was pointed here
        ("evil.example", None, False),
        ("127.0.0.1.evil.example:{port}", None, False),
        ("localhost.evil.example", "http://localhost:{port}", False),
        ("127.0.0.1:{port}", "https://evil.example", False),
        ("127.0.0.1:{port}", "null", False),
        ("127.0.0.1:{port}", "http://localhost:1", False),
    ],
)
def test_loopback_names_alone_are_answered(
    route: str, host: str, origin: str | None, is_allowed: bool, address: str
) -> None:
    request, further, good = ROUTES[route]
    port = urlsplit(address).port
    headers = f"Host: {host.format(port=port)}\r\n" + (
        f"Origin: {origin.format(port=port)}\r\n" if origin else ""
    )
    assert status(address, request, headers + further) == (good if is_allowed else 403)


def test_an_upload_from_elsewhere_is_refused(address: str) -> None:
    headers = "Host: evil.example\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\nConnection: close\r\n"
    assert status(address, "PUT /_stcore/upload_file/x/y", headers) == 403


def test_the_page_is_drawn(address: str) -> None:
    """As a browser asks for it: the checkpoint of the command line is the one that is shown."""
    said, start = "", BackMsg()
    start.rerun_script.query_string = ""
    with connect(
        f"{address.replace('http', 'ws')}/_stcore/stream", max_size=None, open_timeout=60
    ) as page:
        page.send(start.SerializeToString())
        while True:
            message = ForwardMsg.FromString(page.recv(timeout=60))
            said += str(message.delta.new_element)
            if message.WhichOneof("type") == "script_finished":
                break
    assert "Search" in said
    assert "held-out samples of image, text" in said


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("host", "localhost"), ("host", "localhost")],
        [("host", "x@localhost")],
        [("host", "localhost/x")],
        [("host", "localhost:port")],
        [("host", "")],
        [("host", "localhost"), ("origin", "https://localhost")],
        [("host", "0.0.0.0")],
    ],
)
def test_odd_headers_are_refused(headers: list[tuple[str, str]]) -> None:
    assert not is_local([(name.encode(), value.encode()) for name, value in headers])


def test_names_are_read_as_browsers_write_them() -> None:
    for host in ("localhost", "LOCALHOST", "localhost.", "127.0.0.1:8501", "[::1]:8501"):
        assert is_local([(b"Host", host.encode()), (b"ORIGIN", f"http://{host}".encode())])
