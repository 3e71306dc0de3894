"""What must lie on the disk so that stages can be tried."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.testing.problems.spots import spots
from tests.helpers import autoencoder
from tests.testing.broken.dataset import PHOTOS


@pytest.fixture(scope="session")
def inception_2015_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the form of torch-fidelity's file, of a size that keeps signals alive."""
    from pipeline_features.inception_2015 import Inception2015

    draw = torch.Generator().manual_seed(0)
    state = Inception2015().state_dict()
    for name, value in state.items():
        if value.dim() > 1:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=draw)
        elif name.endswith(("bn.weight", "running_var")):
            value.uniform_(0.5, 1.5, generator=draw)
    file = tmp_path_factory.mktemp("weights") / "inception_2015.pth"
    torch.save(state, file)
    return file


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Hugging Face's save_to_disk writes it."""
    import datasets

    def part(start: int, count: int) -> datasets.Dataset:
        images = [
            Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8))
            for i in range(start, start + count)
        ]
        columns = {
            "image": images,
            "thumbnail": [image.reduce(2) for image in images],
            "label": [i % 2 for i in range(count)],
            "species": [["oak", "ash", "elm"][i % 3] for i in range(count)],
        }
        kinds = {"image": datasets.Image(), "thumbnail": datasets.Image()}
        kinds |= {"label": datasets.ClassLabel(names=["tulip", "rose"])}
        kinds |= {"species": datasets.Value("string")}
        return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))

    folder = tmp_path_factory.mktemp("hub") / "photos"
    datasets.DatasetDict(train=part(0, 6), test=part(6, 4)).save_to_disk(folder)
    return folder


@pytest.fixture(scope="session")
def learned_autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that gives back, roughly, what the kit tries codecs with."""
    folder = tmp_path_factory.mktemp("autoencoder")
    vae = autoencoder.save(folder)
    images = torch.cat([spots(24), spots(24, seed=9)]).float() / 127.5 - 1
    autoencoder.learn(vae, images, 60)
    vae.save_pretrained(folder)
    return folder


@pytest.fixture
def places(request: pytest.FixtureRequest):
    """A stage's options for places only, by its name: what must be there to try it."""
    given = request.getfixturevalue
    wanted = {
        "image_folder": lambda: {"root": PHOTOS},
        "flowers102": lambda: {
            "root": given("flowers_tree"),
            "verify": False,
            "download": False,
        },
        "hf": lambda: {"path": str(given("saved"))},
        "autoguidance": lambda: {"run": "worse"},
        "autoencoder_kl": lambda: {"weights": given("learned_autoencoder")},
        "inception_v3": lambda: {"weights": given("inception_file")},
        "inception_fid": lambda: {"weights": given("inception_2015_file")},
    }
    return lambda name: wanted[name]() if name in wanted else {}
