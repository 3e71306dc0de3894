"""Names of files that are no UTF-8, as old archives and network shares have."""

from __future__ import annotations

import json
import os
import sys
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.recipe.yaml12 import flow, parse
from tests.helpers import tiny
from tests.helpers.tiny import shell

ONE, OTHER = os.fsdecode(b"caf\xe9"), os.fsdecode(b"caf\xe8")
ROOT, WORK = os.fsdecode(b"ph\xff"), os.fsdecode(b"w\xfe")

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems have no such names: theirs are Unicode"
)


@pytest.fixture
def work(here: Path) -> Path:
    """A folder of such a name with photos in classes of such names, and a recipe for them."""
    folder = here / WORK
    noise = np.random.default_rng(0)
    for name in (ONE, OTHER):
        (folder / ROOT / name).mkdir(parents=True)
        for i in range(12):
            pixels = noise.integers(0, 256, (16, 16, 3), np.uint8)
            file = os.fsencode(folder / ROOT / name) + b"/im\xe0%d.png" % i
            Image.fromarray(pixels).save(os.fsdecode(file))
    dataset = {"name": "image_folder", "root": ROOT}
    drawn = "{name: procedural_flowers, num_images: 60, size: 16}"
    recipe = tiny.CLASSES.replace(drawn, flow(dataset)).replace("batch_size: 16", "batch_size: 8")
    (folder / "tiny.yaml").write_text(recipe)
    return folder


def test_a_run_of_such_photos_in_such_a_folder(work: Path) -> None:
    with chdir(work):
        first = shell("run", "tiny.yaml", "--device", "cpu")
        assert "w\\xfe/.pipeline" in first.stdout
        again = json.loads(shell("run", "tiny.yaml", "--device", "cpu", "--json").stdout)
        assert all(artifact["reused"] for artifact in again["artifacts"].values())
        assert set(again["captions"]) == {ONE, OTHER}
        page = Path("runs/tiny/report.html").read_text("utf-8")
        assert "caf\\xe9" in page
        assert "caf\\xe8" in page
        saved = Path("runs/tiny/recipe.yaml")
        assert not json.loads(shell("run", str(saved), "--json").stdout)["artifacts"]["model"][
            "why"
        ]
        drawn = shell("sample", "tiny", "--classes", ONE, "--num-images", "2", "--out", OTHER)
        assert "classes 1: caf\\xe9" in drawn.stdout
        assert (work / OTHER / "grid.png").is_file()
        scored = shell("evaluate", "tiny", "--against", ROOT, "--size", "16", "--metric", "kid")
        assert "against 24 images (all)" in scored.stdout
        shell("report", "tiny", plugin=False)
        shell("cache", "verify", plugin=False)
        shell("cache", "gc", plugin=False)


def test_such_a_photo_that_cannot_be_read_is_told_by_its_name(work: Path) -> None:
    with chdir(work):
        (work / ROOT / ONE / os.fsdecode(b"b\xe1d.png")).write_bytes(b"no picture")
        said = shell("run", "tiny.yaml", "--device", "cpu", code=2).stderr
        assert "ph\\xff/caf\\xe9/b\\xe1d.png: cannot identify image file" in said
        skip = ("--set", "dataset.on_error=skip")
        found = json.loads(shell("run", "tiny.yaml", "--device", "cpu", "--json", *skip).stdout)
        (told,) = found["left_out"]
        bad = os.fsdecode(b"b\xe1d.png")
        assert told == f"{ROOT}/{ONE}/{bad}: cannot identify image file"


def test_such_a_recipe_file_and_such_a_value_on_the_command_line(work: Path) -> None:
    with chdir(work):
        name = os.fsdecode(b"rec\xe9.yaml")
        Path(name).write_text(Path("tiny.yaml").read_text())
        assert "rec\\xe9.yaml:2:" in shell("show", name).stdout
        assert "no difference" in shell("diff", name, "tiny.yaml").stdout
        shell("validate", "tiny.yaml", "--set", f"dataset.root={ROOT}")
        Path(ROOT).rename(os.fsdecode(b"ph\xfd"))
        said = shell("run", "tiny.yaml", "--dry-run", code=2).stderr
        assert "ph\\xff: no such folder" in said
        given = ("--set", f"dataset.root={os.fsdecode(bytes([0x70, 0x68, 0xFD]))}")
        shell("run", "tiny.yaml", "--dry-run", *given)


@pytest.mark.parametrize("text", [ONE, f"a {OTHER}: b", "caf\xe9", "\\udce9", "\U0010fce9"])
def test_yaml_gives_back_what_was_written(text: str) -> None:
    problems: list[object] = []
    for written in (flow({text: [text]}), flow([text])):
        node = parse(written, "x", problems)  # type: ignore[arg-type]
        assert node
        assert node.plain in ({text: [text]}, [text])
    assert not problems
