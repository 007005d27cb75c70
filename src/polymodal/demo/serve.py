"""Starts the page, for this machine alone."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from polymodal.cli.programs import DemoSettings
from polymodal.demo.held_out import opened
from polymodal.errors import ConfigError
from polymodal.report.style import COLOURS

DARK = "#5b7fe0"
"""Read on a dark page, and under white letters."""


def main(settings: DemoSettings, changes: list[str]) -> None:
    """`python src/demo.py [checkpoint=...]`: opens the model first, so that what is wrong is said
    here.

    Streamlit, and not Gradio: all its scripts and fonts come from this machine, it makes no links
    to share, and checks by itself how much is sent. Who asks is checked in
    `polymodal.demo.loopback`.

    Raises:
        ConfigError: Streamlit is not installed, or the model cannot be opened.
    """
    if find_spec("streamlit") is None:
        raise ConfigError("The page needs streamlit: pip install -e '.[demo]'")
    from streamlit.web import cli

    opened(settings, tuple(changes))  # kept: the page runs in this process
    app = str(Path(__file__).with_name("app.py"))
    cli.main(["run", app, *options(settings), "--", *sys.argv[1:]])


def options(settings: DemoSettings) -> list[str]:
    """Of Streamlit: this machine alone, nothing is told to anyone, files of the package are not
    watched.
    """
    chosen = {
        "server.address": "127.0.0.1",
        "server.port": settings.port,
        "server.headless": "true",  # else it asks for an e-mail address
        "server.maxUploadSize": settings.upload_mb,
        "server.fileWatcherType": "none",
        "runner.magicEnabled": "false",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorLinks": "false",
        "client.showErrorDetails": "type",  # the rest of what nobody foresaw is in the terminal
        "theme.light.primaryColor": COLOURS[0],
        "theme.dark.primaryColor": DARK,
    }
    return [f"--{key}={value}" for key, value in chosen.items()]
