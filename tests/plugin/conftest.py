"""Plugin packages that are installed for a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.package import Package


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder where distributions are installed by hand: ``site(dist, package, source)``."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def install(dist: str, package: str, source: str, point: str | None = None) -> None:
        (folder / f"{package}.py").write_text(source)
        info = folder / f"{dist.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[pipeline]\n{point or package} = {package}\n")

    return install


@pytest.fixture
def package(tmp_path, monkeypatch):
    made = Package(tmp_path, direct_url={"url": "file:///here", "dir_info": {"editable": True}})
    monkeypatch.syspath_prepend(str(made.site))
    return made
