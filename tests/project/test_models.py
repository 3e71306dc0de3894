"""The models that are shipped: whole, listed, drawn from at once, and what is drawn of them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pipeline_models
from pipeline import commands
from pipeline.diffusion.model import _other_code
from tests.helpers.tiny import main

FOLDER = Path(pipeline_models.__file__).parent
WEIGHTS = {
    "flowers32": "1f27c332997b1fa3dc76944d67157af029fd5fb72cb0fcccb6bcd33d99824c60",
    "flowers32_classes": "07e45339ca382054ac3c2b71790d408ecabf56c08149b7fef48289bb6b065181",
    "flowers64": "c42744983b1d563208f36d097e9c92807e6dd76a97f9358a009c9e51dc885223",
}
"""SHA-256 of ``model/best.safetensors``."""
MOST = 4_500_000
DRAWN = Path(__file__).parent / "drawn"
"""Eight images of each, as they were drawn when the models were made."""


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_weights_are_those_that_were_trained(name: str) -> None:
    file = FOLDER / name / "model/best.safetensors"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == WEIGHTS[name]
    assert file.stat().st_size < MOST


def test_they_are_light_and_name_no_folder_of_the_machine_that_made_them() -> None:
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    weights = [file for file in files if file.suffix == ".safetensors"]
    assert sum(file.stat().st_size for file in weights) < 13_000_000
    for file in files:
        if file.suffix in (".json", ".yaml", ".md", ".html"):
            text = file.read_text(encoding="utf-8")
            text = re.sub(r"data:[^\"]*", "", text)  # pictures in a page
            assert not re.search(r"(?<![\w./*-])/\w+/\w", text), file  # the root of a path


def test_each_is_listed_with_its_card() -> None:
    found = {model["name"]: model for model in commands.models()}
    assert set(WEIGHTS) <= set(found)
    for name in WEIGHTS:
        card = Path(found[name]["card"]).read_text(encoding="utf-8")
        trained = "cpu with torch" if name == "flowers32" else "cuda with torch"
        for part in ("Nilsback", "pipeline run flowers", "KID", f"trained on {trained}"):
            assert part in card
        assert found[name]["scores"]["kid"]["value"] > 0


@pytest.mark.parametrize("name", WEIGHTS)
def test_what_is_drawn_at_once_is_what_was_drawn(name: str, here: Path) -> None:
    assert main("sample", name, "--num-images", "8", "--device", "cpu", "--out", "drawn") == 0
    files = sorted(Path("drawn/images").glob("*.png"))
    assert len(files) == 8
    strip = np.concatenate([np.asarray(Image.open(file).convert("RGB")) for file in files], 1)
    stored = np.asarray(Image.open(DRAWN / f"{name}.png"))
    assert np.abs(strip.astype(int) - stored).max() <= 1


def test_a_class_is_drawn_by_name(here: Path) -> None:
    words = ("--classes", "rose,sunflower", "--num-images", "2", "--num-steps", "2")
    assert main("sample", "flowers32_classes", *words, "--device", "cpu", "--out", "two") == 0
    assert len(list(Path("two/images").glob("*.png"))) == 2


def test_a_training_begins_with_one(flowers_tree: Path, here: Path) -> None:
    changes = [
        f"dataset.root={flowers_tree}", "dataset.download=false", "dataset.verify=false",
        "train.init=flowers32", "train.max_steps=1", "train.lr_schedule=constant",
        "train.batch_size=4", "evaluate=null",
        "features=efficientnet_lite0", "train.validate.metrics=[]", "sample.num_images=4",
        "sample.grid=[2, 2]", "sample.num_steps=2", "train.validate.grid=[2, 1]",
        "train.validate.grid_num_steps=2",
    ]  # fmt: skip
    found = commands.run("flowers32_fast", changes, device="cpu", name="tuned")
    assert found["training"]["init"]["name"] == "flowers32"
    assert found["training"]["init"]["started"] == found["training"]["init"]["tensors"]


def test_another_way_to_install_is_no_other_code() -> None:
    kept = {"distribution": "diffusion-pipeline", "version": "0.1.0", "source": "9360"}
    assert not _other_code(kept, {"distribution": "diffusion-pipeline", "version": "0.1.0"})
    assert _other_code(kept, {**kept, "source": "4711"})
    assert _other_code(kept, {"distribution": "diffusion-pipeline", "version": "0.2.0"})
    assert _other_code(kept, {"distribution": None, "version": None, "source": "9360"})
