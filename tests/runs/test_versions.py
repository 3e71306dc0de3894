"""Other versions and machines: what is made anew, what stays, and what is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.artifacts import embed, prepare
from pipeline.commands import cache
from tests.helpers.tiny import built, reused, run

FEATURES = {"features of validation images", "features of scored samples"}


@pytest.fixture
def photos(here: Path) -> Path:
    """60 JPEGs as the recipe's dataset, and a run of them."""
    (here / "photos").mkdir()
    noise = np.random.default_rng(0)
    for i in range(60):
        pixels = noise.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(here / f"photos/{i:02d}.jpg")
    recipe = (here / "tiny.yaml").read_text()
    drawn = "{name: procedural_flowers, num_images: 60, size: 16}"
    (here / "tiny.yaml").write_text(recipe.replace(drawn, "{name: image_folder, root: photos}"))
    run()
    return here


def with_pillow(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {**prepare.decoder_versions(), "pillow": version}
    monkeypatch.setattr(prepare, "decoder_versions", lambda: versions)


def test_another_decoder_that_decodes_alike_makes_only_the_images_anew(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_pillow("99.0", monkeypatch)
    again = run()
    assert list(built(again)) == ["images"]
    assert "versions.pillow changed: " in built(again)["images"]
    assert "-> 99.0" in built(again)["images"]


def test_another_decoder_that_decodes_otherwise_makes_all_anew(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_pillow("99.0", monkeypatch)
    usual = prepare.open_rgb
    monkeypatch.setattr(
        prepare, "open_rgb", lambda *picture: usual(*picture).point(lambda v: v ^ 1)
    )
    again = run()
    assert not reused(again)
    assert built(again)["model"] == "its images changed"


def test_cleaning_up_keeps_the_images_that_a_run_has_and_not_their_twins(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_pillow("99.0", monkeypatch)
    run()
    kinds = [entry["kind"] for entry in cache("gc")]
    assert kinds == ["images"]
    assert not built(run())


def test_another_torch_extracts_features_anew_and_trains_nothing(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed.torch, "__version__", "99.0")
    again = run()
    made = set(built(again))
    assert made >= FEATURES
    assert not made & {"model", "samples", "scored samples", "images"}


def stretches(found: dict[str, Any]) -> list[tuple[int, str, int]]:
    record = json.loads((Path(found["folder"]) / "run.json").read_text())
    listed = record["training"]["stretches"]
    assert {stretch["torch"] for stretch in listed} == {torch.__version__}
    return [(s["first_step"], s["device"], s["threads"]) for s in listed]


def test_a_run_tells_on_how_many_threads_each_stretch_of_it_was_trained(here: Path) -> None:
    assert stretches(run("train.max_steps=4")) == [(0, "cpu", 1)]
    torch.set_num_threads(2)
    try:
        longer = run("train.max_steps=6", name="longer")
    finally:
        torch.set_num_threads(1)
    assert stretches(longer) == [(0, "cpu", 1), (4, "cpu", 2)]
    assert stretches(run("train.max_steps=7", name="longest"))[2:] == [(6, "cpu", 1)]
    page = (Path(longer["folder"]) / "report.html").read_text()
    assert "from step 4 on cpu, 2 threads, torch" in page


def test_a_run_tells_why_it_was_trained_from_the_start(here: Path) -> None:
    first = run("train.validate.every=7 steps", name="first")
    again = run(name="again")
    assert "apart" not in first["training"]
    assert again["training"]["apart"] == (
        "a training of these steps was validated in another way until step 7"
    )
    assert again["training"]["apart"] in (Path(again["folder"]) / "report.html").read_text()
