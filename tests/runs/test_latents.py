"""Runs in the space of an autoencoder: encoded once, drawn without its folder, and its limits."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file

from pipeline import InputError, commands
from pipeline.artifacts.encode import read_encoded
from pipeline.store.store import Store
from pipeline_codecs.autoencoder_kl import AutoencoderKL as Codec
from tests.helpers import autoencoder
from tests.helpers.tiny import STAGES, built, draw, model, reused, run, same

LATENT = ("codec={name: autoencoder_kl, weights: vae}", "augment=[]")


@pytest.fixture
def vae(here: Path) -> AutoencoderKL:
    """A random one in the folder ``vae``, beside ``tiny.yaml``."""
    return autoencoder.save(here / "vae")


def latents_of(found):
    record = found["artifacts"]["latents"]
    return read_encoded(Store(Path(found["store"])).open(record["kind"], record["key"]))


def test_a_run_draws_and_is_reused(vae, here: Path) -> None:
    found = run(*LATENT)
    assert "latents" in built(found)
    encoded = latents_of(found)
    assert encoded.shape == (4, 8, 8)
    assert encoded.image_shape == (3, 16, 16)
    x0 = encoded.batch(encoded.indices("train"))
    assert abs(float(x0.mean())) < 1e-5
    assert abs(float(x0.std()) - 1) < 1e-3
    assert found["scores"]["kid"]["protocol"]["resolution"] == [16, 16]
    again = run(*LATENT)
    assert not built(again)
    longer = run(*LATENT, "train.max_steps=9", name="longer")
    assert {"images", "latents"} <= reused(longer)
    assert (
        "train.max_steps" in longer["artifacts"]["model"]["why"]
        or "steps" in built(longer)["model"]
    )


def test_other_weights_are_another_training(vae, here: Path) -> None:
    first = run(*LATENT)
    autoencoder.save(here / "vae", seed=1)
    second = run(*LATENT)
    assert {"latents", "model"} <= set(built(second))
    assert not same(model(first), model(second))


def test_where_the_folder_lies_does_not_matter(vae, here: Path) -> None:
    run(*LATENT)
    shutil.move("vae", "elsewhere")
    moved = run("codec={name: autoencoder_kl, weights: elsewhere, batch_size: 3}", "augment=[]")
    assert {"images", "latents", "model"} <= reused(moved)


def test_the_model_brings_its_autoencoder(vae, here: Path) -> None:
    """Drawing, changing and inverting images needs no folder, nor does an exported run."""
    run(*LATENT)
    shutil.rmtree("vae")
    told, drawn = draw(num_images=3)
    assert drawn.shape == (3, 3, 16, 16)
    commands.export("tiny", Path("tiny.zip"))
    _, there = draw("tiny.zip", num_images=3)
    assert torch.equal(drawn, there)
    picture = sorted(Path(told["folder"]).glob("images/*.png"))[0]
    _, changed = draw(image=picture, strength=0.5, num_images=1)
    assert changed.shape == (1, 3, 16, 16)
    options = {"num_steps": 20, "device": "cpu", "plugins": [STAGES]}
    noise = commands.invert("tiny", picture, **options)
    assert noise.shape == (1, 4, 8, 8)
    back = commands.reconstruct("tiny", noise, **options)
    assert back.shape == (1, 3, 16, 16)
    with pytest.raises(InputError, match="mask: this run's model draws in the space of its codec"):
        draw(image=picture, mask=picture, num_images=1)


def test_what_it_decodes_is_what_diffusers_decodes(vae, here: Path) -> None:
    found = run(*LATENT)
    tensors = load_file(
        Store(Path(found["store"])).open("latents", found["artifacts"]["latents"]["key"]).path
        / "codec.safetensors"
    )
    codec, x0 = Codec(weights=Path("nowhere")), torch.randn(11, 4, 8, 8)
    raw = x0 * tensors["std"][:, None, None] + tensors["mean"][:, None, None]
    with torch.no_grad():
        theirs = (vae.decode(raw).sample + 1) * 127.5
    ours = codec.decode(x0, tensors)
    assert (theirs.clamp(0, 255) - ours).abs().max() <= 0.51


def test_a_training_begins_with_another_and_with_its_autoencoder(vae, here: Path) -> None:
    first = run(*LATENT)
    autoencoder.save(here / "vae", seed=1)  # other weights: those of the model count
    second = run(*LATENT, "train.init=tiny", name="second")
    assert latents_of(second).codec_state.keys() == latents_of(first).codec_state.keys()
    assert same(dict(latents_of(second).codec_state), dict(latents_of(first).codec_state))


def test_stopped_and_gone_on_is_the_same(vae, here: Path) -> None:
    whole = run(*LATENT, name="whole")
    shutil.rmtree(".pipeline")
    run(*LATENT, "train.max_steps=3", name="part")
    assert same(model(run(*LATENT, name="rest")), model(whole))


def test_variants_are_compared(vae, here: Path) -> None:
    found = commands.compare(
        ["tiny.yaml"],
        swaps=["train.optimizer.lr=1e-3,2e-3"],
        overrides=LATENT,
        seeds=1,
        num_steps=2,
        plugins=[STAGES],
        device="cpu",
    )
    assert len(found["variants"]) == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("augment=[trip]", "augment: codec autoencoder_kl encodes each image once"),
        ("dataset.size=17", "codec: vae: takes images whose sides are multiples of 2, not 17×17"),
        ("preprocess=[greyscale]", "codec: vae: takes images of 3 channels, not 1"),
        ("codec.weights=nowhere", "codec: nowhere/config.json: is not there"),
        ("codec.weights=hf://only", "is not there"),
    ],
)
def test_what_cannot_be_is_one_line(change: str, told: str, vae, here: Path) -> None:
    with pytest.raises(InputError, match=told):
        run(*LATENT, change)


def test_a_folder_of_something_else_is_told(vae, here: Path) -> None:
    config = json.loads(Path("vae/config.json").read_text())
    Path("vae/config.json").write_text(json.dumps({**config, "block_out_channels": [8, 16]}))
    with pytest.raises(InputError, match=r"is not as its config.json says: take both from one"):
        run(*LATENT)
    Path("vae/config.json").write_text(json.dumps({**config, "_class_name": "UNet2DModel"}))
    with pytest.raises(InputError, match="is not of an AutoencoderKL"):
        run(*LATENT)
    Path("vae/config.json").write_text(json.dumps(config))
    Path("vae/diffusion_pytorch_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read"):
        run(*LATENT)
