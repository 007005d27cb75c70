"""Who may ask: a page of this machine, by a name that no other machine can have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

NAMES = {"localhost", "127.0.0.1", "::1"}

Scope = MutableMapping[str, Any]
Channel = Callable[..., Awaitable[Any]]


class LoopbackOnly:
    """Refuses requests and web sockets that name another host, or come from a page of one.

    A page elsewhere may have its own name point to this machine (DNS rebinding): to a browser, its
    requests are then those of one site. What they cannot hide is the name.

    Args:
        app: what answers to all others.
    """

    def __init__(self, app: Callable[[Scope, Channel, Channel], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Channel, send: Channel) -> None:
        """Answers 403, or closes the socket before it is open."""
        if scope["type"] == "lifespan" or is_local(scope["headers"]):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send(
                {
                    "type": "http.response.start",
                    "status": 403,
                    "headers": [(b"content-type", b"text/plain")],
                }
            )
            await send(
                {
                    "type": "http.response.body",
                    "body": b"This page is for this machine: http://127.0.0.1\n",
                }
            )


def is_local(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the headers of a request have one host, a loopback name, and no origin but the same
    with its port.
    """
    hosts = [value.decode("latin-1") for name, value in headers if name.lower() == b"host"]
    origins = [value.decode("latin-1") for name, value in headers if name.lower() == b"origin"]
    if len(hosts) != 1 or len(origins) > 1:
        return False
    port = _loopback_port(f"http://{hosts[0]}")
    return port is not None and all(_loopback_port(origin) == port for origin in origins)


def _loopback_port(url: str) -> int | None:
    """The port of an address of nothing but a loopback name; None for another address."""
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError:
        return None
    is_bare = parts.scheme == "http" and not (
        parts.path or parts.query or parts.fragment or "@" in parts.netloc
    )
    return port if is_bare and (parts.hostname or "").rstrip(".") in NAMES else None
