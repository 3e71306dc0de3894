"""Consoles of any code page, and places written with ``~``."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import click
import pytest

from pipeline.__main__ import _say_what_can_be_said
from pipeline.cli.options import FOLDER


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437"])
def test_a_console_without_a_sign_shows_another(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    _say_what_can_be_said()
    click.echo("32×32 … 花 \udc80")
    sys.stdout.flush()
    assert written.getvalue().startswith(b"32")


def test_the_home_folder_is_meant_by_its_short_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FOLDER.convert("~/x", None, None) == tmp_path / "x"
    assert FOLDER.convert("./~/x", None, None) == Path("./~/x")
