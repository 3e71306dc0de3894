"""A browser for the tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.helpers.browser import ARGUMENTS, NAMES


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium; its absence is a failure where PIPELINE_REQUIRE_BROWSER is set."""
    binary = next((found for name in NAMES if (found := shutil.which(name))), None)
    if binary is None:
        missing = f"needs a browser called {', '.join(NAMES)}: apt-get install chromium"
        (pytest.fail if os.environ.get("PIPELINE_REQUIRE_BROWSER") else pytest.skip)(missing)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=binary, args=list(ARGUMENTS))
        yield launched
        launched.close()
