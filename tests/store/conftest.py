"""A store."""

from __future__ import annotations

import pytest

from pipeline.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")
