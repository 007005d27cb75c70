"""What the demo's server answers to others than its own page: no file, no upload, no page of
another name."""

import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import pytest

from tests.demo.test_browser import served

pytestmark = pytest.mark.slow
pytest.importorskip("streamlit", reason="pip install -e '.[demo]'")


@pytest.fixture(scope="module")
def address(clip: Path) -> Iterator[str]:
    with served(clip) as place:
        yield place


def asked(
    address: str, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    """A request exactly as it is written here: no client tidies the path."""
    place = urlparse(address)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.putheader("Content-Length", str(len(body or b"")))
    connection.endheaders(body)
    answer = connection.getresponse()
    return answer.status, answer.read()


STARTS = [
    "/",
    "/static/",
    "/app/static/",
    "/media/",
    "/component/",
    "/_stcore/",
    "/_stcore/upload_file/",
]
UPWARDS = ["../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "....//"]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("up", UPWARDS)
def test_no_path_leads_to_a_file_of_the_machine(
    address: str, clip: Path, start: str, up: str
) -> None:
    secret = clip / "config.yaml"
    for path in (
        f"{start}{up * 12}{str(secret).lstrip('/')}",
        f"{start}{up * 12}etc/passwd",
        f"{start}{secret}",
    ):
        status, content = asked(address, "GET", path)
        assert b"root:" not in content
        assert b"_target_" not in content
        assert status in (200, 301, 302, 400, 403, 404, 405), status  # 200 is the page itself


@pytest.mark.parametrize("token", [None, "2|aaaaaaaa|bbbbbbbb|1700000000"])
def test_an_upload_without_the_token_of_the_page_is_refused(
    address: str, token: str | None
) -> None:
    headers = {"Content_Type": "multipart/form-data; boundary=x", "Origin": "https://evil.example"}
    if token is not None:
        headers |= {"X_Xsrftoken": token, "Cookie": "_streamlit_xsrf=other"}
    body = (
        b'--x\r\nContent-Disposition: form-data; name="a"; filename="a.png"\r\n\r\nhi\r\n--x--\r\n'
    )
    status, _ = asked(address, "PUT", "/_stcore/upload_file/session/file", body, **headers)
    assert status == 403, status
    status, _ = asked(address, "DELETE", "/_stcore/upload_file/session/file", **headers)
    assert status == 403, status
