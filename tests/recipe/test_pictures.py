"""How many pictures, and in what grid, where a recipe says one of them or neither."""

from __future__ import annotations

import pytest

from pipeline import commands
from pipeline.records.pictures import fitted
from pipeline.runs.asked import SampleOptions, layout_of
from tests.helpers.tiny import RECIPE, STAGES

OPEN = RECIPE.replace("num_images: 4, grid: [2, 2]", "")


@pytest.mark.parametrize(
    ("num_images", "grid"),
    [(1, (1, 1)), (7, (7, 1)), (8, (8, 1)), (13, (10, 2)), (16, (8, 2)), (18, (9, 2)),
     (20, (10, 2)), (64, (8, 8)), (80, (10, 8)), (100_000, (10, 100))],
)  # fmt: skip
def test_a_grid_fits_itself(num_images: int, grid: tuple[int, int]) -> None:
    assert fitted(num_images) == grid


@pytest.mark.parametrize(
    ("said", "count", "grid"),
    [
        ([], 80, (10, 8)),
        (["num_images=16"], 16, (8, 2)),
        (["grid=[3, 2]"], 6, (3, 2)),
        (["num_images=9", "grid=[3, 2]"], 9, (3, 2)),
        (["num_images=9", "grid=[20, 9]", "grid=null"], 9, (9, 1)),
    ],
)
def test_a_recipe_leaves_one_open_or_both(here, said, count, grid) -> None:
    (here / "tiny.yaml").write_text(OPEN)
    overrides = [f"sample.{one}" for one in said]
    sample = commands.check_recipe("tiny.yaml", overrides, plugins=[STAGES]).recipe.sample
    assert sample.count == count
    assert sample.layout == grid


def test_so_does_the_command_line() -> None:
    usual = {"num_images": None, "grid": None}
    assert layout_of(SampleOptions(), usual).grid == (10, 8)
    assert layout_of(SampleOptions(num_images=16), usual).grid == (8, 2)
    assert layout_of(SampleOptions(grid=(4, 3)), usual).count == 12
    assert layout_of(SampleOptions(grid=(4, 3), num_images=30), usual).count == 30
    assert layout_of(SampleOptions(num_images=16), {"num_images": 6, "grid": [3, 2]}).grid == (3, 6)
    assert layout_of(SampleOptions(interpolate=5), {"num_images": 6, "grid": None}).count == 5
