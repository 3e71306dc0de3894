"""A real browser for tests of pages, and what is asked of every page in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")

ALL_TEXT = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = color.slice(0, 3).map((c) => c / 255).map(
      (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = channels(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || element.closest("script, title")) continue;
    const style = getComputedStyle(element);
    const ink = element.closest("svg") ? style.fill : style.color;
    const [a, b] = [luminance(channels(ink)), luminance(background(element))];
    found.push([text, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
  }
  return found;
}"""
"""Each visible text with its contrast: WCAG 2.2, relative luminance and contrast ratio."""


@contextmanager
def shown(browser: Browser, file: Path, width: int = 1440, scheme: str = "light") -> Iterator[Page]:
    """The page, opened from the disk with all its details; it must be quiet and fetch nothing."""
    said: list[str] = []
    asked: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    yield page
    page.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]


def check_page(browser: Browser, file: Path) -> None:
    """What every page has to keep, whatever it shows."""
    assert file.stat().st_size < 5_000_000
    for width in (360, 1440):
        for scheme in ("light", "dark"):
            with shown(browser, file, width, scheme) as page:
                _check(page, width)
                paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
                assert (paper == "rgb(253, 253, 251)") == (scheme == "light")


def _check(page: Page, width: int) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") == width
    texts = page.evaluate(ALL_TEXT)
    assert len(texts) > 10
    assert [text for text in texts if text[1] < 4.5] == []
    nameless = "img:not([alt]), main img[alt=''], svg:not([aria-label]), svg[aria-label='']"
    assert page.locator(nameless).count() == 0
    assert page.locator("main img").count() > 0
    broken = "[...document.images].filter((i) => i.src && !i.naturalWidth).length"
    page.wait_for_function("[...document.images].every((i) => !i.src || i.complete)")
    assert page.evaluate(broken) == 0


def check_policy(browser: Browser, file: Path) -> None:
    """A script that got into the page would not run."""
    page = browser.new_page()
    page.goto(file.as_uri())
    page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.ran = true";
      document.body.append(script);
      document.body.insertAdjacentHTML("beforeend", "<b onclick='window.ran = true'>x</b>");
      document.body.lastChild.click();
    }""")
    assert page.evaluate("window.ran") is None
    page.close()


EVIL = '"><script>window.ran = true</script><img src=x onerror="window.ran = true">'
