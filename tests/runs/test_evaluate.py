"""What ``evaluate`` compares: of one size, told, and the folder that stands before the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import InputError
from pipeline.commands import evaluate
from tests.helpers.tiny import STAGES, main, run


def folder(name: str, width: int, height: int, count: int = 6) -> Path:
    path = Path(name)
    path.mkdir()
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(path / f"{i}.png")
    return path


def score(what: str, against: str, **options: Any) -> dict[str, Any]:
    found = evaluate(
        Path(what), against=Path(against), features="projection",
        plugins=[STAGES], device="cpu", **options,
    )  # fmt: skip
    return {**found, "protocol": found["scores"]["kid"]["protocol"]}


def test_unlike_sizes_are_refused_and_size_makes_them_like(here: Path) -> None:
    folder("wide", 24, 16)
    folder("square", 16, 16)
    with pytest.raises(InputError, match="wide has images of 24×16×3, square of 16×16×3: give --"):
        score("wide", "square")
    protocol = score("wide", "square", size=16)["protocol"]
    assert protocol["resolution"] == [16, 16]
    assert protocol["folders"]["fake"]["sizes"] == ["24×16"]
    assert protocol["folders"]["real"]["sizes"] == ["16×16"]
    stages = ["center_crop", "resize"]
    assert [stage["name"] for stage in protocol["folders"]["real"]["preprocess"]] == stages


def test_a_folder_beside_a_run_is_made_like_it_or_refused(after_first: Path) -> None:
    folder("wide", 24, 16)
    folder("small", 8, 8)
    with pytest.raises(InputError, match=r"give --size 16"):
        score("wide", "tiny")
    assert score("wide", "tiny", size=16)["protocol"]["resolution"] == [16, 16]
    with pytest.raises(InputError, match=r"small.*8×8.*--size 16"):
        score("small", "tiny")
    protocol = score("small", "tiny", size=16)["protocol"]
    assert protocol["folders"] == {
        "fake": {"sizes": ["8×8"], "preprocess": protocol["folders"]["fake"]["preprocess"]}
    }
    with pytest.raises(InputError, match="--size: is for the images of folders"):
        score("tiny", "tiny", size=16)


def test_a_folder_comes_before_a_run_of_its_name(after_first: Path, capsys) -> None:
    """And only the run where its folder is named."""
    folder("tiny", 16, 16)
    folder("other", 16, 16)
    capsys.readouterr()
    assert score("tiny", "other")["protocol"]["num_fake"] == 6
    assert "tiny: the folder here is taken; write runs/tiny for the run" in capsys.readouterr().err
    assert score("runs/tiny", "other")["protocol"]["sampler"]["name"] == "ddim"


def test_what_tells_nothing_is_told(here: Path, capsys) -> None:
    folder("square", 16, 16)
    options = ("--features", "projection", "--device", "cpu")
    assert main("evaluate", "square", "--against", "square", *options) == 0
    said = capsys.readouterr().out
    assert "compared with itself: These are the same images: their scores tell nothing." in said
    assert "KID cannot be trusted: it was measured on 6 generated and 6 real images only." in said
    assert "Add images to square" in said


def test_a_size_in_a_recipe_enlarges_nothing_without_being_asked(here: Path) -> None:
    run("preprocess=[{name: resize, size: 12}]", name="large")
    folder("small", 8, 8)
    with pytest.raises(InputError, match="has images of 8×8, which would be enlarged to 12×12"):
        score("small", "runs/large")


def test_several_networks_score_side_by_side(here: Path, capsys) -> None:
    folder("one", 16, 16)
    folder("two", 16, 16, count=8)
    words = ["--features", "projection", "--features", "efficientnet_lite0", "--metric", "kid"]
    more = ["--metric", "fid", "--device", "cpu"]
    assert main("evaluate", "one", "--against", "two", *words, *more) == 0
    told = capsys.readouterr().out
    assert "KID 2" in told
    assert "efficientnet_lite0/" in told
    both = ["projection", "efficientnet_lite0"]
    found = evaluate(
        Path("one"), against=Path("two"), metrics=["kid", "fid"], features=both,
        plugins=[STAGES], device="cpu",
    )  # fmt: skip
    assert list(found["scores"]) == ["kid", "fid", "kid_2", "fid_2"]
    ids = [score["protocol"]["extractor"] for score in found["scores"].values()]
    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert found["scores"]["kid"] == score("one", "two")["scores"]["kid"]
