"""Labels in pixels: by a font that has their letters, else by numbers, which is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import features

from pipeline.diffusion import lettering
from pipeline.diffusion.grid import draw_grid
from pipeline.diffusion.lettering import drawable, font_for, usual_font

NAMES = ("rose", "rosé", "роза", "玫瑰", "वर्दा", "🌹")


@pytest.fixture
def without_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the extra ``fonts`` was not installed."""
    monkeypatch.setattr(lettering, "PACKAGES", ("no_such_fonts",))
    font_for.cache_clear()
    drawable.cache_clear()
    yield
    font_for.cache_clear()
    drawable.cache_clear()


@pytest.fixture
def with_dejavu(without_fonts: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As if the extra was DejaVu Sans, which has Latin, Greek, Cyrillic and Arabic letters."""
    package = tmp_path / "dejavu_as_fonts"
    package.mkdir()
    (package / "__init__.py").touch()
    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    (package / "DejaVuSans.ttf").write_bytes(font.read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(lettering, "PACKAGES", (package.name,))


def inked(texts: tuple[str, ...]) -> list[bytes]:
    """The pixels below each of some pictures of one colour."""
    sheet = np.array(draw_grid(torch.zeros(len(texts), 3, 96, 96).byte(), (len(texts), 1), texts))
    return [sheet[98:, 2 + 98 * i : 98 * (i + 1)].tobytes() for i in range(len(texts))]


def test_what_no_font_has_is_its_number_and_told_once(without_fonts, capsys) -> None:
    assert drawable(NAMES) == ("rose", "1", "2", "3", "4", "5")
    said = capsys.readouterr().err
    assert "numbers, as no font here has them: 1 rosé, 2 роза, 3 玫瑰 and 2 more" in said
    assert "pip install 'diffusion-pipeline[fonts]'" in said
    drawable(NAMES)
    assert not capsys.readouterr().err


def test_a_font_that_has_the_letters_draws_them(with_dejavu, capsys) -> None:
    assert drawable(NAMES[:4]) == ("rose", "rosé", "роза", "3")
    assert "has them: 3 玫瑰" in (said := capsys.readouterr().err)
    assert "pip install" not in said
    assert font_for("rose") is usual_font()
    texts = ("роза", "розы", "p", "rosé", "rose")
    pixels = inked(texts)
    assert len(set(pixels)) == len(texts)


def test_shaped_scripts_need_raqm(with_dejavu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: name != "raqm")
    assert drawable(("وردة", "роза")) == ("0", "роза")


def test_what_cannot_be_cut_with_dots_is_cut_without(with_dejavu) -> None:
    long, short = inked(("ж" * 40, "ж" * 4))
    assert long != short
