"""A browser for the tests of pages."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from pipeline.runs.page import report, write_comparison_page
from pipeline.store.checked import read_json, write_json
from pipeline.store.store import Store
from tests.helpers import tiny
from tests.helpers.browser import ARGUMENTS, EVIL, NAMES
from tests.helpers.comparisons import comparison, sheets


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def full(first: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run with everything that a page can show, and evil words wherever it goes."""
    root = tmp_path_factory.mktemp("full")
    shutil.copytree(first["root"], root, dirs_exist_ok=True)
    folder = root / "runs/tiny"
    about = read_json(folder / "run.json")
    near = {
        "unit": f"root mean square {EVIL}",
        "items": [
            {"sample": i, "indices": [3, 1, 2], "distances": [0.2 + i, 0.3 + i, 0.5 + i]}
            for i in range(4)
        ],
        "validation": [0.5 + 0.1 * i for i in range(40)],
    }

    def build(path: Path) -> None:
        (path / "neighbours.json").write_text(json.dumps(near))

    made = Store(root / ".pipeline").get_or_build("neighbours", {}, build)
    about["artifacts"]["neighbours"] = {
        "kind": made.kind,
        "key": made.key,
        "reused": False,
        "why": EVIL,
    }
    about["name"] = about["command"] = EVIL
    about["captions"] = [EVIL, "rose", "no class", "a name that is much longer than its picture"]
    about["diagnosis"] = [{"name": "copying", "what": f"samples {EVIL}", "do": "more images"}]
    about["recipe"]["sample"]["sampler"]["option"] = EVIL
    about["scores"][EVIL] = about["scores"]["kid"]
    about["selection"] = {
        "checkpoint": "best",
        "step": 6,
        "chosen_by": {"name": "kid", "value": 0.5, "standard_error": 0.1, "protocol": {}},
        "fresh": {"kid": 0.6},
    }
    write_json(folder / "run.json", about)
    recipe = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(f"{recipe}evil: '{EVIL}'  # {EVIL}\n")
    (page,) = report([folder])
    return Path(page["report"])


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison's page, with evil words."""
    data = comparison()
    data["name"] = data["command"] = data["notes"][0] = EVIL
    data["variants"][1]["name"] = EVIL
    for pair in data["pairs"]:
        for side in ("first", "second"):
            pair[side] = EVIL if pair[side] == "nearest" else pair[side]
        pair["verdict"] += EVIL
    return write_comparison_page(tmp_path_factory.mktemp("compared"), data, sheets(data))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run that was scored with nothing and has no grids."""
    root = tmp_path_factory.mktemp("bare")
    text = "".join(
        line + "\n"
        for line in tiny.RECIPE.replace(", metrics: [kid]}", "}").splitlines()
        if not line.startswith(("features", "evaluate"))
    )
    (root / "tiny.yaml").write_text(text)
    with chdir(root):
        folder = root / tiny.run()["folder"]
        shutil.rmtree(folder / "grids")
        report([folder])
    return folder / "report.html"
