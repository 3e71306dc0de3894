"""Artifacts' files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.artifacts.files import IMAGES
from pipeline.artifacts.prepare import split_indices, write_images
from pipeline.recipe.schema import Split
from pipeline_datasets.flowers102 import Flowers102
from pipeline_preprocessors.center_crop import CenterCrop
from pipeline_preprocessors.resize import Resize


@pytest.fixture
def written(flowers_tree: Path, tmp_path: Path) -> Path:
    source = Flowers102(root=flowers_tree, verify=False)()
    write_images(
        tmp_path / IMAGES,
        source,
        (CenterCrop(), Resize(size=16)),
        split_indices(source.parts, Split(seed=2)),
    )
    return tmp_path / IMAGES
