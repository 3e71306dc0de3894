"""A step that gets no memory names its batch size, and batches that fit because they were tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import tiny

pytestmark = pytest.mark.measures_apart

HUNGRY = '''
import torch
from pipeline import hookimpl, stage

@stage
class Hungry:
    """An augmentation that has no memory for large batches."""
    most: int = 5
    """Images."""
    def __call__(self, images, draws):
        """The same images, if they are few."""
        if len(images) > self.most and draws.step < 1000:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return images

@hookimpl
def register_augmentations():
    return {"hungry": Hungry}
'''


@pytest.fixture
def hungry(here: Path) -> list[str]:
    """The command of a run whose steps take no more than 5 images at a time."""
    (here / "hungry.py").write_text(HUNGRY)
    return ["run", "tiny.yaml", "--plugin", "hungry.py", "--set", "augment=[hungry]"]


def test_what_is_advised_trains(hungry: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert tiny.main(*hungry) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("failed: out of memory in step 1 with train.batch_size 16, ")
    assert "taken at most (CUDA out of memory. Tried to allocate)" in said
    assert "train.batch_size=4 and train.accumulate=4 make the same step, as another" in said
    advised = ["--set", "train.batch_size=4", "--set", "train.accumulate=4"]
    assert tiny.main(*hungry, *advised) == 0


def test_a_dry_run_tells_it_too(hungry: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert tiny.main(*hungry, "--dry-run", "--set", "augment.0.most=0") == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "not even one image at a time fits" in said
    assert not Path("runs").exists()
