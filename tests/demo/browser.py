"""A headless Chromium, if there is one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser, of the system or of `playwright install chromium`; the test is skipped where there
    is none."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="pip install -e '.[dev]' brings playwright"
    )
    with api.sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, NAMES)), playwright.chromium.executable_path)
        if not os.path.exists(path):  # noqa: PTH110
            pytest.skip(
                "No browser is installed: install chromium, or run `playwright install chromium`."
            )
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
