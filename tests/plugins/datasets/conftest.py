"""Data sets on the disk, and a network that is not there."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from datasets import DatasetDict

from tests.helpers.photos import rows


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """5 images for training, 3 for tests."""
    folder = tmp_path / "photos"
    DatasetDict(train=rows(0, 5), test=rows(5, 3)).save_to_disk(folder)
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every attempt to reach the network fails and is listed."""
    tried: list[str] = []

    def urlopen(request: urllib.request.Request, **_: object) -> None:
        tried.append(request.full_url)
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return tried
