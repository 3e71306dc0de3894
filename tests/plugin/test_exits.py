"""A plugin that ends the process, or tries to, breaks nothing but itself."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from pipeline import InputError
from pipeline.errors import Interrupted
from pipeline.plugin.registry import Entry, Provider, Registry

ENDS = [
    "raise SystemExit(3)",
    "import sys; sys.exit()",
    "exit(0)",
    "class Odd(BaseException): pass\nraise Odd('no')",
    "raise GeneratorExit",
]


@pytest.mark.parametrize("code", ENDS)
def test_a_plugin_file_that_exits_says_so(tmp_path: Path, code: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(code)
    with pytest.raises(InputError, match=r"plugin .*mine\.py: (SystemExit|Odd|GeneratorExit)"):
        Registry.load([file])


@pytest.mark.parametrize("code", ENDS)
def test_an_installed_plugin_that_exits_is_shown_as_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    (tmp_path / "broken_plugin_that_exits.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    point = metadata.EntryPoint("bad", "broken_plugin_that_exits", "pipeline")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point])
    registry = Registry.load()
    assert [broken.provider.package for broken in registry.broken] == ["broken_plugin_that_exits"]


@pytest.mark.parametrize("code", ENDS)
def test_a_stages_module_that_exits_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    (tmp_path / "stage_module_that_exits.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = Entry("sampler", "bad", "stage_module_that_exits:Bad", Provider("x"))
    with pytest.raises(InputError, match="cannot be imported"):
        entry.load()


@pytest.mark.parametrize("wish", [KeyboardInterrupt(), Interrupted(15, "terminated")])
def test_a_users_wish_to_stop_is_no_fault_of_a_plugins(
    monkeypatch: pytest.MonkeyPatch, wish: BaseException
) -> None:
    class Point:
        value, dist = "x", None

        def load(self) -> None:
            raise wish

    monkeypatch.setattr(metadata, "entry_points", lambda group: [Point()])
    with pytest.raises(type(wish)):
        Registry.load()
