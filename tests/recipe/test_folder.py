"""A folder of images is read by the stages that ``folder.yaml`` names."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.plugin.registry import Registry
from pipeline.recipe.load import load_folder


@pytest.fixture(scope="module")
def installed() -> Registry:
    return Registry.load()


def test_a_folder_is_cropped_and_resized_to_a_size(installed: Registry) -> None:
    folder = load_folder(Path("some/photos"), 32, installed)
    spec = installed.spec(folder.dataset)
    assert (spec["name"], spec["root"]) == ("image_folder", "some/photos")
    assert [installed.spec(stage) for stage in folder.preprocess] == [
        {"name": "center_crop", "aspect": 1.0},
        {"name": "resize", "size": 32},
    ]


def test_without_a_size_images_are_taken_as_they_are(installed: Registry) -> None:
    assert load_folder(Path("photos"), None, installed).preprocess == []


def test_a_wrong_size_is_told_as_the_option_that_gave_it(installed: Registry) -> None:
    with pytest.raises(InputError, match=r"^--size: preprocess\.1\.size: should be .* got -4$"):
        load_folder(Path("photos"), -4, installed)
