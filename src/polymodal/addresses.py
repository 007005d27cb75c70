"""Where files are: paths and URLs, which of them are plain, and how they are shown without the
secrets in them.
"""

from __future__ import annotations

import re

SECRET = "<secret>"
"""What stands where a secret was."""

PLAIN = {"file", "memory", "http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf"}
"""Protocols that read a file and do nothing else. Others of fsspec write copies, open archives or
render templates."""

CONTAINERS = {"az", "abfs", "abfss", "wasb", "wasbs"}
"""Protocols with the name of a container before the @ of their host."""

URL = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*)://(?P<host>[^\s/?#\"'<>]*)(?P<rest>[^\s\"'<>]*)")
PARAMETER = re.compile(r"([?&;#])([\w.%-]+)=([^&;#\s\"']+)")
SECRET_PARAMETER = re.compile(
    r"token|secret|passw|^pwd$|auth|credential|signature|^sig$|^code$|jwt|(^|[_.-])key$|api-?key|accesskey",
    re.IGNORECASE,
)


def is_plain(address: str) -> bool:
    """Whether an address, or a pattern of several, is a local path or a URL of a plain protocol.

    Chains (`simplecache::https://...`) are none, and nothing that braces could put together to one.
    """
    scheme, url, rest = address.partition("://")
    if "::" in address or "://" in rest or "\0" in address:
        return False
    if url:
        colons = re.sub(r"^[^/{}]*?:\d+(?=/|$)", "", rest) if "{" in address else ""
        return scheme in PLAIN and ":" not in colons
    path = re.sub(r"^[A-Za-z]:(?=[\\/])", "", address)  # the drive of Windows
    return (
        not path.startswith(("\\\\", "//"))
        and not (":" in path and "{" in path)
        and not path.startswith("pipe:")
    )


def shown(text: str) -> str:
    """A text whose URLs have neither a password nor a parameter that is a secret, such as
    `?token=`.
    """
    return URL.sub(_shown, text) if "://" in text else text


def _shown(url: re.Match[str]) -> str:
    scheme, host, rest = url["scheme"], url["host"], url["rest"]
    user, at, name = host.rpartition("@")
    if at and (":" in user or scheme not in CONTAINERS):
        host = f"{SECRET}@{name}"
    return f"{scheme}://{host}{PARAMETER.sub(_parameter, rest)}"


def _parameter(found: re.Match[str]) -> str:
    start, name, value = found.groups()
    return f"{start}{name}={SECRET if SECRET_PARAMETER.search(name) else value}"
