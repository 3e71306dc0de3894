"""The pages in a real browser: quiet, closed, readable everywhere, and they do what they offer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from pipeline.runs.page import report
from tests.helpers.browser import EVIL, check_page, check_policy, shown


@pytest.mark.parametrize("kind", ["full", "compared"])
def test_a_page_is_readable_everywhere(
    kind: str, browser: Browser, request: pytest.FixtureRequest
) -> None:
    file = request.getfixturevalue(kind)
    check_page(browser, file)
    check_policy(browser, file)


@pytest.mark.parametrize("kind", ["full", "compared"])
def test_evil_words_are_only_words(
    kind: str, browser: Browser, request: pytest.FixtureRequest
) -> None:
    with shown(browser, request.getfixturevalue(kind)) as page:
        assert page.evaluate("window.ran") is None
        assert page.locator("script").count() == 1
        assert page.locator("img[src='x']").count() == 0
        assert EVIL in page.locator("h1").inner_text()
        assert page.title() == EVIL
        assert page.locator("body").inner_text().count(EVIL) >= 5


def test_a_page_without_anything_optional(browser: Browser, bare: Path) -> None:
    check_page(browser, bare)
    with shown(browser, bare) as page:
        there = page.locator("h2").all_inner_texts()
    assert there == [
        "Samples",
        "Real images",
        "What was run",
        "The best checkpoint",
        "From noise to image",
        "Training",
        "Is it copying?",
        "Diagnosis",
        "How it was made",
    ]


def test_the_slider_moves_the_picture(full: Path, browser: Browser) -> None:
    with shown(browser, full) as page:
        visible = page.locator("#frames figure:visible")
        assert visible.inner_text().startswith("Step 7")
        last = visible.locator("img").get_attribute("src")
        page.locator("#step").focus()
        page.keyboard.press("ArrowLeft")
        assert visible.count() == 1
        assert visible.inner_text().startswith("Step 6")
        assert "KID" in visible.inner_text()
        assert visible.locator("img").get_attribute("src") != last
        assert page.locator("#step").get_attribute("aria-valuetext") == "step 6"


@pytest.mark.parametrize("kind", ["full", "compared"])
def test_the_viewer_by_keyboard(
    kind: str, browser: Browser, request: pytest.FixtureRequest
) -> None:
    with shown(browser, request.getfixturevalue(kind), width=360) as page:
        tiles, viewer = page.locator("button.zoom"), page.locator("dialog")
        tiles.first.focus()
        page.keyboard.press("Enter")
        assert viewer.is_visible()
        assert _viewed(page) == tiles.first.locator("img").get_attribute("src")
        page.keyboard.press("ArrowRight")
        assert _viewed(page) == tiles.nth(1).locator("img").get_attribute("src")
        assert page.locator("#viewer-text").inner_text() == tiles.nth(1).locator(
            "img"
        ).get_attribute("alt")
        page.keyboard.press("Escape")
        assert not viewer.is_visible()
        assert tiles.nth(1).evaluate("(tile) => tile === document.activeElement")
        tiles.first.click()
        page.locator("#viewer-back").click()
        assert _viewed(page) == tiles.last.locator("img").get_attribute("src")
        page.locator("#viewer-close").click()
        assert not viewer.is_visible()


def _viewed(page: Page) -> str | None:
    return page.locator("#viewer-image").get_attribute("src")


def test_many_validations_stay_small(
    first: dict[str, Any], tmp_path: Path, browser: Browser
) -> None:
    shutil.copytree(first["root"], tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "runs/tiny"
    record = json.loads((folder / "history.jsonl").read_text().splitlines()[0])
    drawn = np.random.default_rng(0)
    lines = []
    for step in range(100, 6100, 100):
        noise = drawn.integers(0, 256, (264, 528, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"grids/step-{step:08d}.png", compress_level=1)
        lines.append(json.dumps({**record, "step": step, "seconds": step / 10}) + "\n")
    (folder / "history.jsonl").write_text("".join(lines))
    report([folder])
    file = folder / "report.html"
    assert file.stat().st_size < 5_000_000
    with shown(browser, file) as page:
        assert page.locator("#frames figure").count() == 24
        steps = page.locator("#frames figure").evaluate_all("(all) => all.map(f => f.dataset.step)")
        assert (steps[0], steps[-1]) == ("3", "6000")
        assert "24 of 63 validations" in page.locator("body").inner_text()
